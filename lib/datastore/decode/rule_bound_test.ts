import { assertEquals } from "@std/assert";
import { decodeClusterNetworkPolicy } from "./cluster_network_policy.ts";
import { decodeNetworkPolicy } from "./network_policy.ts";

function some(length: number, make: (index: number) => unknown): unknown[] {
  return Array.from({ length }, (_, index) => make(index));
}

const block = (index: number): object => ({
  ipBlock: { cidr: `10.${index >> 8 & 255}.${index & 255}.0/24` },
});
const selector = (index: number): object => ({ podSelector: { matchLabels: { a: `${index}` } } });
const EVERY = { namespaces: {} };

/** How many rules of each action are left, and how many problems there are. */
function decodeRules(ingress: unknown): unknown {
  const { value, problems } = decodeNetworkPolicy({
    metadata: { name: "p", namespace: "x" },
    spec: { ingress },
  });
  return [value?.ingress?.length, problems.length];
}

Deno.test("decodeNetworkPolicy() takes what grows by its parts, not by their product", () => {
  const ports = some(3_000, (index) => ({ port: index + 1 }));
  assertEquals(decodeRules([{ from: some(3_000, block), ports }]), [1, 0]);
  assertEquals(decodeRules([{ from: some(500, selector), ports }]), [1, 0]);
});

Deno.test("decodeNetworkPolicy() allows nothing from the rule on that is beyond the bound", () => {
  const cases: readonly (readonly [string, unknown[], number])[] = [
    ["addresses", [{}, { from: some(50_001, block) }, {}], 1],
    ["selectors", [{}, { from: some(501, selector) }, {}], 1],
    ["named ports", some(505, (index) => ({ ports: [{ port: `p${index}` }] })), 500],
    ["ports", [{ ports: some(10_000, (index) => ({ port: index + 1 })) }, {}], 0],
    ["rules", some(10_050, () => ({})), 10_000],
    ["exceptions", [{
      from: [{ ipBlock: { cidr: "10.0.0.0/8", except: some(50_000, () => "10.1.0.0/16") } }],
    }], 0],
    ["all rules together", some(11, () => ({ from: some(5_000, block) })), 10],
  ];
  for (const [name, ingress, left] of cases) {
    assertEquals(decodeRules(ingress), [left, 1], name);
  }
});

Deno.test("decodeClusterNetworkPolicy() denies all beyond the bound, but for what would accept", () => {
  const large = some(501, (index) => ({ namespaces: { matchLabels: { a: `${index}` } } }));
  const decode = (ingress: unknown): unknown => {
    const { value, problems } = decodeClusterNetworkPolicy({
      metadata: { name: "p" },
      spec: { tier: "Admin", priority: 1, subject: EVERY, ingress },
    });
    const rules = value?.ingress.map((it) => `${it.action} ${it.peers?.length ?? "every"}`);
    return [rules, problems.length];
  };
  const rule = (action: string, from: unknown): object => ({ action, from });
  assertEquals(
    decode([rule("Accept", [EVERY]), rule("Accept", large), rule("Accept", [EVERY])]),
    [["accept 1"], 1],
  );
  for (const action of ["Deny", "Pass", "Explode"]) {
    const rules = [rule("Accept", [EVERY]), rule(action, large), rule("Accept", [EVERY])];
    assertEquals(decode(rules), [["accept 1", "deny every"], 1], action);
  }
  const networks = some(50_001, (index) => `10.${index >> 8}.${index & 255}.0/24`);
  const { value } = decodeClusterNetworkPolicy({
    metadata: { name: "p" },
    spec: {
      ...{ tier: "Admin", priority: 1, subject: EVERY },
      egress: [{ action: "Deny", to: [{ networks }] }],
    },
  });
  assertEquals(value?.egress.map((it) => it.peers), [undefined]);
});
