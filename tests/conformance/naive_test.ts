import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { decodeCluster } from "./decode_cluster.ts";
import { Address } from "../../lib/ip/address.ts";
import type { Protocol } from "../../lib/model/workload.ts";
import { evaluate, resolveEnd } from "../../lib/policy/evaluate.ts";
import { judge, type NaiveFlow } from "./naive.ts";
import type { NaiveCluster } from "./naive_objects.ts";
import { addressesIn, randomCluster, randomService } from "./random_objects.ts";
import { announceSeed } from "./seed.ts";

const CLUSTERS = 600;
const VERDICTS_MIN = 100_000;

Deno.test("evaluate() agrees with a naive evaluator on random clusters", () => {
  const seed = announceSeed("evaluate() against the naive evaluator");
  let verdicts = 0;
  let allowed = 0;
  const services = fc.tuple(randomService, randomService);
  fc.assert(
    fc.property(randomCluster, services, (cluster, services) => {
      const { cluster: decoded, problems } = decodeCluster(cluster);
      assertEquals(problems, []);
      for (const [source, destination] of pairsOf(addressesIn(cluster))) {
        const ends = {
          source: resolveEnd(decoded, Address.parse(source)),
          destination: resolveEnd(decoded, Address.parse(destination)),
        };
        for (const { protocol, port } of services) {
          const flow: NaiveFlow = { source, destination, protocol, port };
          const expected = judge(cluster, flow);
          const verdict = evaluate(decoded, {
            ...ends,
            protocol: protocol as Protocol | undefined,
            port,
          });
          const actual = { ingress: verdict.ingress.allowed, egress: verdict.egress.allowed };
          verdicts++;
          if (verdict.allowed) allowed++;
          if (actual.ingress === expected.ingress && actual.egress === expected.egress) continue;
          assertEquals(actual, expected, `${JSON.stringify(flow)}: ${JSON.stringify(verdict)}`);
        }
      }
    }),
    { seed, numRuns: CLUSTERS },
  );
  assert(verdicts >= VERDICTS_MIN, `only ${verdicts} verdicts`);
  const share = allowed / verdicts;
  assert(share > 0.1 && share < 0.9, `${share} are allowed: too many of one kind say little`);
});

/** All pairs within a family, each address and itself among them. */
function pairsOf(addresses: readonly string[]): [string, string][] {
  return addresses.flatMap((a) =>
    addresses.filter((b) => a.includes(":") === b.includes(":")).map((
      b,
    ): [string, string] => [a, b])
  );
}

// Cases that are plain to a reader, so that the naive evaluator, which judges the others, is tested too.

const EMPTY: NaiveCluster = {
  namespaces: [{ metadata: { name: "x" } }, { metadata: { name: "y", labels: { team: "y" } } }],
  nodes: [{ metadata: { name: "n" }, status: { addresses: [{ address: "172.16.0.1" }] } }],
  pods: ["x/a", "x/b", "y/a"].map((key, index) => {
    const [namespace = "", name = ""] = key.split("/");
    return {
      metadata: { namespace, name, labels: { pod: name } },
      spec: { nodeName: "n", containers: [{ ports: [{ name: "http", containerPort: 80 }] }] },
      status: { phase: "Running", podIPs: [{ ip: `10.0.0.${index + 1}` }] },
    };
  }),
  policies: [],
  clusterPolicies: [],
};

const XA = "10.0.0.1";
const XB = "10.0.0.2";
const YA = "10.0.0.3";
const NODE = "172.16.0.1";

function policies(...specs: NaiveCluster["policies"][number]["spec"][]): Partial<NaiveCluster> {
  return {
    policies: specs.map((spec, index) => ({
      metadata: { namespace: "x", name: `policy${index}` },
      spec,
    })),
  };
}

type ClusterSpec = NaiveCluster["clusterPolicies"][number]["spec"];

function clusterPolicies(...specs: ClusterSpec[]): Partial<NaiveCluster> {
  return {
    clusterPolicies: specs.map((spec, index) => ({ metadata: { name: `policy${index}` }, spec })),
  };
}

const everyone = { namespaces: {} };
const denyAll: ClusterSpec = {
  tier: "Admin",
  priority: 10,
  subject: everyone,
  ingress: [{ action: "Deny", from: [everyone] }],
};

const denyNodes: ClusterSpec = {
  tier: "Admin",
  priority: 10,
  subject: everyone,
  egress: [{ action: "Deny", to: [{ nodes: {} }] }],
};

const VERDICTS: readonly [string, Partial<NaiveCluster>, string, string, boolean][] = [
  ["nothing governs", {}, YA, XA, true],
  ["default deny", policies({ podSelector: {} }), YA, XA, false],
  ["default deny is for its namespace", policies({ podSelector: {} }), XA, YA, true],
  ["default deny does not keep the node out", policies({ podSelector: {} }), NODE, XA, true],
  [
    "default deny does not keep a pod from its node",
    policies({ podSelector: {}, policyTypes: ["Egress"] }),
    XA,
    NODE,
    true,
  ],
  [
    "default deny does not keep a pod from itself",
    policies({ podSelector: {}, policyTypes: ["Ingress", "Egress"] }),
    XA,
    XA,
    true,
  ],
  ["allow all", policies({ podSelector: {} }, { podSelector: {}, ingress: [{}] }), YA, XA, true],
  ["an empty from is everyone", policies({ ingress: [{ from: [] }] }), YA, XA, true],
  [
    "a pod selector is about the policy's namespace",
    policies({ ingress: [{ from: [{ podSelector: { matchLabels: { pod: "a" } } }] }] }),
    YA,
    XB,
    false,
  ],
  [
    "a namespace selector is about namespaces",
    policies({ ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: "y" } } }] }] }),
    YA,
    XB,
    true,
  ],
  ["a named port", policies({ ingress: [{ ports: [{ port: "http" }] }] }), YA, XA, true],
  ["another port", policies({ ingress: [{ ports: [{ port: 81 }] }] }), YA, XA, false],
  ["no port is every port", policies({ ingress: [{ ports: [{}] }] }), YA, XA, true],
  [
    "an exception",
    policies({ ingress: [{ from: [{ ipBlock: { cidr: "10.0.0.0/8", except: [`${YA}/32`] } }] }] }),
    YA,
    XA,
    false,
  ],
  [
    "egress rules make a policy of egress",
    policies({ egress: [{ to: [{ podSelector: {} }] }] }),
    XA,
    YA,
    false,
  ],
  ["a cluster's denial", clusterPolicies(denyAll), YA, XA, false],
  [
    "a cluster's denial is final",
    { ...clusterPolicies(denyAll), ...policies({ ingress: [{}] }) },
    YA,
    XA,
    false,
  ],
  [
    "the lower priority is asked first",
    clusterPolicies(denyAll, {
      ...denyAll,
      priority: 9,
      ingress: [{ action: "Pass", from: [everyone] }],
    }),
    YA,
    XA,
    true,
  ],
  ["a cluster's denial keeps a pod from itself", clusterPolicies(denyAll), XA, XA, false],
  ["a cluster's denial keeps a pod from its node", clusterPolicies(denyNodes), XA, NODE, false],
  [
    "a cluster's denial of a pod's node is final",
    {
      ...clusterPolicies(denyNodes),
      ...policies({ policyTypes: ["Egress"], egress: [{}] }),
    },
    XA,
    NODE,
    false,
  ],
  [
    "the baseline keeps a pod from its node",
    clusterPolicies({ ...denyNodes, tier: "Baseline" }),
    XA,
    NODE,
    false,
  ],
  [
    "policy comes before the baseline, for a pod's node too",
    {
      ...clusterPolicies({ ...denyNodes, tier: "Baseline" }),
      ...policies({ policyTypes: ["Egress"] }),
    },
    XA,
    NODE,
    true,
  ],
  [
    "policy of egress leaves ingress to the baseline",
    {
      ...clusterPolicies({ ...denyAll, tier: "Baseline" }),
      ...policies({ policyTypes: ["Egress"], egress: [{}] }),
    },
    YA,
    XA,
    false,
  ],
  [
    "policy comes before the baseline",
    { ...clusterPolicies({ ...denyAll, tier: "Baseline" }), ...policies({ ingress: [{}] }) },
    YA,
    XA,
    true,
  ],
  [
    "the baseline has the last word",
    clusterPolicies({ ...denyAll, tier: "Baseline" }),
    YA,
    XA,
    false,
  ],
];

for (const [what, changes, source, destination, expected] of VERDICTS) {
  Deno.test(`judge(): ${what}`, () => {
    const flow = { source, destination, protocol: "TCP", port: 80 };
    const { ingress, egress } = judge({ ...EMPTY, ...changes }, flow);
    assertEquals(ingress && egress, expected);
  });
}
