/**
 * A cluster of any size, as its API server has it: the same one every time. Each namespace has pods of
 * ten apps and ten policies or so; the node's pods are spread over the namespaces.
 */

import type { PartialObject } from "../support/kubernetes/api_server/object.ts";

/** How much of everything. */
export interface ClusterSize {
  readonly namespaces: number;
  /** In all. */
  readonly pods: number;
  /** Of them on the node. */
  readonly localPods: number;
  /** In all. */
  readonly policies: number;
}

/** The objects, by their plural. */
export interface ClusterObjects {
  readonly namespaces: readonly PartialObject[];
  readonly pods: readonly PartialObject[];
  readonly networkpolicies: readonly PartialObject[];
}

/** Apps of a namespace. */
const APPS = 10;

/** `10,000 pods (100 on the node), 1,000 policies, 100 namespaces`. */
export function formatSize({ namespaces, pods, localPods, policies }: ClusterSize): string {
  const n = (value: number): string => value.toLocaleString("en-US");
  return `${n(pods)} pods (${n(localPods)} on the node), ${n(policies)} policies, ` +
    `${n(namespaces)} namespaces`;
}

/** The size of a cluster with so many pods, in proportion. */
export function sizeOf(pods: number): ClusterSize {
  const namespaces = Math.max(1, Math.ceil(pods / 100));
  return { namespaces, pods, localPods: Math.min(100, pods), policies: Math.ceil(pods / 10) };
}

/** Makes the objects. @param node on which the local pods are */
export function makeCluster(size: ClusterSize, node: string): ClusterObjects {
  return {
    namespaces: range(size.namespaces).map((index) => ({
      metadata: {
        name: namespaceName(index),
        labels: { "kubernetes.io/metadata.name": namespaceName(index), team: teamOf(index) },
      },
    })),
    pods: range(size.pods).map((index) => makePod(size, index, node)),
    networkpolicies: range(size.policies).map((index) => makePolicy(size, index)),
  };
}

/** The name of the namespace with this index. */
export function namespaceName(index: number): string {
  return `team-${teamOf(index)}-${index}`;
}

/** The label of an app; the policies of app N allow app N + 1. */
export function appLabel(app: number): string {
  return `app-${app % APPS}`;
}

/** A pod as the kubelet and the scheduler leave it. */
export function podOf(
  options: {
    readonly namespace: string;
    readonly name: string;
    readonly node: string;
    readonly app: number;
    readonly addresses: readonly string[];
  },
): PartialObject {
  const { namespace, name, node, app, addresses } = options;
  return {
    metadata: {
      name,
      namespace,
      labels: {
        app: appLabel(app),
        tier: ["web", "api", "db"][app % 3] ?? "",
        "pod-template-hash": "5d4f8c7b9",
      },
      ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name, uid: name }],
    },
    spec: {
      nodeName: node,
      serviceAccountName: "default",
      containers: [{
        name: "main",
        image: "registry.k8s.io/pause:3.10",
        ports: [{ name: "http", containerPort: 8080 + app, protocol: "TCP" }],
        resources: { requests: { cpu: "100m", memory: "64Mi" } },
      }],
    },
    status: {
      phase: "Running",
      podIP: addresses[0],
      podIPs: addresses.map((ip) => ({ ip })),
      conditions: ["Initialized", "Ready", "ContainersReady", "PodScheduled"]
        .map((type) => ({ type, status: "True" })),
    },
  };
}

/** Addresses of the pod with this index; those of the cluster's pods begin at 0. */
export function addressesOf(index: number): readonly string[] {
  return [
    `10.${64 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`,
    `fd00:10:64::${(index + 1).toString(16)}`,
  ];
}

function makePod(size: ClusterSize, index: number, node: string): PartialObject {
  const each = Math.max(1, Math.floor(size.pods / size.namespaces));
  const stride = Math.max(1, Math.floor(size.pods / size.localPods));
  const group = Math.floor(index / stride);
  const isLocal = group < size.localPods && index % stride === group % stride;
  return podOf({
    namespace: namespaceName(Math.min(size.namespaces - 1, Math.floor(index / each))),
    name: `pod-${index}`,
    node: isLocal ? node : `other-${index % 97}`,
    app: index % each,
    addresses: addressesOf(index),
  });
}

/**
 * The first policy of a namespace lets its pods reach each other; the others let app N + 1 reach app N,
 * some of them also a team's pods of other namespaces, every pod there is, or networks outside.
 */
function makePolicy(size: ClusterSize, index: number): PartialObject {
  const namespace = index % size.namespaces;
  const number = Math.floor(index / size.namespaces);
  const metadata = { name: `policy-${number}`, namespace: namespaceName(namespace) };
  const select = (app: number): unknown => ({ matchLabels: { app: appLabel(app) } });
  if (number % APPS === 0) {
    const ingress = [{ from: [{ podSelector: {} }], ports: [{ port: 8000 + number }] }];
    return { metadata, spec: { podSelector: {}, policyTypes: ["Ingress"], ingress } };
  }
  const from: unknown[] = [{ podSelector: select(number + 1) }];
  if (number % 3 === 0) {
    const namespaceSelector = { matchLabels: { team: teamOf(namespace) } };
    from.push({ namespaceSelector, podSelector: select(0) });
  }
  const ingress: unknown[] = [{ from, ports: [{ port: 8080 + number }, { port: "http" }] }];
  if (number % 3 === 2) {
    ingress.push({ from: [{ namespaceSelector: {} }], ports: [{ port: 9090 }] });
  }
  const outside = { cidr: "10.0.0.0/8", except: [`10.${number % 64}.0.0/16`] };
  const egress = number % 3 === 1
    ? [{ to: [{ ipBlock: outside }] }, { ports: [{ protocol: "UDP", port: 53 }] }]
    : undefined;
  return {
    metadata,
    spec: {
      podSelector: select(number),
      policyTypes: egress === undefined ? ["Ingress"] : ["Ingress", "Egress"],
      ingress,
      ...(egress === undefined ? {} : { egress }),
    },
  };
}

function teamOf(namespace: number): string {
  return `t${namespace % 10}`;
}

function range(length: number): readonly number[] {
  return Array.from({ length }, (_, index) => index);
}
