/** Resolves the ends of a flow in a cluster: from the command line's words to the evaluator's flows. Pure. */

import { Address, FAMILIES, type Family } from "../../lib/ip/address.ts";
import { keyOf, type Workload } from "../../lib/model/workload.ts";
import { addressDoubts } from "../../lib/policy/address_doubts.ts";
import { type Cluster, type Flow, resolveEnd } from "../../lib/policy/evaluate.ts";
import { isNamedBy, isWorkloadWord, type Origin } from "../cluster/workload_kind.ts";
import { CtlError } from "../error.ts";
import { suggest } from "../suggest.ts";
import type { Party, PodParty, PortText } from "./end.ts";

/** An end that was found. */
export interface ResolvedEnd {
  /** `namespace/pod`, or the address. */
  readonly title: string;
  /** The pod that policy governs here, if one is. */
  readonly workload: Workload | undefined;
  readonly node: string | undefined;
  /** Empty if the pod has none yet. */
  readonly addresses: readonly Address[];
  /** Notes about this end for the reader of the verdict. */
  readonly notes: readonly string[];
  /** The workload that creates the pod, if a manifest shows it. */
  readonly origin?: Origin | undefined;
  /** Whether it stands for another pod of the source's workload. */
  readonly isOtherReplica?: boolean;
}

/** A cluster, and where its pods come from. */
export interface Population {
  readonly cluster: Cluster;
  /** By the pods' keys. */
  readonly origins?: ReadonlyMap<string, Origin>;
}

/** Stands for the address of a pod that has none. */
const NO_ADDRESS: Readonly<Record<Family, Address>> = {
  4: Address.parse("0.0.0.0"),
  6: Address.parse("::"),
};

/**
 * Finds `party` in a cluster.
 *
 * @throws {CtlError} if there is no such pod, it has finished, or several workloads have its name
 */
export function resolveParty(population: Population, party: Party): ResolvedEnd {
  const { cluster, origins } = population;
  if (party.kind === "address") return resolveAddress(cluster, party.address);
  const pod = findPod(population, party);
  return { ...resolvePod(cluster, pod), origin: origins?.get(keyOf(pod)) };
}

/**
 * The destination of what `source` sends to `destination`: another pod of the same workload, where that
 * makes several, since each of them is a pod of its own to policy.
 */
export function otherReplicaOf(source: ResolvedEnd, destination: ResolvedEnd): ResolvedEnd {
  const { workload, origin, title } = destination;
  if (workload === undefined || workload !== source.workload || (origin?.replicas ?? 1) < 2) {
    return destination;
  }
  return {
    ...destination,
    title: `another pod of ${title}`,
    workload: { ...workload, name: `${workload.name}/other` },
    isOtherReplica: true,
  };
}

/**
 * The flows from `source` to `destination`: one for each family that both speak.
 *
 * @throws {CtlError} if there is none, or the destination has no port of that name
 */
export function flowsBetween(
  source: ResolvedEnd,
  destination: ResolvedEnd,
  port: PortText | undefined,
): readonly Flow[] {
  const number = port === undefined ? undefined : portNumberOf(destination, port);
  const flows = FAMILIES.flatMap((family): Flow[] => {
    const from = addressOf(source, family, destination);
    const to = addressOf(destination, family, source);
    if (from === undefined || to === undefined) return [];
    return [{
      source: { address: from, workload: source.workload },
      destination: { address: to, workload: destination.workload },
      protocol: port?.protocol,
      port: number,
    }];
  });
  if (flows.length > 0) return flows;
  throw new CtlError(
    `${source.title} and ${destination.title} have no IP family in common: nothing can flow`,
  );
}

/** The pod of a name, or the one that a workload of that name makes. */
function findPod(population: Population, party: PodParty): Workload {
  const { cluster, origins = new Map<string, Origin>() } = population;
  const { namespace, name, workload: word, otherwise } = party;
  const named = cluster.pods.filter((it) => {
    if (it.namespace !== namespace) return false;
    const origin = origins.get(keyOf(it));
    if ((origin?.name ?? it.name) !== name) return false;
    return word === undefined || isNamedBy(origin ?? { ...POD_ORIGIN, name }, word);
  });
  const [pod, ...more] = named;
  if (pod !== undefined && more.length === 0) return pod;
  if (pod !== undefined) {
    const ways = named.map((it) => `"${keyOf(it)}"`).sort();
    throw new CtlError(
      `${namespace}/${name} is several workloads: write ${ways.join(" or ")}`,
    );
  }
  if (otherwise !== undefined) return findPod(population, otherwise);
  if (word === undefined) {
    throw new CtlError(`No pod ${namespace}/${name}${hint(cluster, namespace, name)}`);
  }
  if (!isWorkloadWord(word) && ![...origins.values()].some((it) => isNamedBy(it, word))) {
    throw new CtlError(
      `"${word}" makes no pods here: write namespace/pod, or a kind such as deployment/${name}`,
    );
  }
  const remedy = origins.size > 0
    ? hint(cluster, namespace, name)
    : `: with an API server pods are asked by their own names; "kubectl get pods -n ${namespace}" lists them`;
  throw new CtlError(`No ${word} ${namespace}/${name}${remedy}`);
}

const POD_ORIGIN: Origin = { kind: "Pod", word: "pod", name: "", replicas: 1 };

function resolvePod(cluster: Cluster, pod: Workload): ResolvedEnd {
  const title = keyOf(pod);
  if (pod.finished) {
    throw new CtlError(`Pod ${title} has finished: it has no address that is its own any more`);
  }
  const node = pod.nodeName === "" ? undefined : pod.nodeName;
  const { addresses } = pod;
  if (pod.hostNetwork) {
    const notes = [
      `${title} is on the network of its node${node === undefined ? "" : ` ${node}`}: ` +
      "NetworkPolicy does not govern it, and no pod selector means it.",
    ];
    return { title, workload: undefined, node, addresses, notes };
  }
  const doubted = addressDoubts([pod], cluster.nodes).ofNodes.get(title) ?? [];
  const believed = addresses.filter((it) => !doubted.includes(it.toString()));
  const notes = doubted.map((it) =>
    `${title} claims ${it}, which is a node's address: it is not believed to be the pod's.`
  );
  if (believed.length === 0) {
    notes.push(`${title} has no address yet: an ipBlock counts only where it holds every address.`);
  }
  return { title, workload: pod, node, addresses: believed, notes };
}

function resolveAddress(cluster: Cluster, address: Address): ResolvedEnd {
  const { workload } = resolveEnd(cluster, address);
  const text = address.toString();
  const addresses = [address];
  if (workload !== undefined) {
    return { title: keyOf(workload), workload, node: workload.nodeName, addresses, notes: [] };
  }
  const node = cluster.nodes.find((it) => it.addresses.some((a) => a.toString() === text));
  const notes = node !== undefined ? [] : [
    `No pod or node has ${text}. If it is a Service's address, ask for a pod behind it: ` +
    "policy sees addresses after service translation.",
  ];
  return { title: text, workload: undefined, node: node?.name, addresses, notes };
}

/** Where else the pod may be. */
function hint(cluster: Cluster, namespace: string, name: string): string {
  const elsewhere = cluster.pods.find((it) => it.name === name);
  if (elsewhere !== undefined) return `; did you mean "${keyOf(elsewhere)}"?`;
  const names = cluster.pods.filter((it) => it.namespace === namespace).map((it) => it.name);
  const longer = names.find((it) => it.startsWith(`${name}-`));
  if (longer !== undefined) return `; did you mean "${longer}"?`;
  return names.length === 0 ? `: namespace ${namespace} has no pods` : suggest(name, names);
}

/** The address of `end` in `family`; a stand-in for a pod without any, if `other` speaks it. */
function addressOf(end: ResolvedEnd, family: Family, other: ResolvedEnd): Address | undefined {
  if (end.addresses.length > 0) return end.addresses.find((it) => it.family === family);
  const spoken = other.addresses.length > 0
    ? other.addresses.some((it) => it.family === family)
    : family === 4;
  return spoken ? NO_ADDRESS[family] : undefined;
}

function portNumberOf(destination: ResolvedEnd, { port, protocol }: PortText): number {
  if (typeof port === "number") return port;
  const { workload, title } = destination;
  if (workload === undefined) throw new CtlError(`${title} is no pod: write the port as a number`);
  const named = workload.ports.find((it) => it.name === port && it.protocol === protocol);
  if (named !== undefined) return named.port;
  const names = workload.ports.map((it) => `${it.name}/${it.protocol.toLowerCase()}`);
  const having = names.length === 0 ? "it names none" : `it names ${names.join(", ")}`;
  throw new CtlError(`${title} has no port named "${port}" for ${protocol}: ${having}`);
}
