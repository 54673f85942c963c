import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Address } from "../ip/address.ts";
import { rangeElements } from "../netlink/nftables/interval.ts";
import { elementsOf, memberElements } from "./element.ts";
import type { NamedSet } from "./ruleset.ts";

/** Addresses with many zeros, so that every form of "::" comes. */
const address: fc.Arbitrary<Address> = fc.array(
  fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 0, max: 255 })),
  { minLength: 16, maxLength: 16 },
).map((bytes) => Address.fromBytes(Uint8Array.from(bytes)));

Deno.test("memberElements() has the bytes of every canonical IPv6 text", () => {
  const known = ["::", "::1", "1::", "fd00:10:244::5", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4"]
    .map(Address.parse);
  const check = (it: Address): void => {
    const type = { key: "address", family: 6, isInterval: false } as const;
    const [element] = memberElements(type, [Address.parse(it.toString())]);
    assertEquals((element?.key ?? new Uint8Array()).toHex(), it.bytes.toHex(), `${it}`);
  };
  known.forEach(check);
  fc.assert(fc.property(address, check), { numRuns: 300 });
});

Deno.test("memberElements() takes the members of the set's family", () => {
  const members = ["10.0.0.1", "fd00::1", "10.1.2.255"].map(Address.parse);
  const keys = ([4, 6] as const).map((family) =>
    memberElements({ key: "address", family, isInterval: false }, members)
      .map((it) => it.key.toHex())
  );
  assertEquals(keys, [["0a000001", "0a0102ff"], ["fd000000000000000000000000000001"]]);
});

Deno.test("elementsOf() makes of address ranges what rangeElements() makes of their ends", () => {
  const [first4, last4] = ["0.0.0.0", "255.255.255.255"].map(Address.parse);
  const [first6, last6] = ["::", `${"ffff:".repeat(7)}ffff`].map(Address.parse);
  fc.assert(
    fc.property(
      fc.constantFrom<4 | 6>(4, 6),
      fc.array(fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), { maxLength: 8 }),
      (family, values) => {
        const shift = family === 4 ? 96n : 0n;
        const ends = values.map((it) => it >> shift);
        const [first, last] = family === 4 ? [first4, last4] : [first6, last6];
        const all = [...ends, first?.value ?? 0n, last?.value ?? 0n];
        const ranges = all.flatMap((a) =>
          all.filter((b) => b >= a).map((b) => ({ first: a, last: b }))
        );
        const expected = rangeElements(ranges.map((it) => ({
          first: Address.of(family, it.first).bytes,
          last: Address.of(family, it.last).bytes,
        })));
        const set: NamedSet = {
          name: "r",
          type: { key: "address", family, isInterval: true },
          elements: { kind: "ranges", ranges },
        };
        assertEquals(elementsOf(set), [...expected]);
      },
    ),
    { numRuns: 200 },
  );
});
