import { assertEquals } from "@std/assert";
import { Prefix } from "../ip/prefix.ts";
import type { NetworkPolicy } from "./policy.ts";
import { policyCost } from "./policy_cost.ts";

Deno.test("policyCost() counts rules, ports, peers, and networks with their exceptions", () => {
  const policy: NetworkPolicy = {
    namespace: "x",
    name: "p",
    podSelector: [],
    ingress: undefined,
    egress: undefined,
    resourceVersion: "1",
  };
  assertEquals(policyCost(policy), 0);
  assertEquals(policyCost({ ...policy, ingress: [], egress: [] }), 0);
  const all = { peers: undefined, ports: undefined };
  assertEquals(policyCost({ ...policy, ingress: [all, all], egress: [all] }), 3);
  const [cidr, a, b] = ["10.0.0.0/8", "10.0.0.0/32", "10.0.0.9/32"].map(Prefix.parse);
  if (cidr === undefined || a === undefined || b === undefined) throw new TypeError("Three texts");
  const rule = {
    peers: [
      { kind: "addresses", cidr, except: [a, b] },
      { kind: "pods", podSelector: [], namespaceSelector: [] },
    ],
    ports: [{ protocol: "TCP", port: "http" }, { protocol: "UDP", port: undefined }],
  } as const;
  assertEquals(policyCost({ ...policy, ingress: [rule], egress: [rule] }), 14);
});
