/** Tracked flows as values, and as the messages that a dump brings. */

import { Address } from "../../../lib/ip/address.ts";
import type { TrackedFlow } from "../../../lib/netlink/conntrack/flow.ts";
import {
  IPS_CONFIRMED,
  IPS_SEEN_REPLY,
  NEW,
  TCP_CONNTRACK_ESTABLISHED,
} from "../../../lib/netlink/conntrack/message.ts";
import { encodeTuple, type Tuple } from "../../../lib/netlink/conntrack/tuple.ts";
import { NLMSG_HDRLEN, type RawMessage, request } from "../../../lib/netlink/message.ts";
import { NFPROTO_IPV4, NFPROTO_IPV6 } from "../../../lib/netlink/nftables/message.ts";
import { requestBytes } from "../golden/golden_bytes.ts";

const PROTOCOLS = { ICMP: 1, TCP: 6, UDP: 17, SCTP: 132 };

let count = 0;

/** Who sends to whom, in words. */
export interface FlowWords {
  readonly source: string;
  readonly destination: string;
  readonly protocol?: keyof typeof PROTOCOLS;
  readonly port?: number;
  /** Where the destination is translated to. */
  readonly service?: { readonly address: string; readonly port: number };
  /** What the source is translated to. */
  readonly masquerade?: string;
  readonly status?: number;
  readonly master?: Tuple;
}

/**
 * A flow from port 40000 of `source` to `port` of `destination`; with `service` the client asked for
 * that. Each has an id of its own.
 */
export function trackedFlow(words: FlowWords): TrackedFlow {
  const { source, destination, protocol = "TCP", port = 80, service, masquerade } = words;
  const number = PROTOCOLS[protocol];
  const tuple = (from: string, to: string, ports: readonly [number, number]): Tuple => ({
    source: Address.parse(from),
    destination: Address.parse(to),
    protocol: number,
    ports: protocol === "ICMP" ? undefined : { source: ports[0], destination: ports[1] },
    icmp: protocol === "ICMP" ? { id: 7, type: 8, code: 0 } : undefined,
    zone: undefined,
  });
  const original = tuple(source, service?.address ?? destination, [40000, service?.port ?? port]);
  return {
    family: original.source.family,
    original,
    reply: tuple(destination, masquerade ?? source, [port, 40000]),
    zone: 0,
    id: ++count,
    status: words.status ?? IPS_CONFIRMED | IPS_SEEN_REPLY,
    timeoutSeconds: 100,
    mark: 0,
    tcpState: protocol === "TCP" ? TCP_CONNTRACK_ESTABLISHED : undefined,
    master: words.master,
  };
}

/** The flow as a dump brings it. */
export function rawFlow(flow: TrackedFlow): RawMessage {
  const message = request(NEW, {
    header: { family: flow.family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6 },
    attributes: {
      original: encodeTuple(flow.original),
      reply: encodeTuple(flow.reply),
      status: flow.status,
      timeoutSeconds: flow.timeoutSeconds,
      mark: flow.mark,
      id: flow.id,
      protocolInfo: flow.tcpState === undefined ? undefined : { tcp: { state: flow.tcpState } },
      master: flow.master && encodeTuple(flow.master),
    },
  });
  const payload = requestBytes(message).slice(NLMSG_HDRLEN);
  return { type: NEW.type, flags: 0, sequence: 1, portId: 1, payload };
}
