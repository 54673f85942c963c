/** A table of flows with many of them, made through ctnetlink as if packets had. */

import type { Address } from "../../../lib/ip/address.ts";
import {
  DELETE,
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_SEEN_REPLY,
  NEW,
  TCP_CONNTRACK_ESTABLISHED,
} from "../../../lib/netlink/conntrack/message.ts";
import { encodeTuple, type Tuple } from "../../../lib/netlink/conntrack/tuple.ts";
import { NetlinkError } from "../../../lib/netlink/error.ts";
import { NLM_F_CREATE, NLM_F_EXCL, type Request, request } from "../../../lib/netlink/message.ts";
import {
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  NFPROTO_UNSPEC,
} from "../../../lib/netlink/nftables/message.ts";
import type { NetlinkSocket } from "../../../lib/netlink/socket.ts";

const IPPROTO_TCP = 6;
const FIRST_PORT = 1_024;
const PORTS = 60_000;
/** Flows per datagram: their acknowledgements fit into the receive buffer. */
const BATCH = 200;
const TIMEOUT_SECONDS = 86_400;

/** Established TCP connections, by their number. */
export interface ManyFlows {
  readonly count: number;
  /** The n-th one's ends; `port` below 5,500 keeps them apart where the ends repeat. */
  readonly ends: (index: number) => readonly [source: Address, destination: Address];
  /** The first port that is called. */
  readonly port: number;
}

/**
 * Makes the flows, until the table is full.
 *
 * @returns how many the kernel took
 */
export function addFlows(
  socket: Pick<NetlinkSocket, "pipeline">,
  flows: ManyFlows,
): number {
  const { count } = flows;
  let made = 0;
  for (let start = 0; start < count; start += BATCH) {
    const indexes = Array.from({ length: Math.min(BATCH, count - start) }, (_, it) => start + it);
    const requests = indexes.map((index) => createFlow(tupleOf(flows, index)));
    const taken = socket.pipeline(requests).filter((it) => !(it instanceof NetlinkError)).length;
    made += taken;
    if (taken === 0) break;
  }
  return made;
}

/** Empties the table of flows. */
export function flushFlows(socket: Pick<NetlinkSocket, "request">): void {
  socket.request(request(DELETE, { header: { family: NFPROTO_UNSPEC }, attributes: {} }));
}

/** The original tuple of the flow with this number. */
export function tupleOf({ ends, port }: ManyFlows, index: number): Tuple {
  const [source, destination] = ends(index);
  const ports = {
    source: FIRST_PORT + index % PORTS,
    destination: port + Math.floor(index / PORTS),
  };
  return { source, destination, ports, protocol: IPPROTO_TCP, icmp: undefined, zone: undefined };
}

function createFlow(original: Tuple): Request {
  const { source, destination, ports } = original;
  const reply: Tuple = {
    ...original,
    source: destination,
    destination: source,
    ports: ports && { source: ports.destination, destination: ports.source },
  };
  return request(NEW, {
    flags: NLM_F_CREATE | NLM_F_EXCL,
    header: { family: source.family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6 },
    attributes: {
      original: encodeTuple(original),
      reply: encodeTuple(reply),
      status: IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED,
      timeoutSeconds: TIMEOUT_SECONDS,
      protocolInfo: { tcp: { state: TCP_CONNTRACK_ESTABLISHED } },
    },
  });
}
