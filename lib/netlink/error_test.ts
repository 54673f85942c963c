/** Acknowledgements byte by byte: what a refusal says, in each of the forms that the kernel uses. */

import { assertEquals, assertThrows } from "@std/assert";
import { goldenBytes } from "../../tests/support/golden/golden_bytes.ts";
import {
  decodeAcknowledgement,
  isExists,
  isNotFound,
  NetlinkBatchError,
  NetlinkError,
} from "./error.ts";
import { NLMSG_DONE, NLMSG_ERROR, type RawMessage } from "./message.ts";

const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

function raw(type: number, flags: number, golden: string): RawMessage {
  return { type, flags, sequence: 0, portId: 0, payload: goldenBytes(golden) };
}

const WORDS = `
  0700 0100 6e6f00 00   # NLMSGERR_ATTR_MSG "no"
  0800 0200 24000000    # NLMSGERR_ATTR_OFFS 36
`;

Deno.test("decodeAcknowledgement() reads every form", () => {
  const refused = { errno: 22, text: "no", attributeOffset: 36 };
  const silent = { errno: 22, text: undefined, attributeOffset: undefined };
  const cases: Readonly<Record<string, readonly [RawMessage, unknown]>> = {
    "success": [
      raw(NLMSG_ERROR, NLM_F_CAPPED, "00000000 20000000 1000 0506 01000000 00000000"),
      { errno: 0, text: undefined, attributeOffset: undefined },
    ],
    "capped": [
      raw(
        NLMSG_ERROR,
        NLM_F_CAPPED | NLM_F_ACK_TLVS,
        `eaffffff 20000000 1000 0506 01000000 00000000 ${WORDS}`,
      ),
      refused,
    ],
    "with the request": [
      raw(
        NLMSG_ERROR,
        NLM_F_ACK_TLVS,
        `eaffffff 13000000 1000 0506 01000000 00000000 aabbcc 00 ${WORDS}`,
      ),
      refused,
    ],
    "without words": [
      raw(NLMSG_ERROR, NLM_F_CAPPED, "eaffffff 20000000 1000 0506 01000000 00000000"),
      silent,
    ],
    "of a dump": [raw(NLMSG_DONE, NLM_F_ACK_TLVS, `eaffffff ${WORDS}`), refused],
    "of a dump without words": [raw(NLMSG_DONE, 0, "eaffffff"), silent],
    "end of a dump of old kernels": [
      raw(NLMSG_DONE, 0, ""),
      { errno: 0, text: undefined, attributeOffset: undefined },
    ],
    "cut off behind the error": [raw(NLMSG_ERROR, NLM_F_ACK_TLVS, "eaffffff"), silent],
    "a length that points outside": [
      raw(NLMSG_ERROR, NLM_F_ACK_TLVS, `eaffffff f0ffffff 1000 0506 01000000 00000000 ${WORDS}`),
      silent,
    ],
  };
  for (const [name, [message, expected]] of Object.entries(cases)) {
    assertEquals(decodeAcknowledgement(message), expected, name);
  }
});

Deno.test("decodeAcknowledgement() refuses an offset that is cut off", () => {
  const message = raw(NLMSG_DONE, NLM_F_ACK_TLVS, "eaffffff 0600 0200 2400 0000");
  assertThrows(() => decodeAcknowledgement(message), RangeError, "too short");
});

Deno.test("isNotFound() and isExists() ask for the code, of netlink errors alone", () => {
  const cases = { ENOENT: [true, false], ESRCH: [true, false], EEXIST: [false, true] };
  for (const [code, expected] of Object.entries(cases)) {
    const error = new NetlinkError("RTM_NEWLINK", 1, code);
    assertEquals([isNotFound(error), isExists(error)], expected, code);
  }
  for (const other of [new Error("ENOENT"), { code: "EEXIST" }, undefined]) {
    assertEquals([isNotFound(other), isExists(other)], [false, false]);
  }
});

Deno.test("NetlinkBatchError counts what it does not print, and knows a stale generation", () => {
  const [first, second] = ["ENOENT", "ERESTART"].map((it, i) => new NetlinkError(`op ${i}`, 1, it));
  if (first === undefined || second === undefined) throw new Error("unreachable");
  const error = new NetlinkBatchError([first, second]);
  assertEquals(error.message, "Transaction refused: Cannot op 0: ENOENT (and 1 more)");
  assertEquals([error.isStale, new NetlinkBatchError([first]).isStale], [true, false]);
});
