import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { formatHex } from "../base/bytes.ts";
import { Address } from "../ip/address.ts";
import { memberElements } from "./element.ts";

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
    const [element] = memberElements(type, [it.toString()]);
    assertEquals(formatHex(element?.key ?? new Uint8Array()), formatHex(it.bytes), `${it}`);
  };
  known.forEach(check);
  fc.assert(fc.property(address, check), { numRuns: 300 });
});

Deno.test("memberElements() takes the members of the set's family", () => {
  const members = ["10.0.0.1", "fd00::1", "10.1.2.255"];
  const keys = ([4, 6] as const).map((family) =>
    memberElements({ key: "address", family, isInterval: false }, members)
      .map((it) => formatHex(it.key))
  );
  assertEquals(keys, [["0a000001", "0a0102ff"], ["fd000000000000000000000000000001"]]);
});
