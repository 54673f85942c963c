/** Random clusters, policies and flows for property tests: small worlds in which everything collides. */

import fc from "fast-check";
import { Address } from "../../../lib/ip/address.ts";
import { Prefix } from "../../../lib/ip/prefix.ts";
import type { Labels, LabelSelector } from "../../../lib/model/labels.ts";
import type { Namespace } from "../../../lib/model/namespace.ts";
import type { Node } from "../../../lib/model/node.ts";
import type {
  ClusterNetworkPolicy,
  NetworkPolicy,
  NetworkPolicyPeer,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
} from "../../../lib/model/policy.ts";
import { keyOf, type Protocol, type Workload } from "../../../lib/model/workload.ts";
import type { Cluster } from "../../../lib/policy/evaluate.ts";
import type { PolicyGraph } from "../../../lib/policy/graph.ts";

/** The node whose pods are governed in these tests. */
export const NODE = "node1";
const NODES = [NODE, "node2"];
const NAMESPACES = ["x", "y", "z"];
const PROTOCOLS: readonly Protocol[] = ["TCP", "UDP", "SCTP"];

const labels: fc.Arbitrary<Labels> = fc.dictionary(
  fc.constantFrom("app", "tier"),
  fc.constantFrom("a", "b", "c"),
  { maxKeys: 2 },
);

const requirement = fc.oneof(
  fc.record({
    key: fc.constantFrom("app", "tier"),
    operator: fc.constantFrom("In" as const, "NotIn" as const),
    values: fc.uniqueArray(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 2 }),
  }),
  fc.record({
    key: fc.constantFrom("app", "tier"),
    operator: fc.constantFrom("Exists" as const, "DoesNotExist" as const),
    values: fc.constant([]),
  }),
);

const selector: fc.Arbitrary<LabelSelector> = fc.array(requirement, { maxLength: 2 });

const namedPort = fc.record({
  name: fc.constantFrom("http", "dns"),
  protocol: fc.constantFrom(...PROTOCOLS),
  port: fc.integer({ min: 80, max: 83 }),
});

/** A pod at 10.0.0.`index` and fd00::`index`, or at the IPv4 address of the first. */
function workload(index: number): fc.Arbitrary<Workload> {
  return fc.record({
    namespace: fc.constantFrom(...NAMESPACES),
    name: fc.constant(`pod${index}`),
    uid: fc.constant(`uid${index}`),
    nodeName: fc.constantFrom(...NODES, ""),
    labels,
    createdAt: fc.constantFrom("2024-01-01T00:00:00Z", "2024-01-01T00:00:01Z"),
    serviceAccount: fc.constant("default"),
    addresses: fc.constantFrom(
      [`10.0.0.${index}`, `fd00::${index}`],
      [`10.0.0.${index}`],
      [`fd00::${index}`],
      ["10.0.0.1"],
      // A node's: not believed, but where the node's own pod CIDRs hold it.
      ["192.168.0.1", `fd00::${index}`],
    ).map((it) => it.map(Address.parse)),
    hostNetwork: fc.boolean().chain((it) => it ? fc.boolean() : fc.constant(false)),
    finished: fc.boolean().chain((it) => it ? fc.boolean() : fc.constant(false)),
    ports: fc.array(namedPort, { maxLength: 2 }),
    resourceVersion: fc.constant("1"),
  });
}

const peer: fc.Arbitrary<NetworkPolicyPeer> = fc.oneof(
  fc.record({
    kind: fc.constant("pods" as const),
    podSelector: selector,
    namespaceSelector: fc.option(selector, { nil: undefined }),
  }),
  fc.record({
    kind: fc.constant("addresses" as const),
    cidr: fc.constantFrom("10.0.0.0/29", "10.0.0.0/8", "0.0.0.0/0", "fd00::/125", "::/0")
      .map(Prefix.parse),
    except: fc.subarray(["10.0.0.2/31", "10.0.0.4/30", "10.0.0.5/32", "fd00::2/127", "fd00::4/126"])
      .map((it) => it.map(Prefix.parse)),
  }),
);

const port: fc.Arbitrary<PolicyPort> = fc.record({
  protocol: fc.constantFrom(...PROTOCOLS),
  port: fc.oneof(
    fc.constant(undefined),
    fc.constantFrom("http", "dns", "none"),
    fc.tuple(fc.integer({ min: 79, max: 84 }), fc.integer({ min: 79, max: 84 }))
      .map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) })),
  ),
});

const rule: fc.Arbitrary<PolicyRule> = fc.record({
  peers: fc.option(fc.array(peer, { maxLength: 3 }), { nil: undefined }),
  ports: fc.option(fc.array(port, { maxLength: 3 }), { nil: undefined }),
});

const rules = fc.option(fc.array(rule, { maxLength: 3 }), { nil: undefined });

function policy(index: number): fc.Arbitrary<NetworkPolicy> {
  return fc.record({
    namespace: fc.constantFrom(...NAMESPACES),
    name: fc.constant(`policy${index}`),
    podSelector: selector,
    ingress: rules,
    egress: rules,
    resourceVersion: fc.constant("1"),
  });
}

const nodePeer: fc.Arbitrary<PolicyPeer> = fc.record({
  kind: fc.constant("nodes" as const),
  selector,
});

const clusterRules = fc.array(
  fc.record({
    name: fc.constant(""),
    action: fc.constantFrom("accept" as const, "deny" as const, "pass" as const),
    peers: fc.array(fc.oneof(peer.map(withNamespaces), nodePeer), { maxLength: 3 }),
    ports: fc.option(fc.array(port, { maxLength: 3 }), { nil: undefined }),
  }),
  { maxLength: 3 },
);

/** A policy of the whole cluster has no namespace of its own. */
function withNamespaces(it: NetworkPolicyPeer): NetworkPolicyPeer {
  return it.kind === "pods" ? { ...it, namespaceSelector: it.namespaceSelector ?? [] } : it;
}

function clusterPolicy(index: number): fc.Arbitrary<ClusterNetworkPolicy> {
  return fc.record({
    name: fc.constant(`cluster-policy${index}`),
    tier: fc.constantFrom("admin" as const, "baseline" as const),
    priority: fc.integer({ min: 1, max: 3 }),
    namespaceSelector: selector,
    podSelector: selector,
    ingress: clusterRules,
    egress: clusterRules,
    resourceVersion: fc.constant("1"),
  });
}

/** The second holds the first node's address. */
const podCidrs: fc.Arbitrary<readonly Prefix[]> = fc
  .constantFrom<readonly string[]>([], ["10.0.0.0/24"], ["10.0.0.0/24", "192.168.0.0/31"])
  .map((it) => it.map(Prefix.parse));

const namespaces: fc.Arbitrary<readonly Namespace[]> = fc.tuple(
  ...NAMESPACES.map((name) =>
    labels.map((it): Namespace => ({ name, labels: it, isIsolated: false, denyAction: undefined }))
  ),
);

function some<T>(count: number, make: (index: number) => fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc.tuple(...Array.from({ length: count }, (_, index) => make(index + 1)));
}

/** A cluster of three namespaces, six pods on two nodes, up to five policies and four of the cluster. */
export const cluster: fc.Arbitrary<Cluster> = fc.record({
  pods: some(6, workload),
  namespaces,
  policies: some(5, policy).chain((it) => fc.subarray(it)),
  clusterPolicies: some(4, clusterPolicy).chain((it) => fc.subarray(it)),
  nodes: fc.tuple(
    ...NODES.map((name, index) =>
      fc.tuple(labels, podCidrs).map(([it, podCidrs]): Node => ({
        name,
        labels: it,
        podCidrs,
        addresses: [`192.168.0.${index + 1}`, `fd01::${index + 1}`].map(Address.parse),
      }))
    ),
  ),
});

/** A protocol and port near those that the policies name; undefined: ICMP. */
export const service: fc.Arbitrary<{ protocol: Protocol | undefined; port: number | undefined }> =
  fc
    .oneof(
      fc.record({
        protocol: fc.constantFrom(...PROTOCOLS),
        port: fc.integer({ min: 78, max: 85 }),
      }),
      fc.constant({ protocol: undefined, port: undefined }),
    );

/** One fact, as the graph takes it. */
export type Fact = Parameters<PolicyGraph["update"]>;

/** All that the API server says of a cluster. */
export function factsOf(world: Cluster): Fact[] {
  return [
    ...world.namespaces.map((it): Fact => ["namespace", it.name, it]),
    ...world.nodes.map((it): Fact => ["node", it.name, it]),
    ...world.pods.map((it): Fact => ["workload", keyOf(it), it]),
    ...world.policies.map((it): Fact => ["policy", keyOf(it), it]),
    ...(world.clusterPolicies ?? []).map((it): Fact => ["clusterPolicy", it.name, it]),
  ];
}
