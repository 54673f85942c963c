import { assertEquals, assertThrows } from "@std/assert";
import { Address } from "../../lib/ip/address.ts";
import { Prefix } from "../../lib/ip/prefix.ts";
import type { LabelSelector } from "../../lib/model/labels.ts";
import type { ClusterNetworkPolicy, NetworkPolicy } from "../../lib/model/policy.ts";
import type { Workload } from "../../lib/model/workload.ts";
import type { Cluster } from "../../lib/policy/evaluate.ts";
import { CtlError } from "../error.ts";
import { parseSource, parseTarget } from "./end.ts";
import { describeExplanation, explain, formatExplanation } from "./explanation.ts";
import { flowsBetween, resolveParty } from "./resolve.ts";

function pod(namespace: string, name: string, change: Partial<Workload>): Workload {
  return {
    namespace,
    name,
    uid: "u",
    nodeName: "n1",
    labels: { app: name },
    serviceAccount: "default",
    addresses: [],
    hostNetwork: false,
    finished: false,
    ports: [],
    resourceVersion: "1",
    ...change,
  };
}

const app = (value: string): LabelSelector => [{ key: "app", operator: "In", values: [value] }];

const webAllow: NetworkPolicy = {
  namespace: "shop",
  name: "web-allow",
  podSelector: app("web"),
  ingress: [
    {
      peers: [
        { kind: "addresses", cidr: Prefix.parse("192.0.2.0/24"), except: [] },
        { kind: "pods", podSelector: app("client"), namespaceSelector: undefined },
      ],
      ports: [{ protocol: "TCP", port: { first: 80, last: 80 } }],
    },
    {
      peers: [{
        kind: "pods",
        podSelector: [],
        namespaceSelector: [{ key: "team", operator: "In", values: ["ops"] }],
      }],
      ports: undefined,
    },
  ],
  egress: undefined,
  resourceVersion: "1",
};

const denyAll: NetworkPolicy = {
  namespace: "shop",
  name: "deny-all",
  podSelector: [],
  ingress: [],
  egress: undefined,
  resourceVersion: "1",
};

const cluster: Cluster = {
  pods: [
    pod("shop", "web", {
      addresses: [Address.parse("10.244.0.7"), Address.parse("fd00::7")],
      ports: [{ name: "http", protocol: "TCP", port: 80 }],
    }),
    pod("shop", "client", {
      nodeName: "n2",
      addresses: [Address.parse("10.244.1.8"), Address.parse("fd00:1::8")],
    }),
    pod("shop", "new-7d4b9", { nodeName: "" }),
    pod("shop", "done", { addresses: [Address.parse("10.244.0.9")], finished: true }),
    pod("kube-system", "proxy", { addresses: [Address.parse("192.0.2.2")], hostNetwork: true }),
    pod("ops", "prober", { addresses: [Address.parse("10.244.1.9")] }),
    pod("ops", "liar", { addresses: [Address.parse("192.0.2.2"), Address.parse("10.244.1.10")] }),
  ],
  namespaces: [
    { name: "shop", labels: {}, isIsolated: false, denyAction: undefined },
    { name: "ops", labels: { team: "ops" }, isIsolated: false, denyAction: undefined },
  ],
  policies: [webAllow, denyAll],
  nodes: [
    { name: "n1", labels: {}, podCidrs: [], addresses: [Address.parse("192.0.2.1")] },
    { name: "n2", labels: {}, podCidrs: [], addresses: [Address.parse("192.0.2.2")] },
  ],
};

function ask(source: string, destination: string, facts = cluster) {
  const target = parseTarget(destination, "shop");
  const from = resolveParty({ cluster: facts }, parseSource(source, "shop"));
  const to = resolveParty({ cluster: facts }, target.party);
  return explain(facts, from, to, flowsBetween(from, to, target.port));
}

const EXPLANATIONS: readonly [string, string, string][] = [
  [
    "ops/liar",
    "web:81",
    `ops/liar (10.244.1.10, node n1) to shop/web (10.244.0.7, node n1), TCP port 81: ALLOWED
  egress from ops/liar: allowed, no policy selects it for egress
  ingress to shop/web: allowed, policy shop/web-allow spec.ingress[1].from[0]: from all pods of namespaces team=ops, on every port
Note: ops/liar claims 192.0.2.2, which is a node's address: it is not believed to be the pod's.
Note: Policy allows it; another firewall on the way (or a dead server) still may not.
`,
  ],
  [
    "client",
    "web:80",
    `shop/client (10.244.1.8, fd00:1::8, node n2) to shop/web (10.244.0.7, fd00::7, node n1), TCP port 80: ALLOWED
  egress from shop/client: allowed, no policy selects it for egress
  ingress to shop/web: allowed, policy shop/web-allow spec.ingress[0].from[1]: from pods app=client of namespace shop, on TCP 80
Note: Policy allows it; another firewall on the way (or a dead server) still may not.
`,
  ],
  [
    "client",
    "web:81/udp",
    `shop/client (10.244.1.8, fd00:1::8, node n2) to shop/web (10.244.0.7, fd00::7, node n1), UDP port 81: DENIED
  egress from shop/client: allowed, no policy selects it for egress
  ingress to shop/web: denied, selected by 2 policies, and no rule allows it
    shop/deny-all: has no ingress rules
    shop/web-allow
      spec.ingress[0]: from 192.0.2.0/24 or pods app=client of namespace shop, on TCP 80
      spec.ingress[1]: from all pods of namespaces team=ops, on every port
`,
  ],
  [
    "ops/prober",
    "web",
    `ops/prober (10.244.1.9, node n1) to shop/web (10.244.0.7, node n1), no port: ALLOWED
  egress from ops/prober: allowed, no policy selects it for egress
  ingress to shop/web: allowed, policy shop/web-allow spec.ingress[1].from[0]: from all pods of namespaces team=ops, on every port
Note: Without a port this asks for ICMP (ping): only rules without ports allow that.
Note: Policy allows it; another firewall on the way (or a dead server) still may not.
`,
  ],
  [
    "web",
    "10.244.1.9:9090",
    `shop/web (10.244.0.7, node n1) to ops/prober (10.244.1.9, node n1), TCP port 9090: ALLOWED
  egress from shop/web: allowed, no policy selects it for egress
  ingress to ops/prober: allowed, no policy selects it for ingress
Note: Policy allows it; another firewall on the way (or a dead server) still may not.
`,
  ],
  [
    "192.0.2.1",
    "web:9",
    `192.0.2.1 (node n1) to shop/web (10.244.0.7, node n1), TCP port 9: ALLOWED
  egress from 192.0.2.1: allowed, it is no pod that policy governs
  ingress to shop/web: allowed, a pod's own node n1 always reaches it
Note: Policy allows it; another firewall on the way (or a dead server) still may not.
`,
  ],
  [
    "kube-system/proxy",
    "web:9",
    `kube-system/proxy (192.0.2.2, node n1) to shop/web (10.244.0.7, node n1), TCP port 9: DENIED
  egress from kube-system/proxy: allowed, it is no pod that policy governs
  ingress to shop/web: denied, selected by 2 policies, and no rule allows it
    shop/deny-all: has no ingress rules
    shop/web-allow
      spec.ingress[0]: from 192.0.2.0/24 or pods app=client of namespace shop, on TCP 80
      spec.ingress[1]: from all pods of namespaces team=ops, on every port
Note: kube-system/proxy is on the network of its node n1: NetworkPolicy does not govern it, and no pod selector means it.
`,
  ],
  [
    "203.0.113.9",
    "new-7d4b9:80",
    `203.0.113.9 to shop/new-7d4b9, TCP port 80: DENIED
  egress from 203.0.113.9: allowed, it is no pod that policy governs
  ingress to shop/new-7d4b9: denied, selected by 1 policy, and no rule allows it
    shop/deny-all: has no ingress rules
Note: No pod or node has 203.0.113.9. If it is a Service's address, ask for a pod behind it: policy sees addresses after service translation.
Note: shop/new-7d4b9 has no address yet: an ipBlock counts only where it holds every address.
`,
  ],
  [
    "web",
    "10.244.0.7:80",
    `shop/web (10.244.0.7, node n1) to itself through a Service, TCP port 80: ALLOWED
  egress from shop/web: allowed, no policy selects it for egress
  ingress to shop/web: allowed, no NetworkPolicy keeps a pod from itself
Note: By its own address shop/web always reaches itself: that never leaves the pod, and no policy sees it.
Note: Policy allows it; another firewall on the way (or a dead server) still may not.
`,
  ],
];
for (const [source, destination, expected] of EXPLANATIONS) {
  Deno.test(`explain ${source} ${destination}`, () => {
    assertEquals(formatExplanation(cluster, ask(source, destination)), expected);
  });
}

Deno.test("formatExplanation() tells the families apart where the verdicts differ", () => {
  const blocks = {
    ...webAllow,
    ingress: [{
      peers: [{ kind: "addresses", cidr: Prefix.parse("fd00::/16"), except: [] } as const],
      ports: undefined,
    }],
  };
  const changed = { ...cluster, policies: [blocks] };
  const [from, to] = ["client", "web"].map((it) =>
    resolveParty({ cluster }, parseSource(it, "shop"))
  );
  if (from === undefined || to === undefined) throw new Error("Two ends were asked for");
  const flows = flowsBetween(from, to, { port: "http", protocol: "TCP" });
  assertEquals(
    formatExplanation(changed, explain(changed, from, to, flows)),
    `shop/client (10.244.1.8, node n2) to shop/web (10.244.0.7, node n1), TCP port 80: DENIED
  egress from shop/client: allowed, no policy selects it for egress
  ingress to shop/web: denied, selected by 1 policy, and no rule allows it
    shop/web-allow
      spec.ingress[0]: from fd00::/16, on every port
shop/client (fd00:1::8, node n2) to shop/web (fd00::7, node n1), TCP port 80: ALLOWED
  egress from shop/client: allowed, no policy selects it for egress
  ingress to shop/web: allowed, policy shop/web-allow spec.ingress[0].from[0]: from fd00::/16, on every port
Note: Policy allows it; another firewall on the way (or a dead server) still may not.
`,
  );
});

const denyEgress: NetworkPolicy = { ...denyAll, ingress: undefined, egress: [] };

/** Keeps every pod from all nodes, and from the pods of shop. */
const denial: ClusterNetworkPolicy = {
  name: "no-nodes",
  tier: "admin",
  priority: 1,
  namespaceSelector: [],
  podSelector: [],
  ingress: [],
  egress: [{
    name: "nodes",
    action: "deny",
    peers: [
      { kind: "nodes", selector: [] },
      { kind: "pods", podSelector: [], namespaceSelector: [] },
    ],
    ports: undefined,
  }],
  resourceVersion: "1",
};

const EXEMPTIONS: readonly [string, string, Partial<Cluster>, string][] = [
  ["a NetworkPolicy from its own node", "192.0.2.1:9", { policies: [denyEgress] }, "ALLOWED"],
  ["a NetworkPolicy from itself", "web:9", { policies: [denyEgress] }, "ALLOWED"],
  ["an Admin denial from its own node", "192.0.2.1:9", { clusterPolicies: [denial] }, "DENIED"],
  ["an Admin denial from itself", "web:9", { clusterPolicies: [denial] }, "DENIED"],
  [
    "a Baseline denial from its own node",
    "192.0.2.1:9",
    { clusterPolicies: [{ ...denial, tier: "baseline" }] },
    "DENIED",
  ],
  [
    "a Baseline denial that a NetworkPolicy comes before from its own node",
    "192.0.2.1:9",
    { clusterPolicies: [{ ...denial, tier: "baseline" }], policies: [denyEgress] },
    "ALLOWED",
  ],
];
for (const [what, destination, change, expected] of EXEMPTIONS) {
  Deno.test(`explain what becomes of ${what}`, () => {
    const changed = { ...cluster, policies: [], ...change };
    const [first = ""] = formatExplanation(changed, ask("web", destination, changed)).split("\n");
    assertEquals(first.slice(first.lastIndexOf(" ") + 1), expected);
  });
}

Deno.test("explain says why a pod reaches its own node and itself", () => {
  const changed = { ...cluster, policies: [denyEgress] };
  const reasonOf = (destination: string): string | undefined =>
    formatExplanation(changed, ask("web", destination, changed)).split("\n")[1];
  assertEquals(
    reasonOf("192.0.2.1:9"),
    "  egress from shop/web: allowed, no NetworkPolicy keeps a pod from its own node n1",
  );
  assertEquals(
    reasonOf("web:9"),
    "  egress from shop/web: allowed, no NetworkPolicy keeps a pod from itself",
  );
});

Deno.test("describeExplanation() says that policy sees a pod reach itself through a Service", () => {
  const changed = { ...cluster, policies: [], clusterPolicies: [denial] };
  const { allowed, flows } = JSON.parse(
    JSON.stringify(describeExplanation(ask("web", "10.244.0.7:80", changed))),
  );
  assertEquals(allowed, false);
  assertEquals(flows.map((it: Record<string, unknown>) => [it.throughService, it.egress]), [[true, {
    allowed: false,
    reason: {
      kind: "deniedBy",
      tier: "admin",
      policy: "no-nodes",
      rule: 0,
      ruleName: "nodes",
      peer: 1,
    },
  }]]);
});

Deno.test("describeExplanation() carries the evaluator's reasons", () => {
  assertEquals(JSON.parse(JSON.stringify(describeExplanation(ask("ops/prober", "web:9")))), {
    allowed: true,
    flows: [{
      source: { address: "10.244.1.9", pod: "ops/prober", node: "n1" },
      destination: { address: "10.244.0.7", pod: "shop/web", node: "n1" },
      protocol: "TCP",
      port: 9,
      allowed: true,
      egress: { allowed: true, reason: { kind: "notSelected" } },
      ingress: {
        allowed: true,
        reason: {
          kind: "allowedBy",
          tier: "namespaced",
          ruleName: "",
          policy: "shop/web-allow",
          rule: 1,
          peer: 0,
        },
      },
    }],
    notes: ["Policy allows it; another firewall on the way (or a dead server) still may not."],
  });
});

const REFUSED: readonly [string, string, string][] = [
  ["ghost", "web", "No pod shop/ghost"],
  ["new", "web", 'No pod shop/new; did you mean "new-7d4b9"?'],
  ["clinet", "web", 'No pod shop/clinet; did you mean "client"?'],
  ["prober", "web", 'No pod shop/prober; did you mean "ops/prober"?'],
  ["empty/x", "web", "No pod empty/x: namespace empty has no pods"],
  ["done", "web", "Pod shop/done has finished: it has no address that is its own any more"],
  ["client", "web:ftp", 'shop/web has no port named "ftp" for TCP: it names http/tcp'],
  ["client", "web:http/udp", 'shop/web has no port named "http" for UDP: it names http/tcp'],
  ["client", "192.0.2.1:http", "192.0.2.1 is no pod: write the port as a number"],
  [
    "ops/prober",
    "fd00::7",
    "ops/prober and shop/web have no IP family in common: nothing can flow",
  ],
];
for (const [source, destination, message] of REFUSED) {
  Deno.test(`explain ${source} ${destination} is refused`, () => {
    assertEquals(assertThrows(() => ask(source, destination), CtlError).message, message);
  });
}
