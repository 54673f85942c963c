/**
 * Random objects of the API for property tests: few labels, addresses and ports, so that what could
 * collide does. Only what the API server would accept.
 */

import fc from "fast-check";
import { Prefix } from "../../lib/ip/prefix.ts";
import type { Labels } from "../../lib/model/labels.ts";
import type { NaiveFlow } from "./naive.ts";
import type {
  NaiveCluster,
  NaiveClusterPeer,
  NaiveClusterPolicy,
  NaiveClusterRule,
  NaiveNamespace,
  NaiveNode,
  NaivePeer,
  NaivePod,
  NaivePolicy,
  NaivePort,
  NaiveProtocol,
  NaiveRule,
  NaiveSelector,
} from "./naive_objects.ts";

export const RANDOM_NAMESPACES = ["x", "y", "z"] as const;
const KEYS = ["app", "tier"];
const VALUES = ["a", "b", "c"];
const PROTOCOLS = ["TCP", "UDP", "SCTP"] as const;
export const RANDOM_PORTS = [79, 80, 81, 82, 83] as const;
const PORT_NAMES = ["http", "dns", "web"];

/** Where the pods are: pod 1 has the first address of each, and so on. */
const POD_NETWORKS = ["10.0.0.", "fd00::"] as const;
const NODES = ["node1", "node2"] as const;

/** Labels of a pod, a namespace or a node. */
export const randomLabels: fc.Arbitrary<Labels> = fc.dictionary(
  fc.constantFrom(...KEYS),
  fc.constantFrom(...VALUES),
  { maxKeys: 2 },
);

const expression = fc.oneof(
  fc.record({
    key: fc.constantFrom(...KEYS),
    operator: fc.constantFrom("In" as const, "NotIn" as const),
    values: fc.uniqueArray(fc.constantFrom(...VALUES), { minLength: 1, maxLength: 2 }),
  }),
  fc.record({
    key: fc.constantFrom(...KEYS),
    operator: fc.constantFrom("Exists" as const, "DoesNotExist" as const),
  }),
);

const selector: fc.Arbitrary<NaiveSelector> = fc.oneof(
  fc.constant({}),
  fc.record(
    { matchLabels: randomLabels, matchExpressions: fc.array(expression, { maxLength: 2 }) },
    { requiredKeys: [] },
  ),
);

/** Namespaces also have the label that the API server gives them. */
const namespaceSelector: fc.Arbitrary<NaiveSelector> = fc.oneof(
  selector,
  fc.constantFrom(...RANDOM_NAMESPACES).map((it) => ({
    matchLabels: { "kubernetes.io/metadata.name": it },
  })),
);

/** Networks around and inside those of the pods; host bits may be set. */
const NETWORKS = [
  ...["10.0.0.0/28", "10.0.0.9/29", "10.0.0.2/31", "10.0.0.4/30", "10.0.0.3/32"],
  ...["10.0.0.0/8", "0.0.0.0/0", "172.16.0.0/24", "8.8.8.0/24"],
];
const NETWORKS_IPV6 = [
  ...["fd00::/124", "fd00::9/125", "fd00::2/127", "fd00::4/126", "fd00::3/128"],
  ...["fd00::/16", "::/0", "fd16::/64"],
];

/** What an `ipBlock` leaves out lies inside it. */
const block: fc.Arbitrary<NonNullable<NaivePeer["ipBlock"]>> = fc
  .constantFrom(...NETWORKS, ...NETWORKS_IPV6)
  .chain((cidr) => {
    const outer = Prefix.parse(cidr);
    const inner = [...NETWORKS, ...NETWORKS_IPV6].filter((it) => {
      const { address, length } = Prefix.parse(it);
      return outer.contains(address) && length > outer.length;
    });
    return fc.record({
      cidr: fc.constant(cidr),
      except: fc.subarray(inner, { maxLength: Math.min(3, inner.length) }),
    }, { requiredKeys: ["cidr"] });
  });

const peer: fc.Arbitrary<NaivePeer> = fc.oneof(
  fc.record({ podSelector: selector }),
  fc.record({ namespaceSelector }),
  fc.record({ podSelector: selector, namespaceSelector }),
  fc.record({ ipBlock: block }),
);

const number = fc.constantFrom(...RANDOM_PORTS);

const port: fc.Arbitrary<NaivePort> = fc.oneof(
  fc.record({ protocol: fc.constantFrom(...PROTOCOLS) }, { requiredKeys: [] }),
  fc.record({ protocol: fc.constantFrom(...PROTOCOLS), port: number }, { requiredKeys: ["port"] }),
  fc.record({
    protocol: fc.constantFrom(...PROTOCOLS),
    port: fc.constantFrom(...PORT_NAMES, "none"),
  }, { requiredKeys: ["port"] }),
  fc.tuple(fc.constantFrom(...PROTOCOLS), number, number).map(([protocol, a, b]) => ({
    protocol,
    port: Math.min(a, b),
    endPort: Math.max(a, b),
  })),
);

function rule(peers: "from" | "to"): fc.Arbitrary<NaiveRule> {
  const list = fc.array(peer, { maxLength: 3 });
  const ports = fc.array(port, { maxLength: 3 });
  return peers === "from"
    ? fc.record({ from: list, ports }, { requiredKeys: [] })
    : fc.record({ to: list, ports }, { requiredKeys: [] });
}

function policy(index: number): fc.Arbitrary<NaivePolicy> {
  return fc.record({
    apiVersion: fc.constant("networking.k8s.io/v1"),
    kind: fc.constant("NetworkPolicy"),
    metadata: fc.record({
      namespace: fc.constantFrom(...RANDOM_NAMESPACES),
      name: fc.constant(`policy${index}`),
    }),
    spec: fc.record({
      podSelector: selector,
      policyTypes: fc.constantFrom(
        ["Ingress" as const],
        ["Egress" as const],
        ["Ingress" as const, "Egress" as const],
      ),
      ingress: fc.array(rule("from"), { maxLength: 3 }),
      egress: fc.array(rule("to"), { maxLength: 3 }),
    }, { requiredKeys: ["podSelector"] }),
  });
}

const namespacedPods = fc.record({ namespaceSelector, podSelector: selector }, {
  requiredKeys: ["podSelector"],
});

const podPeer: fc.Arbitrary<NaiveClusterPeer> = fc.oneof(
  fc.record({ namespaces: namespaceSelector }),
  fc.record({ pods: namespacedPods }),
);

const destinationPort = fc.oneof(
  fc.record({ number }),
  fc.tuple(number, number).filter(([a, b]) => a < b)
    .map(([start, end]) => ({ range: { start, end } })),
);

const transport: fc.Arbitrary<NaiveProtocol> = fc
  .tuple(fc.constantFrom("tcp", "udp", "sctp"), destinationPort)
  .map(([name, it]) => ({ [name]: { destinationPort: it } }));

const namedPort: fc.Arbitrary<NaiveProtocol> = fc.record({
  destinationNamedPort: fc.constantFrom(...PORT_NAMES),
});

/** Names of ports exist on pods only: the API refuses them beside networks and nodes. */
function clusterRule(peers: "from" | "to"): fc.Arbitrary<NaiveClusterRule> {
  const action = fc.constantFrom("Accept" as const, "Deny" as const, "Pass" as const);
  const some = { minLength: 1, maxLength: 2 };
  const protocols = fc.array(fc.oneof(transport, namedPort), some);
  if (peers === "from") {
    return fc.record({ action, from: fc.array(podPeer, some), protocols }, {
      requiredKeys: ["action", "from"],
    });
  }
  const anyPeer: fc.Arbitrary<NaiveClusterPeer> = fc.oneof(
    podPeer,
    fc.record({ nodes: selector }),
    fc.record({
      networks: fc.uniqueArray(fc.constantFrom(...NETWORKS, ...NETWORKS_IPV6), some),
    }),
  );
  return fc.oneof(
    fc.record({ action, to: fc.array(podPeer, some), protocols }, {
      requiredKeys: ["action", "to"],
    }),
    fc.record({ action, to: fc.array(anyPeer, some), protocols: fc.array(transport, some) }, {
      requiredKeys: [
        "action",
        "to",
      ],
    }),
  );
}

/** Of two policies with one priority the API does not say which is asked first: there are none. */
function clusterPolicy(index: number): fc.Arbitrary<NaiveClusterPolicy> {
  return fc.record({
    apiVersion: fc.constant("policy.networking.k8s.io/v1alpha2"),
    kind: fc.constant("ClusterNetworkPolicy"),
    metadata: fc.constant({ name: `cluster${index}` }),
    spec: fc.record({
      tier: fc.constantFrom("Admin" as const, "Baseline" as const),
      priority: fc.nat(99).map((it) => 10 * it + index),
      subject: fc.oneof(
        fc.record({ namespaces: namespaceSelector }),
        fc.record({ pods: namespacedPods }),
      ),
      ingress: fc.array(clusterRule("from"), { maxLength: 3 }),
      egress: fc.array(clusterRule("to"), { maxLength: 3 }),
    }, { requiredKeys: ["tier", "priority", "subject"] }),
  });
}

/** A container port with a name. */
export interface RandomPort {
  readonly name: string;
  readonly containerPort: number;
  readonly protocol: typeof PROTOCOLS[number];
}

/**
 * Ports, each to be in a container of its own: then one name may stand for several of one pod. It may
 * stand for another one on the next pod in any case.
 */
export const randomPorts: fc.Arbitrary<RandomPort[]> = fc.array(
  fc.record({
    name: fc.constantFrom(...PORT_NAMES),
    containerPort: number,
    protocol: fc.constantFrom(...PROTOCOLS),
  }),
  { minLength: 1, maxLength: 3 },
);

/** Pod `index` has the addresses with that number, of one family or both. */
function pod(index: number): fc.Arbitrary<NaivePod> {
  return fc.record({
    metadata: fc.record({
      namespace: fc.constantFrom(...RANDOM_NAMESPACES),
      name: fc.constant(`pod${index}`),
      labels: randomLabels,
    }),
    spec: fc.record({
      nodeName: fc.constantFrom(...NODES),
      hostNetwork: fc.constantFrom(...often(false), true),
      containers: randomPorts.map((ports) =>
        ports.map((it, index) => ({ name: `container${index}`, image: "none", ports: [it] }))
      ),
    }),
    status: fc.record({
      phase: fc.constantFrom(...often("Running"), "Succeeded", "Failed"),
      podIPs: fc.subarray(POD_NETWORKS.map((it) => ({ ip: `${it}${index}` })), { minLength: 1 }),
    }),
  });
}

function often<T>(value: T): T[] {
  return Array.from({ length: 15 }, () => value);
}

const namespace = (name: string): fc.Arbitrary<NaiveNamespace> =>
  randomLabels.map((labels) => ({
    metadata: { name, labels: { ...labels, "kubernetes.io/metadata.name": name } },
  }));

const node = (name: string, index: number): fc.Arbitrary<NaiveNode> =>
  randomLabels.map((labels) => ({
    metadata: { name, labels },
    status: {
      addresses: [`172.16.0.${index + 1}`, `fd16::${index + 1}`]
        .map((address) => ({ type: "InternalIP", address })),
    },
  }));

function numbered<T>(count: number, make: (index: number) => fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc.tuple(...Array.from({ length: count }, (_, index) => make(index + 1)));
}

/** NetworkPolicies, five at most. */
export const randomPolicies: fc.Arbitrary<NaivePolicy[]> = numbered(5, policy)
  .chain((it) => fc.subarray(it));

/** ClusterNetworkPolicies, four at most. */
export const randomClusterPolicies: fc.Arbitrary<NaiveClusterPolicy[]> = numbered(4, clusterPolicy)
  .chain((it) => fc.subarray(it));

/** Three namespaces. */
export const randomNamespaces: fc.Arbitrary<NaiveNamespace[]> = fc.tuple(
  ...RANDOM_NAMESPACES.map(namespace),
);

/** A whole cluster. */
export const randomCluster: fc.Arbitrary<NaiveCluster> = fc.record({
  namespaces: randomNamespaces,
  nodes: fc.tuple(...NODES.map(node)),
  pods: numbered(7, pod),
  policies: randomPolicies,
  clusterPolicies: randomClusterPolicies,
});

/** A protocol and a port near those that policies name; neither: ICMP. */
export const randomService: fc.Arbitrary<Pick<NaiveFlow, "protocol" | "port">> = fc.oneof(
  { weight: 9, arbitrary: fc.record({ protocol: fc.constantFrom(...PROTOCOLS), port: number }) },
  { weight: 1, arbitrary: fc.constant({ protocol: undefined, port: undefined }) },
);

/** Every address that is in `cluster`, and one of each family that is not. */
export function addressesIn({ pods, nodes }: NaiveCluster): readonly string[] {
  return [
    ...pods.flatMap((it) => it.status.podIPs ?? []).map((it) => it.ip),
    ...nodes.flatMap((it) => it.status.addresses).map((it) => it.address),
    "8.8.8.8",
    "2001:db8::1",
  ];
}
