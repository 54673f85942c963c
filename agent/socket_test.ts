import { assertEquals } from "@std/assert";
import { Address } from "../lib/ip/address.ts";
import type { Desired, DesiredEndpoint } from "../lib/model/desired.ts";
import type { Attachment } from "../lib/model/facts.ts";
import { isEnforced } from "./socket.ts";

const ATTACHMENT: Attachment = {
  containerId: "c1",
  ifname: "eth0",
  namespace: "x",
  pod: "web",
  uid: "u1",
  interfaceName: "cali1",
  addresses: [Address.parse("10.0.0.1"), Address.parse("fd00::1")],
};
const ENDPOINT: DesiredEndpoint = {
  interfaceName: "cali1",
  workload: "x/web",
  uid: "u1",
  addresses: ["10.0.0.1", "10.0.0.9", "fd00::1"].map(Address.parse),
  ingress: undefined,
  attachedAddresses: [],
  egress: undefined,
  hostEgress: undefined,
};

function enforced(changes: Partial<DesiredEndpoint>): { readonly enforced: Desired } {
  const endpoint = { ...ENDPOINT, ...changes };
  return {
    enforced: {
      endpoints: new Map([[endpoint.interfaceName ?? endpoint.workload, endpoint]]),
      programs: new Map(),
      policies: new Map(),
      sets: new Map(),
      hostAddresses: [],
      conflicts: new Map(),
    },
  };
}

Deno.test("isEnforced() means this very attachment: interface, pod, uid and every address", () => {
  const cases: readonly (readonly [string, Partial<DesiredEndpoint>, boolean])[] = [
    ["all of it", {}, true],
    ["another interface", { interfaceName: "cali2" }, false],
    ["no interface", { interfaceName: undefined }, false],
    ["another pod", { workload: "x/db" }, false],
    ["another pod of the same name", { uid: "u2" }, false],
    ["an address missing", { addresses: [Address.parse("10.0.0.1")] }, false],
    ["other addresses", { addresses: ["10.0.0.2", "fd00::2"].map(Address.parse) }, false],
  ];
  for (const [name, changes, expected] of cases) {
    assertEquals(isEnforced(enforced(changes), ATTACHMENT), expected, name);
  }
  assertEquals(isEnforced({ enforced: undefined }, ATTACHMENT), false);
  const nameless = { ...ATTACHMENT, uid: undefined };
  assertEquals(isEnforced(enforced({ uid: "u2" }), nameless), true, "without uid the name must do");
});
