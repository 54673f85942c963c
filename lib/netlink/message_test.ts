import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { goldenBytes } from "../../tests/support/golden/golden_bytes.ts";
import { AssertionError } from "../base/assert.ts";
import { Writer } from "./buffer.ts";
import {
  decodeMessages,
  encodeRequest,
  type MessageKind,
  NLM_F_ACK,
  NLM_F_CREATE,
  parseMessage,
  type Request,
  request,
} from "./message.ts";
import { attributes, bytes, type Codec, struct, u8 } from "./schema.ts";

const sample = attributes("sample", { raw: [1, bytes] });
const KIND: MessageKind<{ family: Codec<number> }, ReturnType<typeof sample.read>> = {
  name: "SAMPLE",
  type: 77,
  header: struct("odd", 1, { family: u8 }),
  attributes: sample,
};

function sampleRequest(raw: Uint8Array, flags = 0): Request {
  return request(KIND, { flags, header: { family: 2 }, attributes: { raw } });
}

Deno.test("encodeRequest() writes header, padding and flags", () => {
  const writer = new Writer(16);
  encodeRequest(writer, sampleRequest(new Uint8Array([1]), NLM_F_CREATE), 9, NLM_F_ACK);
  assertEquals(
    writer.bytes.toHex(),
    goldenBytes(`
      1c000000 4d00 0504    # length 28, type 77, REQUEST ACK CREATE
      09000000 00000000     # sequence, port id of the kernel
      02 000000             # fixed header, padded
      0500 0100 01 000000   # attribute, padded; the length of the message holds the padding
    `).toHex(),
  );
});

Deno.test("decodeMessages() takes apart what encodeRequest() wrote, one behind the other", () => {
  const payloads = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });
  fc.assert(fc.property(payloads, (raws) => {
    const writer = new Writer(16);
    raws.forEach((raw, index) => encodeRequest(writer, sampleRequest(raw), index));
    const messages = decodeMessages(writer.bytes);
    assertEquals(messages.map((it) => it.sequence), raws.map((_, index) => index));
    assertEquals(
      messages.map((it) => parseMessage(KIND, it)),
      raws.map((raw) => ({ header: { family: 2 }, attributes: { raw } })),
    );
  }));
});

Deno.test("decodeMessages() keeps copies, as the buffer is used again", () => {
  const writer = new Writer();
  encodeRequest(writer, sampleRequest(new Uint8Array([7])), 1);
  const [message] = decodeMessages(writer.bytes);
  writer.bytes.fill(0);
  assertEquals(message?.payload[8], 7);
});

Deno.test("decodeMessages() takes arbitrary bytes for a RangeError or for messages", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(60), (noise, length) => {
    if (noise.length > 4) noise.set([length, 0, 0, 0]); // more often plausible than not
    try {
      decodeMessages(noise);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }));
});

Deno.test("decodeMessages() refuses lengths that cannot be", () => {
  const rest = "1000 0000 01000000 00000000";
  const cases: Readonly<Record<string, string>> = {
    "shorter than a header": `0f000000 ${rest}`,
    "longer than the datagram": `11000000 ${rest}`,
    "zero, which would never end": `00000000 ${rest}`,
    "half a header behind": `10000000 ${rest} 10000000 1000`,
  };
  for (const [name, hex] of Object.entries(cases)) {
    assertThrows(() => decodeMessages(goldenBytes(hex)), RangeError, "Netlink", name);
  }
});

Deno.test("parseMessage() asserts the type and refuses half a header", () => {
  const raw = { type: 77, flags: 0, sequence: 0, portId: 0, payload: new Uint8Array(0) };
  assertThrows(() => parseMessage(KIND, raw), RangeError, "too short");
  assertThrows(() => parseMessage(KIND, { ...raw, type: 78 }), AssertionError, "no SAMPLE");
});
