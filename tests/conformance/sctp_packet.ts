/**
 * The two SCTP packets that open an association, made and read by hand: a kernel without SCTP has no
 * sockets for it, but carries and judges its packets all the same. RFC 9260: common header (3.1),
 * INIT (3.3.2), INIT ACK (3.3.3); CRC32c (appendix A), without which conntrack takes a packet for
 * damaged.
 */

import type { Bytes } from "../../lib/base/bytes.ts";

/** IPPROTO_SCTP. */
export const SCTP_PROTOCOL = 132;

const COMMON_HEADER_BYTES = 12;
const CHUNK_INIT = 1;
const CHUNK_INIT_ACK = 2;
const CHUNK_BYTES = 20;
/** State Cookie, without which an INIT ACK would not be one. */
const PARAMETER_COOKIE = 7;
const COOKIE_BYTES = 8;
const STREAMS = 1;
const WINDOW = 65536;

/** An INIT or INIT ACK. */
export interface SctpPacket {
  readonly kind: "INIT" | "INIT ACK";
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** 0 in an INIT; in an INIT ACK the initiate tag of the INIT that it answers. */
  readonly verificationTag: number;
  /** Never 0. */
  readonly initiateTag: number;
}

/** Encodes `packet` with its checksum; what carries it adds the IP header. */
export function encodeSctp(packet: SctpPacket): Bytes {
  const isAck = packet.kind === "INIT ACK";
  const chunkBytes = CHUNK_BYTES + (isAck ? COOKIE_BYTES : 0);
  const bytes: Bytes = new Uint8Array(COMMON_HEADER_BYTES + chunkBytes);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, packet.sourcePort);
  view.setUint16(2, packet.destinationPort);
  view.setUint32(4, packet.verificationTag);
  view.setUint8(12, isAck ? CHUNK_INIT_ACK : CHUNK_INIT);
  view.setUint16(14, chunkBytes);
  view.setUint32(16, packet.initiateTag);
  view.setUint32(20, WINDOW);
  view.setUint16(24, STREAMS);
  view.setUint16(26, STREAMS);
  view.setUint32(28, packet.initiateTag); // initial TSN: any number
  if (isAck) {
    view.setUint16(32, PARAMETER_COOKIE);
    view.setUint16(34, COOKIE_BYTES);
  }
  view.setUint32(8, crc32c(bytes), true); // reflected, so its bytes go backwards
  return bytes;
}

/** Decodes an INIT or INIT ACK; `undefined` for any other packet, or a damaged one. */
export function decodeSctp(bytes: Uint8Array): SctpPacket | undefined {
  if (bytes.length < COMMON_HEADER_BYTES + CHUNK_BYTES) return undefined;
  const copy: Bytes = bytes.slice();
  const view = new DataView(copy.buffer);
  const checksum = view.getUint32(8, true);
  view.setUint32(8, 0);
  const type = view.getUint8(12);
  if (crc32c(copy) !== checksum || (type !== CHUNK_INIT && type !== CHUNK_INIT_ACK)) {
    return undefined;
  }
  return {
    kind: type === CHUNK_INIT ? "INIT" : "INIT ACK",
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    verificationTag: view.getUint32(4),
    initiateTag: view.getUint32(16),
  };
}

/** Castagnoli's polynomial, reflected. */
const POLYNOMIAL = 0x82f63b78;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? POLYNOMIAL : 0);
  return value;
});

/** CRC32c of `bytes`. */
export function crc32c(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = (value >>> 8) ^ (TABLE[(value ^ byte) & 0xff] ?? 0);
  return (value ^ 0xffffffff) >>> 0;
}
