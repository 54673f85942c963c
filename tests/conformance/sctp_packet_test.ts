import { assertEquals } from "@std/assert";
import { crc32c, decodeSctp, encodeSctp, type SctpPacket } from "./sctp_packet.ts";

Deno.test("crc32c() gives the known checks", () => {
  // RFC 3720, appendix B.4, and the usual check value.
  assertEquals(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
  assertEquals(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assertEquals(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
});

const INIT: SctpPacket = {
  kind: "INIT",
  sourcePort: 20000,
  destinationPort: 80,
  verificationTag: 0,
  initiateTag: 7,
};

Deno.test("encodeSctp() makes what decodeSctp() reads", () => {
  const ack: SctpPacket = { ...INIT, kind: "INIT ACK", verificationTag: 7, initiateTag: 8 };
  assertEquals(decodeSctp(encodeSctp(INIT)), INIT);
  assertEquals(decodeSctp(encodeSctp(ack)), ack);
});

Deno.test("encodeSctp() follows the RFC's layout", () => {
  const bytes = [...encodeSctp(INIT)];
  bytes.fill(0, 8, 12); // the checksum
  assertEquals(bytes, [
    ...[0x4e, 0x20, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0], // ports, verification tag, checksum
    ...[1, 0, 0, 20], // INIT, no flags, its length
    ...[0, 0, 0, 7, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 7], // tag, window, streams, first TSN
  ]);
});

Deno.test("decodeSctp() takes no damaged packet", () => {
  const bytes = encodeSctp(INIT);
  bytes[1] = 0x21;
  assertEquals(decodeSctp(bytes), undefined);
  assertEquals(decodeSctp(new Uint8Array(12)), undefined);
});
