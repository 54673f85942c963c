/** One direction of a flow: who sends to whom, as the packets of that direction are on arrival. */

import { assert } from "../../base/assert.ts";
import { Address } from "../../ip/address.ts";
import type { TupleAttributes } from "./message.ts";

const IPPROTO_ICMPV6 = 58;

/** The type and code of an ICMP request, and the number that ties the answer to it. */
export interface IcmpKey {
  readonly id: number;
  readonly type: number;
  readonly code: number;
}

/** A tuple: with ports (TCP, UDP, SCTP, …), an ICMP key, or (any other protocol) neither. */
export interface Tuple {
  readonly source: Address;
  readonly destination: Address;
  /** IPPROTO_*. */
  readonly protocol: number;
  readonly ports: { readonly source: number; readonly destination: number } | undefined;
  readonly icmp: IcmpKey | undefined;
  /** The zone of this direction, where it is not the flow's. */
  readonly zone: number | undefined;
}

/** A tuple as attributes. */
export function encodeTuple(tuple: Tuple): TupleAttributes {
  const { source, destination, protocol: number, ports, icmp, zone } = tuple;
  assert(source.family === destination.family, "Both ends of a flow are of one family");
  return {
    addresses: source.family === 4
      ? { source4: source, destination4: destination }
      : { source6: source, destination6: destination },
    protocol: {
      number,
      ...(ports === undefined ? {} : {
        sourcePort: ports.source,
        destinationPort: ports.destination,
      }),
      ...icmpAttributes(number, icmp),
    },
    zone,
  };
}

/** The tuple of attributes; `undefined` when they lack an end. */
export function decodeTuple(attributes: TupleAttributes | undefined): Tuple | undefined {
  const { addresses, protocol, zone } = attributes ?? {};
  const source = addresses?.source4 ?? addresses?.source6;
  const destination = addresses?.destination4 ?? addresses?.destination6;
  if (source === undefined || destination === undefined || protocol === undefined) return undefined;
  const id = protocol.icmpId ?? protocol.icmpv6Id;
  return {
    source,
    destination,
    protocol: protocol.number ?? 0,
    ports: protocol.sourcePort === undefined ? undefined : {
      source: protocol.sourcePort,
      destination: protocol.destinationPort ?? 0,
    },
    icmp: id === undefined ? undefined : {
      id,
      type: protocol.icmpType ?? protocol.icmpv6Type ?? 0,
      code: protocol.icmpCode ?? protocol.icmpv6Code ?? 0,
    },
    zone,
  };
}

/** `10.0.0.1:40000>10.0.0.2:80/6`: source, destination, protocol. */
export function formatTuple({ source, destination, protocol, ports, icmp }: Tuple): string {
  const end = (address: Address, port: number | undefined): string => {
    if (port === undefined) return address.toString();
    return address.family === 4 ? `${address}:${port}` : `[${address}]:${port}`;
  };
  const key = icmp === undefined ? "" : ` type ${icmp.type} code ${icmp.code} id ${icmp.id}`;
  return `${end(source, ports?.source)}>${end(destination, ports?.destination)}/${protocol}${key}`;
}

function icmpAttributes(
  protocol: number,
  icmp: IcmpKey | undefined,
): TupleAttributes["protocol"] & Record<string, unknown> {
  if (icmp === undefined) return {};
  const { id, type, code } = icmp;
  return protocol === IPPROTO_ICMPV6
    ? { icmpv6Id: id, icmpv6Type: type, icmpv6Code: code }
    : { icmpId: id, icmpType: type, icmpCode: code };
}
