/**
 * The facts as they are now, found by what the graph and the evaluator ask for. It decides nothing;
 * it says what a fact's change can touch.
 */

import type { Address } from "../ip/address.ts";
import type { Attachment } from "../model/facts.ts";
import type { Namespace } from "../model/namespace.ts";
import type { Node } from "../model/node.ts";
import type { ClusterNetworkPolicy, NetworkPolicy } from "../model/policy.ts";
import { keyOf, type Workload } from "../model/workload.ts";
import type { ClusterIndex } from "./cluster_index.ts";
import {
  compareClusterPolicies,
  compareHolders,
  isGovernable,
  isolationPolicyOf,
} from "./select.ts";

/** Facts by key. */
export class FactStore implements ClusterIndex {
  readonly #nodeName: string;
  readonly #usesIsolation: boolean;
  readonly #workloads = new Map<string, Workload>();
  readonly #workloadKeys = new Map<string, Set<string>>();
  readonly #claimants = new Map<string, Set<string>>();
  readonly #namespaces = new Map<string, Namespace>();
  readonly #policies = new Map<string, Map<string, NetworkPolicy>>();
  readonly #policyNamespaces = new Map<string, string>();
  readonly #clusterPolicies = new Map<string, ClusterNetworkPolicy>();
  readonly #nodes = new Map<string, Node>();
  readonly #attachments = new Map<string, Map<string, Attachment>>();
  readonly #attachmentOwners = new Map<string, string>();
  #tiers = new Map<string, readonly ClusterNetworkPolicy[]>();

  /** @param usesIsolation whether the annotation of NetworkPolicy's first days counts */
  constructor(nodeName: string, usesIsolation: boolean) {
    this.#nodeName = nodeName;
    this.#usesIsolation = usesIsolation;
  }

  // What is asked.

  workload(key: string): Workload | undefined {
    return this.#workloads.get(key);
  }

  /** Keys of the pods of a namespace, or of all. */
  workloadKeys(namespace: string | undefined): Iterable<string> {
    if (namespace === undefined) return this.#workloads.keys();
    return this.#workloadKeys.get(namespace) ?? [];
  }

  namespace(name: string): Namespace | undefined {
    return this.#namespaces.get(name);
  }

  node(name: string): Node | undefined {
    return this.#nodes.get(name);
  }

  nodes(): Iterable<Node> {
    return this.#nodes.values();
  }

  *policiesOf(namespace: string): Iterable<NetworkPolicy> {
    yield* this.#policies.get(namespace)?.values() ?? [];
    const known = this.#usesIsolation ? this.#namespaces.get(namespace) : undefined;
    const isolation = known && isolationPolicyOf(known);
    if (isolation !== undefined) yield isolation;
  }

  clusterPoliciesOf(tier: "admin" | "baseline"): readonly ClusterNetworkPolicy[] {
    let policies = this.#tiers.get(tier);
    if (policies === undefined) {
      policies = [...this.#clusterPolicies.values()]
        .filter((it) => it.tier === tier)
        .sort(compareClusterPolicies);
      this.#tiers.set(tier, policies);
    }
    return policies;
  }

  podAt(address: string): Workload | undefined {
    let holder: Workload | undefined;
    for (const key of this.#claimants.get(address) ?? []) {
      const workload = this.#workloads.get(key);
      if (workload === undefined || !isGovernable(workload)) continue;
      if (holder === undefined || this.#compareHolders(address, workload, holder) < 0) {
        holder = workload;
      }
    }
    return holder;
  }

  /** The plugin knows better than any status whom it gave an address. */
  #compareHolders(address: string, a: Workload, b: Workload): number {
    const isAttached = (it: Workload): boolean =>
      it.nodeName === this.#nodeName &&
      [...this.attachmentsOf(keyOf(it))].some(({ addresses }) =>
        addresses.some((it) => it.toString() === address)
      );
    return Number(isAttached(b)) - Number(isAttached(a)) || compareHolders(a, b);
  }

  /** The interfaces that the plugin reported of a pod. */
  attachmentsOf(key: string): Iterable<Attachment> {
    return this.#attachments.get(key)?.values() ?? [];
  }

  /** Every address that a pod is known by: its status's, and for one of this node the plugin's. */
  addressesOf(workload: Workload): readonly Address[] {
    const attachments = workload.nodeName === this.#nodeName
      ? this.#attachments.get(keyOf(workload))
      : undefined;
    if (attachments === undefined) return workload.addresses;
    const addresses = new Map(workload.addresses.map((it) => [it.toString(), it]));
    for (const attachment of attachments.values()) {
      for (const address of attachment.addresses) addresses.set(address.toString(), address);
    }
    return [...addresses.values()];
  }

  /** Those of its addresses that no other pod holds. */
  heldAddressesOf(workload: Workload): readonly Address[] {
    const addresses = this.addressesOf(workload);
    const isHeld = (address: Address): boolean => {
      const text = address.toString();
      if ((this.#claimants.get(text)?.size ?? 0) < 2) return true;
      const holder = this.podAt(text);
      return holder === undefined || keyOf(holder) === keyOf(workload);
    };
    return addresses.every(isHeld) ? addresses : addresses.filter(isHeld);
  }

  // What is told.

  /** @returns the keys of other pods that claim an address of this one */
  setWorkload(key: string, value: Workload | undefined): readonly string[] {
    const namespace = (value ?? this.#workloads.get(key))?.namespace;
    if (namespace === undefined) return [];
    return this.#claim(key, () => {
      set(this.#workloads, key, value);
      setIn(this.#workloadKeys, namespace, key, value !== undefined);
    });
  }

  setNamespace(key: string, value: Namespace | undefined): void {
    set(this.#namespaces, key, value);
  }

  /** @returns the policy's namespace; `undefined` for one that never was */
  setPolicy(key: string, value: NetworkPolicy | undefined): string | undefined {
    const namespace = value?.namespace ?? this.#policyNamespaces.get(key);
    if (namespace === undefined) return undefined;
    set(this.#policyNamespaces, key, value?.namespace);
    const siblings = this.#policies.get(namespace) ?? new Map<string, NetworkPolicy>();
    set(siblings, key, value);
    set(this.#policies, namespace, siblings.size > 0 ? siblings : undefined);
    return namespace;
  }

  setClusterPolicy(key: string, value: ClusterNetworkPolicy | undefined): void {
    set(this.#clusterPolicies, key, value);
    this.#tiers = new Map();
  }

  setNode(key: string, value: Node | undefined): void {
    set(this.#nodes, key, value);
  }

  /** @returns the keys of the pods that it concerns, rivals for their addresses among them */
  setAttachment(key: string, value: Attachment | undefined): readonly string[] {
    const previous = this.#attachmentOwners.get(key);
    const next = value && `${value.namespace}/${value.pod}`;
    const owners = new Set([previous, next].filter((it) => it !== undefined));
    const concerned = new Set(owners);
    for (const owner of owners) {
      const rivals = this.#claim(owner, () => {
        const siblings = this.#attachments.get(owner) ?? new Map<string, Attachment>();
        set(siblings, key, owner === next ? value : undefined);
        set(this.#attachments, owner, siblings.size > 0 ? siblings : undefined);
      });
      for (const rival of rivals) concerned.add(rival);
    }
    set(this.#attachmentOwners, key, next);
    return [...concerned];
  }

  /**
   * Applies a change of a pod and keeps who claims which address.
   *
   * @returns the keys of the others that claim one of its addresses, former ones among them
   */
  #claim(key: string, change: () => void): readonly string[] {
    const claimed = (): ReadonlySet<string> => {
      const workload = this.#workloads.get(key);
      return new Set(workload === undefined ? [] : this.addressesOf(workload).map(String));
    };
    const old = claimed();
    change();
    const now = claimed();
    const rivals = new Set<string>();
    for (const address of old) if (!now.has(address)) setIn(this.#claimants, address, key, false);
    for (const address of now) setIn(this.#claimants, address, key, true);
    for (const address of [...old, ...now]) {
      for (const rival of this.#claimants.get(address) ?? []) if (rival !== key) rivals.add(rival);
    }
    return [...rivals];
  }
}

function set<V>(map: Map<string, V>, key: string, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

function setIn(map: Map<string, Set<string>>, key: string, member: string, isIn: boolean): void {
  const members = map.get(key) ?? new Set();
  if (isIn) members.add(member);
  else members.delete(member);
  if (members.size === 0) map.delete(key);
  else map.set(key, members);
}
