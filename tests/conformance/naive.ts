/**
 * An evaluator that is slow and plain, written from the documentation of NetworkPolicy
 * (`networking.k8s.io/v1`) and ClusterNetworkPolicy (`policy.networking.k8s.io/v1alpha2`), straight on
 * the objects' JSON. It shares no code with the evaluator that it is held against, not even for labels
 * and networks: where the two agree, one of them would have to repeat the other's mistake.
 *
 * It takes objects to be what the API server accepts, and has no answer for any other.
 */

import ipaddr from "ipaddr.js";
import type {
  NaiveCluster,
  NaiveClusterPeer,
  NaiveLabels,
  NaivePeer,
  NaivePod,
  NaivePods,
  NaivePolicy,
  NaivePort,
  NaiveProtocol,
  NaiveSelector,
  NaiveTransport,
} from "./naive_objects.ts";

/** The first packet of a flow; without protocol and port it is none of TCP, UDP and SCTP. */
export interface NaiveFlow {
  readonly source: string;
  readonly destination: string;
  readonly protocol: string | undefined;
  readonly port: number | undefined;
}

/** What the destination says (ingress) and the source (egress); the packet needs both. */
export interface NaiveVerdict {
  readonly ingress: boolean;
  readonly egress: boolean;
}

/** Judges `flow`. */
export function judge(cluster: NaiveCluster, flow: NaiveFlow): NaiveVerdict {
  return {
    ingress: judgeSide(cluster, flow, "ingress"),
    egress: judgeSide(cluster, flow, "egress"),
  };
}

type Side = "ingress" | "egress";

function judgeSide(cluster: NaiveCluster, flow: NaiveFlow, side: Side): boolean {
  const [own, other] = side === "ingress"
    ? [flow.destination, flow.source]
    : [flow.source, flow.destination];
  const pod = podAt(cluster, own);
  if (pod === undefined) return true; // policy is about pods only
  // "Traffic to and from the node where a Pod is running is always allowed." To the pod that holds for
  // every policy, since its probes come from there; from the pod it is NetworkPolicy's word alone.
  const isNode = isOwnNode(cluster, pod, other);
  if (side === "ingress" && isNode) return true;

  const admin = askTier(cluster, flow, side, pod, other, "Admin");
  if (admin !== undefined) return admin;

  const selecting = cluster.policies.filter((it) => isSelected(it, pod, side));
  if (selecting.length > 0) {
    // "A pod cannot block access to itself."
    if (isNode || podAt(cluster, other) === pod) return true;
    return selecting.some((policy) =>
      (policy.spec[side] ?? []).some((rule) =>
        isPeer(cluster, policy, side === "ingress" ? rule.from : rule.to, other) &&
        isPort(cluster, rule.ports, flow)
      )
    );
  }
  return askTier(cluster, flow, side, pod, other, "Baseline") ?? true;
}

/** Who holds an address. Pods on their host's network have none; those that ended gave it back. */
function podAt(cluster: NaiveCluster, address: string): NaivePod | undefined {
  return cluster.pods.find(({ spec, status }) =>
    spec.hostNetwork !== true && status.phase !== "Succeeded" && status.phase !== "Failed" &&
    (status.podIPs ?? []).some(({ ip }) => isSameAddress(ip, address))
  );
}

function isOwnNode(cluster: NaiveCluster, pod: NaivePod, other: string): boolean {
  if (podAt(cluster, other) !== undefined) return false;
  const node = cluster.nodes.find((it) => it.metadata.name === pod.spec.nodeName);
  return (node?.status.addresses ?? []).some(({ address }) => isSameAddress(address, other));
}

// NetworkPolicy

function isSelected({ metadata, spec }: NaivePolicy, pod: NaivePod, side: Side): boolean {
  // Without policyTypes: ingress always, egress if there are egress rules.
  const types = spec.policyTypes ?? [];
  const defaults = (spec.egress ?? []).length > 0 ? ["Ingress", "Egress"] : ["Ingress"];
  const governed: readonly string[] = types.length > 0 ? types : defaults;
  return governed.includes(side === "ingress" ? "Ingress" : "Egress") &&
    metadata.namespace === pod.metadata.namespace &&
    matches(spec.podSelector, pod.metadata.labels);
}

/** No peers, or an empty list: everyone. */
function isPeer(
  cluster: NaiveCluster,
  policy: NaivePolicy,
  peers: readonly NaivePeer[] | undefined,
  other: string,
): boolean {
  if (peers === undefined || peers.length === 0) return true;
  return peers.some(({ ipBlock, podSelector, namespaceSelector }) => {
    if (ipBlock !== undefined) {
      return isInNetwork(other, ipBlock.cidr) &&
        !(ipBlock.except ?? []).some((it) => isInNetwork(other, it));
    }
    const pod = podAt(cluster, other);
    if (pod === undefined || !matches(podSelector, pod.metadata.labels)) return false;
    return namespaceSelector === undefined
      ? pod.metadata.namespace === policy.metadata.namespace
      : matches(namespaceSelector, namespaceLabels(cluster, pod));
  });
}

/** No ports, or an empty list: every port, and every other protocol. */
function isPort(
  cluster: NaiveCluster,
  ports: readonly NaivePort[] | undefined,
  flow: NaiveFlow,
): boolean {
  if (ports === undefined || ports.length === 0) return true;
  return ports.some(({ protocol = "TCP", port, endPort }) => {
    if (protocol !== flow.protocol || flow.port === undefined) return false;
    if (port === undefined) return true;
    if (typeof port === "string") return isNamedPort(cluster, port, flow);
    return endPort === undefined ? flow.port === port : port <= flow.port && flow.port <= endPort;
  });
}

// ClusterNetworkPolicy

/** @returns `undefined` when the tier decides nothing */
function askTier(
  cluster: NaiveCluster,
  flow: NaiveFlow,
  side: Side,
  pod: NaivePod,
  other: string,
  tier: "Admin" | "Baseline",
): boolean | undefined {
  const policies = cluster.clusterPolicies
    .filter(({ spec }) => spec.tier === tier)
    .sort((a, b) => a.spec.priority - b.spec.priority);
  for (const { spec } of policies) {
    const { namespaces, pods } = spec.subject;
    if (!isAmong(cluster, pod, namespaces, pods)) continue;
    for (const rule of spec[side] ?? []) {
      const peers = (side === "ingress" ? rule.from : rule.to) ?? [];
      if (!peers.some((it) => isClusterPeer(cluster, it, other))) continue;
      if (!isProtocol(cluster, rule.protocols, flow)) continue;
      if (rule.action === "Accept") return true;
      if (rule.action === "Deny") return false;
      return undefined; // Pass: skips the rest of the tier
    }
  }
  return undefined;
}

function isClusterPeer(
  cluster: NaiveCluster,
  { namespaces, pods, nodes, networks }: NaiveClusterPeer,
  other: string,
): boolean {
  if (networks !== undefined) return networks.some((it) => isInNetwork(other, it));
  if (nodes !== undefined) {
    return cluster.nodes.some(({ metadata, status }) =>
      matches(nodes, metadata.labels) &&
      status.addresses.some(({ address }) => isSameAddress(address, other))
    );
  }
  const pod = podAt(cluster, other);
  return pod !== undefined && isAmong(cluster, pod, namespaces, pods);
}

/** Whether `pod` is in one of `namespaces`, or one of `pods`: one of the two is set. */
function isAmong(
  cluster: NaiveCluster,
  pod: NaivePod,
  namespaces: NaiveSelector | undefined,
  pods: NaivePods | undefined,
): boolean {
  const labels = namespaceLabels(cluster, pod);
  if (pods === undefined) return matches(namespaces, labels);
  return matches(pods.namespaceSelector, labels) && matches(pods.podSelector, pod.metadata.labels);
}

function isProtocol(
  cluster: NaiveCluster,
  protocols: readonly NaiveProtocol[] | undefined,
  flow: NaiveFlow,
): boolean {
  if (protocols === undefined) return true;
  return protocols.some(({ tcp, udp, sctp, destinationNamedPort }) => {
    if (destinationNamedPort !== undefined) return isNamedPort(cluster, destinationNamedPort, flow);
    return isTransport(tcp, "TCP", flow) || isTransport(udp, "UDP", flow) ||
      isTransport(sctp, "SCTP", flow);
  });
}

function isTransport(
  transport: NaiveTransport | undefined,
  name: string,
  flow: NaiveFlow,
): boolean {
  if (transport === undefined || flow.protocol !== name || flow.port === undefined) return false;
  const { destinationPort } = transport;
  if (destinationPort === undefined) return true;
  const { number, range } = destinationPort;
  if (range !== undefined) return range.start <= flow.port && flow.port <= range.end;
  return flow.port === number;
}

// Both

/** Whether the destination is a pod that calls this very port by that name. */
function isNamedPort(cluster: NaiveCluster, name: string, flow: NaiveFlow): boolean {
  const ports = podAt(cluster, flow.destination)?.spec.containers.flatMap((it) => it.ports ?? []);
  return (ports ?? []).some((it) =>
    it.name === name && it.containerPort === flow.port && (it.protocol ?? "TCP") === flow.protocol
  );
}

function namespaceLabels(cluster: NaiveCluster, pod: NaivePod): NaiveLabels | undefined {
  return cluster.namespaces.find((it) => it.metadata.name === pod.metadata.namespace)
    ?.metadata.labels;
}

/** A selector without requirements, or none at all, selects everything. */
function matches(selector: NaiveSelector | undefined, labels: NaiveLabels = {}): boolean {
  for (const [key, value] of Object.entries(selector?.matchLabels ?? {})) {
    if (labels[key] !== value) return false;
  }
  for (const { key, operator, values = [] } of selector?.matchExpressions ?? []) {
    const value = labels[key];
    if (operator === "Exists" && value === undefined) return false;
    if (operator === "DoesNotExist" && value !== undefined) return false;
    if (operator === "In" && (value === undefined || !values.includes(value))) return false;
    if (operator === "NotIn" && value !== undefined && values.includes(value)) return false;
  }
  return true;
}

function isInNetwork(address: string, cidr: string): boolean {
  const one = parse(address);
  const [network, length] = ipaddr.parseCIDR(cidr);
  return one.kind() === network.kind() && one.match(network, length);
}

function isSameAddress(a: string, b: string): boolean {
  return a === b || parse(a).toNormalizedString() === parse(b).toNormalizedString();
}

type Parsed = ReturnType<typeof ipaddr.parse>;
const parsed = new Map<string, Parsed>();

/** Few addresses are asked for very often. */
function parse(text: string): Parsed {
  const known = parsed.get(text) ?? ipaddr.parse(text);
  parsed.set(text, known);
  return known;
}
