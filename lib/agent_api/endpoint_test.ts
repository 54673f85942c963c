import { assertEquals, assertThrows } from "@std/assert";
import { decodeEndpoint } from "./endpoint.ts";

const ID = { containerId: "c1", ifname: "eth0" };

Deno.test("decodeEndpoint() names every field that is wrong", () => {
  const error = assertThrows(
    () =>
      decodeEndpoint({ containerId: "../c", ifname: "a/b" }, {
        ...{ namespace: "X", pod: 1, uid: "a b", interface: "", addresses: ["x"] },
      }),
    SyntaxError,
  );
  assertEquals(error instanceof Error && error.message.split("; ").length, 7);
  for (const body of [undefined, null, 1, "x", [], {}]) {
    assertThrows(() => decodeEndpoint(ID, body), SyntaxError);
  }
});

Deno.test("decodeEndpoint() takes no more addresses than an interface can have", () => {
  const body = { namespace: "shop", pod: "web-0", interface: "cali1" };
  const addresses = Array.from({ length: 17 }, (_, index) => `10.0.0.${index}`);
  assertEquals(decodeEndpoint(ID, { ...body, addresses: addresses.slice(1) }).addresses.length, 16);
  for (const wrong of [addresses, [], undefined, "10.0.0.1"]) {
    assertThrows(() => decodeEndpoint(ID, { ...body, addresses: wrong }), SyntaxError, "addresses");
  }
});
