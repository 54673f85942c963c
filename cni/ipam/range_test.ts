import { assertEquals, assertThrows } from "@std/assert";
import { Address } from "../../lib/ip/address.ts";
import { Prefix } from "../../lib/ip/prefix.ts";
import {
  candidates,
  completeRange,
  formatRange,
  type IpamRange,
  type RangeSet,
  validateRangeSets,
} from "./range.ts";

/** `subnet [start [end [gateway]]]`. */
function range(text: string): IpamRange {
  const [subnet = "", ...rest] = text.split(" ");
  const [rangeStart, rangeEnd, gateway] = rest.map((it) => Address.parse(it));
  return completeRange({ subnet: Prefix.parse(subnet), rangeStart, rangeEnd, gateway });
}

function tried(set: RangeSet, last?: string): string[] {
  return [...candidates(set, last === undefined ? undefined : Address.parse(last))]
    .map((it) => `${it.address}`.replace(/^10\.0\./, ""));
}

Deno.test("completeRange() fills in what is unsaid", () => {
  const cases = [
    ["10.0.0.0/24", "10.0.0.1-10.0.0.254", "10.0.0.1"],
    ["10.0.0.0/30", "10.0.0.1-10.0.0.2", "10.0.0.1"],
    ["fd00::/126", "fd00::1-fd00::3", "fd00::1"],
    ["fd00::/64", "fd00::1-fd00::ffff:ffff:ffff:ffff", "fd00::1"],
    ["10.0.0.0/24 10.0.0.10 10.0.0.20 10.0.0.254", "10.0.0.10-10.0.0.20", "10.0.0.254"],
  ];
  for (const [text = "", ends, gateway] of cases) {
    assertEquals([formatRange(range(text)), `${range(text).gateway}`], [ends, gateway], text);
  }
});

Deno.test("completeRange() refuses what cannot be allocated from", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["10.0.0.0/31", "too small"],
    ["10.0.0.1/32", "too small"],
    ["fd00::/127", "too small"],
    ["10.0.0.7/24", "host bits"],
    ["10.0.0.0/24 10.0.1.1", "rangeStart"],
    ["10.0.0.0/24 10.0.0.1 10.0.1.1", "rangeEnd"],
    ["10.0.0.0/24 10.0.0.9 10.0.0.8", "before"],
    ["10.0.0.0/24 fd00::1", "rangeStart"],
    ["10.0.0.0/24 10.0.0.1 10.0.0.2 fd00::1", "another family"],
  ];
  for (const [text, message] of cases) assertThrows(() => range(text), RangeError, message, text);
});

Deno.test("validateRangeSets() refuses overlaps and mixtures, and nothing else", () => {
  const sets = (text: string): RangeSet[] =>
    text.split("; ").map((set) => set === "" ? [] : set.split(", ").map(range));
  for (
    const text of [
      "10.0.0.0/24, 10.0.1.0/24; fd00::/64",
      "10.0.0.0/24 10.0.0.1 10.0.0.9, 10.0.0.0/24 10.0.0.10",
    ]
  ) {
    validateRangeSets(sets(text));
  }
  const cases: readonly (readonly [string, string])[] = [
    ["", "Empty"],
    ["10.0.0.0/24, fd00::/64", "mixes"],
    ["10.0.0.0/24, 10.0.0.0/16", "overlap"],
    ["10.0.0.0/24; 10.0.0.0/25", "overlap"],
    ["10.0.0.0/24 10.0.0.1 10.0.0.9, 10.0.0.0/24 10.0.0.9", "overlap"],
  ];
  for (const [text, message] of cases) {
    assertThrows(() => validateRangeSets(sets(text)), RangeError, message, text);
  }
});

Deno.test("candidates() goes around once, without the gateway, and ends with the last one", () => {
  const one = [range("10.0.0.0/29")];
  assertEquals(tried(one), ["0.2", "0.3", "0.4", "0.5", "0.6"]);
  assertEquals(tried(one, "10.0.0.4"), ["0.5", "0.6", "0.2", "0.3", "0.4"]);
  assertEquals(tried(one, "10.0.0.6"), ["0.2", "0.3", "0.4", "0.5", "0.6"]);
  assertEquals(tried(one, "192.0.2.1"), tried(one));
  const two = [range("10.0.0.0/30"), range("10.0.1.0/29 10.0.1.4")];
  assertEquals(tried(two), ["0.2", "1.4", "1.5", "1.6"]);
  assertEquals(tried(two, "10.0.1.5"), ["1.6", "0.2", "1.4", "1.5"]);
  assertEquals(tried(two, "10.0.0.2"), ["1.4", "1.5", "1.6", "0.2"]);
});

Deno.test("candidates() leaves out what is excluded, in one step", () => {
  const subnet = Prefix.parse("10.0.0.0/28");
  const exclude = ["10.0.0.3/32", "10.0.0.4/30", "10.0.0.6/32", "10.0.0.14/32"].map(Prefix.parse);
  const set = [completeRange({ subnet, exclude })];
  assertEquals(tried(set), ["0.2", "0.8", "0.9", "0.10", "0.11", "0.12", "0.13"]);
  assertEquals(tried(set, "10.0.0.12"), ["0.13", "0.2", "0.8", "0.9", "0.10", "0.11", "0.12"]);
  assertEquals(tried(set, "10.0.0.5"), ["0.8", "0.9", "0.10", "0.11", "0.12", "0.13", "0.2"]);
  const large = completeRange({
    subnet: Prefix.parse("fd00::/64"),
    exclude: [Prefix.parse("fd00::/65")],
  });
  const [first] = candidates([large], undefined);
  assertEquals(`${first?.address}`, "fd00::8000:0:0:0");
});

Deno.test("candidates() takes no longer for a large range", () => {
  const [first] = candidates([range("fd00::/64")], Address.parse("fd00::ffff"));
  assertEquals(`${first?.address}`, "fd00::1:0");
});
