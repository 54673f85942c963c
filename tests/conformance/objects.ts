/**
 * A snapshot as objects of the API: what a server would send of it. A pod on its host's network makes
 * a node of its own, unless it says that it is where all others are: on one node.
 */

import { Address, type Family } from "../../lib/ip/address.ts";
import type { Labels } from "../../lib/model/labels.ts";
import type { CasePod, Snapshot } from "./case.ts";
import type { JsonObject } from "./json.ts";
import { mirrorAddress, mirrorPolicy } from "./mirror.ts";

/** The node that every pod is on. */
export const NODE_NAME = "conformance";

/** An object that can be stored under its name. */
export interface ApiObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Labels;
  };
  readonly [key: string]: unknown;
}

/** Objects by their plural, then by `namespace/name` or `name`. */
export type ApiObjects = Readonly<Record<ApiPlural, ReadonlyMap<string, ApiObject>>>;
export type ApiPlural = (typeof PLURALS)[number];

/** In the order in which they are made: what others refer to comes first. */
export const PLURALS = [
  "namespaces",
  "nodes",
  "pods",
  "networkpolicies",
  "clusternetworkpolicies",
] as const;

/** The pod's addresses: IPv4 first, then its mirror image; an IPv6 pod has its one. */
export function addressesOf(pod: CasePod): readonly string[] {
  return [...new Set([pod.address, mirrorAddress(pod.address)])];
}

/** The pod's address of `family`, where it has one. */
export function addressOf(pod: CasePod, family: Family): string | undefined {
  return addressesOf(pod).find((it) => Address.parse(it).family === family);
}

/** The objects of `snapshot`; networks in its policies are of `family`, or of both. */
export function objectsOf(snapshot: Snapshot, family: Family | undefined): ApiObjects {
  const pods = [...snapshot.pods.values()];
  const policies = (all: ReadonlyMap<string, JsonObject>): ReadonlyMap<string, ApiObject> =>
    new Map([...all].map(([key, it]) => [key, mirrorPolicy(it, family) as ApiObject]));
  return {
    namespaces: new Map(
      [...snapshot.namespaces].map(([name, labels]) => [name, {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name, labels },
      }]),
    ),
    nodes: new Map([
      [NODE_NAME, nodeObject(NODE_NAME, [])] as const,
      ...[...Map.groupBy(pods.filter((it) => it.hostNetwork), nodeNameOf)]
        .map(([name, own]) => [name, nodeObject(name, own.flatMap(addressesOf))] as const),
    ]),
    pods: new Map([...snapshot.pods].map(([key, pod]) => [key, podObject(pod)])),
    networkpolicies: policies(snapshot.policies),
    clusternetworkpolicies: policies(snapshot.clusterPolicies),
  };
}

function nodeNameOf(pod: CasePod): string {
  return pod.hostNetwork && pod.isOnPodsNode !== true ? `node-${pod.name}` : NODE_NAME;
}

function nodeObject(name: string, addresses: readonly string[]): ApiObject {
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name,
      labels: { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" },
    },
    spec: {},
    status: { addresses: addresses.map((address) => ({ type: "InternalIP", address })) },
  };
}

function podObject(pod: CasePod): ApiObject {
  const { namespace, name, labels } = pod;
  const ports = pod.ports.map((it) => ({
    ...(it.name === undefined ? {} : { name: it.name }),
    containerPort: it.port,
    protocol: it.protocol,
  }));
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace, name, labels },
    spec: {
      nodeName: nodeNameOf(pod),
      ...(pod.hostNetwork ? { hostNetwork: true } : {}),
      containers: [{ name: "main", image: "none", ports }],
    },
    status: {
      phase: "Running",
      podIP: addressesOf(pod)[0],
      podIPs: addressesOf(pod).map((ip) => ({ ip })),
    },
  };
}
