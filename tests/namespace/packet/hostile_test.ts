/**
 * Objects that no API server would store, and large ones. The kernel accepts the ruleset that results from
 * them, and an agent that restarts reads it back as equal to what it would write.
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { createLogger } from "../../../lib/base/log.ts";
import { Dataplane } from "../../../lib/dataplane/apply.ts";
import { compile } from "../../../lib/dataplane/compile/compile.ts";
import { decodeClusterNetworkPolicy } from "../../../lib/datastore/decode/cluster_network_policy.ts";
import { decodeNamespace } from "../../../lib/datastore/decode/namespace.ts";
import { decodeNetworkPolicy } from "../../../lib/datastore/decode/network_policy.ts";
import { decodePod } from "../../../lib/datastore/decode/pod.ts";
import { NETLINK_NETFILTER, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import { PolicyGraph } from "../../../lib/policy/graph.ts";
import { announceSeed } from "../../conformance/seed.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";

const NODE = "node1";
const RUNS = 150;

/** What a field may hold, its own kind of value most often. */
function or<T>(value: fc.Arbitrary<T>): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 12, arbitrary: value }, {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>(null, undefined, {}, [], "", "x", -1, 65_536, true, [null]),
  });
}

function object(fields: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<unknown> {
  return or(fc.record({
    ...Object.fromEntries(Object.entries(fields).map(([name, it]) => [name, or(it)])),
  }, { requiredKeys: [] }));
}

function list(item: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return or(fc.array(or(item), { maxLength: 3 }));
}

const text = fc.oneof(
  fc.constantFrom("a", "b", "web", '"', "a b", "ü", "\n", "\0", "/", "*", "{", "}", "#", "$(x)"),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constant("n".repeat(400)),
);
const selector = object({
  matchLabels: fc.dictionary(text, or(text) as fc.Arbitrary<string>, { maxKeys: 2 }),
  matchExpressions: list(object({
    key: text,
    operator: fc.constantFrom("In", "NotIn", "Exists", "DoesNotExist", "Gt"),
    values: fc.array(text, { maxLength: 3 }),
  })),
});
const cidr = fc.constantFrom(
  "0.0.0.0/0",
  "::/0",
  "10.0.0.0/8",
  "10.0.0.255/31",
  "255.255.255.255/32",
  "0.0.0.0/32",
  "::/128",
  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
  "fd00::/64",
  "::ffff:10.0.0.0/104",
  "10.0.0.0/33",
);
const number = fc.constantFrom(1, 2, 80, 65_534, 65_535, 0, 65_536, "80", "http", "-");
const protocol = fc.constantFrom("TCP", "UDP", "SCTP", "ICMP", "tcp");
const peer = object({
  podSelector: selector,
  namespaceSelector: selector,
  ipBlock: object({ cidr, except: fc.array(cidr, { maxLength: 4 }) }),
});
const port = object({ protocol, port: number, endPort: number });
const policySpec = object({
  podSelector: fc.oneof(fc.constant({}), selector),
  policyTypes: list(fc.constantFrom("Ingress", "Egress", "Transit")),
  ingress: list(object({ from: list(peer), ports: list(port) })),
  egress: list(object({ to: list(peer), ports: list(port) })),
});
const pods = object({ namespaceSelector: selector, podSelector: selector });
const clusterPeer = fc.oneof(
  object({ namespaces: selector }),
  object({ pods }),
  object({ nodes: selector }),
  object({ networks: list(cidr) }),
  object({ domainNames: list(text) }),
);
const transport = object({
  destinationPort: fc.oneof(
    object({ number }),
    object({ range: object({ start: number, end: number }) }),
  ),
});
const clusterRule = (peers: string): fc.Arbitrary<unknown> =>
  object({
    name: text,
    action: fc.constantFrom("Accept", "Deny", "Pass", "Log"),
    [peers]: list(clusterPeer),
    protocols: list(fc.oneof(
      object({ tcp: transport }),
      object({ udp: transport }),
      object({ sctp: transport }),
      object({ destinationNamedPort: text }),
    )),
  });
const clusterSpec = object({
  tier: fc.constantFrom("Admin", "Baseline", "Other"),
  priority: fc.constantFrom(0, 1, 1000, 1001, "1"),
  subject: fc.oneof(object({ namespaces: selector }), object({ pods })),
  ingress: list(clusterRule("from")),
  egress: list(clusterRule("to")),
});

function graphWithPods(denyAction: "drop" | "reject"): PolicyGraph {
  const graph = new PolicyGraph({ nodeName: NODE, denyAction });
  const namespace = decodeNamespace({ metadata: { name: "x" } }).value;
  graph.update("namespace", "x", namespace);
  for (const [index, app] of ["a", "b", "web"].entries()) {
    const { value } = decodePod({
      metadata: { namespace: "x", name: app, labels: { app, a: app } },
      spec: {
        nodeName: NODE,
        containers: [{ ports: [{ name: "http", containerPort: 80 + index }] }],
      },
      status: { podIPs: [{ ip: `10.0.0.${index + 1}` }, { ip: `fd00::${index + 1}` }] },
    });
    graph.update("workload", `x/${app}`, value);
  }
  return graph;
}

async function assertTaken(graph: PolicyGraph): Promise<void> {
  const logger = createLogger({ level: "error" });
  using socket = openNetlinkSocket(NETLINK_NETFILTER);
  const dataplane = new Dataplane(socket, logger);
  try {
    const ruleset = compile(graph.flush());
    await dataplane.apply(ruleset);
    assertEquals((await new Dataplane(socket, logger).apply(ruleset)).requests, 0);
  } finally {
    await dataplane.remove();
  }
}

Deno.test("the kernel accepts the ruleset that results from objects that no API server would store", async () => {
  requireIsolation();
  const seed = announceSeed("hostile objects");
  const several = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
    fc.array(item, { minLength: 1, maxLength: 4 });
  let problems = 0;
  await fc.assert(
    fc.asyncProperty(
      several(fc.tuple(text, policySpec)),
      several(fc.tuple(text, clusterSpec)),
      fc.constantFrom("drop" as const, "reject" as const),
      async (policies, clusterPolicies, denyAction) => {
        const graph = graphWithPods(denyAction);
        for (const [name, spec] of policies) {
          const decoded = decodeNetworkPolicy({ metadata: { namespace: "x", name }, spec });
          graph.update("policy", `x/${name}`, decoded.value);
          problems += decoded.problems.length;
        }
        for (const [name, spec] of clusterPolicies) {
          const decoded = decodeClusterNetworkPolicy({ metadata: { name }, spec });
          graph.update("clusterPolicy", name, decoded.value);
          problems += decoded.problems.length;
        }
        await assertTaken(graph);
      },
    ),
    { seed, numRuns: RUNS },
  );
  assert(problems > RUNS, "the objects are too good");
});

Deno.test("the kernel takes the largest objects that an API server stores", async () => {
  requireIsolation();
  const graph = graphWithPods("drop");
  const values = Array.from({ length: 20_000 }, (_, index) => `value-${index}`);
  const except = Array.from(
    { length: 20_000 },
    (_, index) => `10.${index >> 8}.${index & 0xff}.${index % 7}/32`,
  );
  const ports = Array.from({ length: 5_000 }, (_, index) => ({ port: 3 * index + 1 }));
  const podSelector = { matchExpressions: [{ key: "app", operator: "NotIn", values }] };
  const { value, problems } = decodeNetworkPolicy({
    metadata: { namespace: "x", name: "large" },
    spec: {
      podSelector,
      ingress: [
        { from: [{ ipBlock: { cidr: "10.0.0.0/8", except } }] },
        { from: [{ podSelector, namespaceSelector: {} }], ports },
      ],
    },
  });
  assertEquals(problems, []);
  graph.update("policy", "x/large", value);
  await assertTaken(graph);
});
