/**
 * The facts as they are now, found by what the graph and the evaluator ask for. It decides nothing;
 * it says what a fact's change can touch.
 */

import type { Address } from "../ip/address.ts";
import { type Attachment, type Detachment, podKeyOf } from "../model/facts.ts";
import type { Namespace } from "../model/namespace.ts";
import type { Node } from "../model/node.ts";
import { type ClusterNetworkPolicy, DIRECTIONS, type NetworkPolicy } from "../model/policy.ts";
import { keyOf, type Workload } from "../model/workload.ts";
import { type AddressDoubts, addressDoubts } from "./address_doubts.ts";
import { AttachmentIndex, fileIn } from "./attachment_index.ts";
import type { ClusterIndex } from "./cluster_index.ts";
import { NodeIndex } from "./node_index.ts";
import {
  compareClusterPolicies,
  compareHolders,
  governs,
  isolationPolicyOf,
  isPolicySubject,
} from "./select.ts";

/** Facts by key. */
export class FactStore implements ClusterIndex {
  readonly attachments = new AttachmentIndex();
  #nodeName: string;
  readonly #usesIsolation: boolean;
  readonly #workloads = new Map<string, Workload>();
  readonly #workloadKeys = new Map<string, Set<string>>();
  /** Keys of the pods that claim an address; `addressesOf()` decides which one has it. */
  readonly #claims = new Map<string, Set<string>>();
  readonly #namespaces = new Map<string, Namespace>();
  readonly #policies = new Map<string, Map<string, NetworkPolicy>>();
  readonly #policyNamespaces = new Map<string, string>();
  readonly #clusterPolicies = new Map<string, ClusterNetworkPolicy>();
  readonly #nodes = new NodeIndex();
  /** Keys of the pods whose status has an address of a node, believed or not; usually none. */
  readonly #contested = new Set<string>();
  #tiers = new Map<string, readonly ClusterNetworkPolicy[]>();

  /** @param usesIsolation whether the annotation of NetworkPolicy's first days counts */
  constructor(nodeName: string, usesIsolation: boolean) {
    this.#nodeName = nodeName;
    this.#usesIsolation = usesIsolation;
  }

  // Getters.

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
    return this.#nodes.all();
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
    for (const key of this.#claims.get(address) ?? []) {
      const workload = this.#workloads.get(key);
      if (workload === undefined || !isPolicySubject(workload)) continue;
      if (!this.addressesOf(workload).some((it) => it.toString() === address)) continue;
      if (holder === undefined || compareHolders(workload, holder) < 0) holder = workload;
    }
    return holder;
  }

  /** Whether an attachment is this very pod's, and not that of another one of its name. */
  isOf({ namespace, pod, uid }: Attachment, workload: Workload): boolean {
    return namespace === workload.namespace && pod === workload.name &&
      workload.nodeName === this.#nodeName && (uid === undefined || uid === workload.uid);
  }

  /** The attachments of this very pod. */
  attachmentsOf(workload: Workload): readonly Attachment[] {
    if (this.attachments.isEmpty) return [];
    return [...this.attachments.ofPod(keyOf(workload))].filter((it) => this.isOf(it, workload));
  }

  /** The addresses in a pod's status that count as its own (`address_doubts.ts`). */
  credibleAddressesOf(workload: Workload): readonly Address[] {
    if (!this.#contested.has(keyOf(workload))) return workload.addresses;
    return workload.addresses.filter((it) => this.#nodes.isCredible(it, workload.nodeName));
  }

  /** The doubted addresses of all pods' statuses, except those that an attachment confirms. */
  addressDoubts(): AddressDoubts {
    return addressDoubts(
      this.#workloads.values(),
      this.#nodes.all(),
      (workload, address) =>
        this.attachmentsOf(workload).some((it) =>
          it.addresses.some((attached) => attached.toString() === address.toString())
        ),
    );
  }

  /**
   * The addresses of a pod: those in its status and, for a pod of this node, those that the plugin
   * reported. An attached address belongs to its attachment, even if another pod's status names it.
   */
  addressesOf(workload: Workload): readonly Address[] {
    const credible = this.credibleAddressesOf(workload);
    if (this.attachments.isEmpty) return credible;
    const own = this.attachmentsOf(workload);
    const isForeign = (address: Address): boolean =>
      [...this.attachments.atAddress(address.toString())].some((it) => !this.isOf(it, workload));
    if (own.length === 0 && !credible.some(isForeign)) return credible;
    const all = [...credible, ...own.flatMap((it) => it.addresses)];
    const addresses = new Map(all.map((it) => [it.toString(), it]));
    return [...addresses.values()].filter((it) => !isForeign(it));
  }

  /** The pod's addresses that no other pod holds. */
  heldAddressesOf(workload: Workload): readonly Address[] {
    const addresses = this.addressesOf(workload);
    const isHeld = (address: Address): boolean => {
      const text = address.toString();
      if ((this.#claims.get(text)?.size ?? 0) < 2) return true;
      const holder = this.podAt(text);
      return holder === undefined || keyOf(holder) === keyOf(workload);
    };
    return addresses.every(isHeld) ? addresses : addresses.filter(isHeld);
  }

  /** Keys of the pods that an attachment can affect: its own, and others that claim its interface or address. */
  claimantsOf(attachment: Attachment): Iterable<string> {
    const claimants = new Set([podKeyOf(attachment)]);
    for (const it of this.attachments.atInterface(attachment.interfaceName)) {
      claimants.add(podKeyOf(it));
    }
    for (const address of attachment.addresses) {
      for (const key of this.#claims.get(address.toString()) ?? []) claimants.add(key);
    }
    return claimants;
  }

  // Setters: one change of the cluster's or the node's state each.

  /** Sets the name of this node, in place of the one before. */
  setOwnNode(name: string): void {
    this.#nodeName = name;
  }

  /** @returns the keys of other pods that claim an address of this one, former ones among them */
  setWorkload(key: string, value: Workload | undefined): readonly string[] {
    const namespace = (value ?? this.#workloads.get(key))?.namespace;
    if (namespace === undefined) return [];
    const before = this.#claimsOf(key);
    set(this.#workloads, key, value);
    fileIn(this.#workloadKeys, namespace, key, value !== undefined);
    this.#claim(key, before);
    this.#contest(key);
    const rivals = new Set<string>();
    for (const address of [...before, ...this.#claimsOf(key)]) {
      for (const rival of this.#claims.get(address) ?? []) if (rival !== key) rivals.add(rival);
    }
    return [...rivals];
  }

  setNamespace(key: string, value: Namespace | undefined): void {
    set(this.#namespaces, key, value);
  }

  /** @returns the keys of the pods that the policy governs, or governed before */
  setPolicy(key: string, value: NetworkPolicy | undefined): readonly string[] {
    const namespace = value?.namespace ?? this.#policyNamespaces.get(key);
    if (namespace === undefined) return [];
    set(this.#policyNamespaces, key, value?.namespace);
    const siblings = this.#policies.get(namespace) ?? new Map<string, NetworkPolicy>();
    const versions = [siblings.get(key), value].filter((it) => it !== undefined);
    set(siblings, key, value);
    set(this.#policies, namespace, siblings.size > 0 ? siblings : undefined);
    return [...this.workloadKeys(namespace)].filter((pod) => {
      const workload = this.#workloads.get(pod);
      return workload !== undefined &&
        versions.some((policy) =>
          DIRECTIONS.some((direction) => governs(policy, workload, direction))
        );
    });
  }

  setClusterPolicy(key: string, value: ClusterNetworkPolicy | undefined): void {
    set(this.#clusterPolicies, key, value);
    this.#tiers = new Map();
  }

  /** @returns the keys of the pods whose addresses can be others now, their rivals' among them */
  setNode(key: string, value: Node | undefined): Iterable<string> {
    const concerned = new Set<string>();
    const concern = (address: string): void => {
      for (const pod of this.#claims.get(address) ?? []) concerned.add(pod);
    };
    this.#nodes.set(key, value).forEach(concern);
    for (const pod of this.#contested) {
      // Its node's pod CIDRs may differ, and with them which of its addresses are believed.
      const workload = this.#workloads.get(pod);
      if (workload?.nodeName === key) workload.addresses.map(String).forEach(concern);
    }
    for (const pod of concerned) this.#contest(pod);
    return concerned;
  }

  /** @returns the previous value */
  setAttachment(key: string, value: Attachment | undefined): Attachment | undefined {
    const previous = this.attachments.get(key);
    const pods = new Set([previous, value].filter((it) => it !== undefined).map(podKeyOf));
    const claims = new Map([...pods].map((it) => [it, this.#claimsOf(it)]));
    this.attachments.set(key, value);
    for (const [pod, before] of claims) this.#claim(pod, before);
    return previous;
  }

  setDetachment(key: string, value: Detachment | undefined): void {
    this.attachments.setDetachment(key, value);
  }

  /** Notes whether the status of a pod has an address of a node. */
  #contest(key: string): void {
    const workload = this.#workloads.get(key);
    const isContested = workload !== undefined && isPolicySubject(workload) &&
      workload.addresses.some((it) => this.#nodes.hasAddress(it.toString()));
    if (isContested) this.#contested.add(key);
    else this.#contested.delete(key);
  }

  /** The addresses that a pod claims, by its status and its attachments. */
  #claimsOf(key: string): readonly string[] {
    const attached = [...this.attachments.ofPod(key)].flatMap((it) => it.addresses);
    return [...this.#workloads.get(key)?.addresses ?? [], ...attached].map(String);
  }

  /** Notes the claims of a pod after a change. */
  #claim(key: string, before: readonly string[]): void {
    const now = this.#claimsOf(key);
    for (const address of before) {
      if (!now.includes(address)) fileIn(this.#claims, address, key, false);
    }
    for (const address of now) fileIn(this.#claims, address, key, true);
  }
}

function set<V>(map: Map<string, V>, key: string, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
