/**
 * The brain: facts in, `Desired` out. What comes out is a function of the current facts, never of the
 * way they came; what depends on something unknown fails closed.
 *
 *   workloads ─┬─▶ local endpoints ─┬─▶ programs ─▶ policies in use ─▶ sets in use ─┐
 *   policies ──┼────────────────────┘                                              ├─▶ Desired
 *   attachments┤                                                                   │
 *   namespaces ┼─▶ members of the sets (SetIndex, by single changes) ──────────────┘
 *   nodes ─────┘
 *
 * A pod of another node moves set members only. What concerns a pod of this node is recomputed from
 * all its facts when one of them changes, and merged with the parts of the other pods.
 */

import { HeldMap } from "../base/held_map.ts";
import { type Address, sortedByText } from "../ip/address.ts";
import {
  type DenyAction,
  type Desired,
  type DesiredEndpoint,
  type DesiredPolicy,
  type DesiredProgram,
  NOTHING_DESIRED,
  type RangeSet,
} from "../model/desired.ts";
import type { Attachment, Detachment, FactKind, FactTypes, PodLink } from "../model/facts.ts";
import type { Namespace } from "../model/namespace.ts";
import type { Node } from "../model/node.ts";
import type { ClusterNetworkPolicy, NetworkPolicy } from "../model/policy.ts";
import { isSameToPolicy, type Workload } from "../model/workload.ts";
import type { AddressDoubts } from "./address_doubts.ts";
import type { ClusterIndex } from "./cluster_index.ts";
import { FactStore } from "./fact_store.ts";
import { type LocalPart, LocalPartMaker } from "./local_part.ts";
import { LocalPods } from "./local_pods.ts";
import { isPolicySubject } from "./select.ts";
import { type PodView, SetIndex } from "./set_index.ts";
import type { SetSpec } from "./set_spec.ts";

/** The node's settings. */
export interface PolicyGraphOptions {
  readonly nodeName: string;
  /** Prefix of the pods' host interfaces. */
  readonly interfacePrefix?: string;
  /** What happens to denied packets, unless a namespace's annotation says. @default {"drop"} */
  readonly denyAction?: DenyAction;
  /** Whether the annotation of NetworkPolicy's first days counts. @default {false} */
  readonly isolationAnnotation?: boolean;
  /** Called for each fact that affects this node: it changes a local pod's part, or a set in use. */
  readonly onConcern?: (
    kind: FactKind,
    key: string,
    value: FactTypes[FactKind] | undefined,
  ) => void;
}

/** Facts in by `update()`, the desired state out by `flush()`. */
export class PolicyGraph {
  readonly #options: PolicyGraphOptions;
  #nodeName: string;
  readonly #facts: FactStore;
  readonly #local: LocalPods;
  readonly #maker: LocalPartMaker;
  /** By the pods' keys. */
  readonly #parts = new Map<string, LocalPart>();
  /** Pods of this node whose parts the next flush recomputes. */
  readonly #stale = new Set<string>();
  readonly #programs = new HeldMap<DesiredProgram>();
  readonly #policies = new HeldMap<DesiredPolicy>();
  readonly #sets = new HeldMap<SetSpec | RangeSet>();
  readonly #index: SetIndex;
  #isLocalDirty = true;
  #desired: Desired = NOTHING_DESIRED;

  constructor(options: PolicyGraphOptions) {
    this.#options = options;
    this.#nodeName = options.nodeName;
    this.#facts = new FactStore(options.nodeName, options.isolationAnnotation ?? false);
    this.#local = new LocalPods(this.#facts, options.interfacePrefix);
    this.#maker = new LocalPartMaker({
      facts: this.#facts,
      local: this.#local,
      denyAction: options.denyAction ?? "drop",
      programOf: (id) => this.#programs.values.get(id),
    });
    this.#index = new SetIndex({
      podKeys: (namespace) => this.#facts.workloadKeys(namespace),
      pod: (key) => this.#view(key),
      nodes: () => this.#facts.nodes(),
    });
  }

  /** The facts taken so far, for the evaluator. */
  get index(): ClusterIndex {
    return this.#facts;
  }

  /** Doubted addresses in the pods' statuses. */
  addressDoubts(): AddressDoubts {
    return this.#facts.addressDoubts();
  }

  /** The uid of the pod of this key, as far as it is known. */
  uidOf(key: string): string | undefined {
    return this.#facts.workload(key)?.uid;
  }

  /**
   * Takes one fact; `undefined` means gone, or so malformed that it counts as absent.
   *
   * @returns whether there is something to flush: most changes in a cluster concern no pod of this node
   */
  update<K extends FactKind>(kind: K, key: string, value: FactTypes[K] | undefined): boolean {
    const wasDirty = this.#isLocalDirty;
    this.#isLocalDirty = false;
    const isSetChanged = this.#take(kind, key, value);
    if (isSetChanged || this.#isLocalDirty) this.#options.onConcern?.(kind, key, value);
    this.#isLocalDirty ||= wasDirty;
    return isSetChanged || this.#isLocalDirty;
  }

  /** Sets this node's name in place of the constructor's; only before the first flush. */
  setOwnNode(name: string): void {
    this.#nodeName = name;
    this.#facts.setOwnNode(name);
    for (const key of this.#facts.workloadKeys(undefined)) {
      const workload = this.#facts.workload(key);
      if (workload && this.#isLocal(workload)) this.#local.add(key, workload);
      else this.#local.delete(key);
    }
    for (const key of this.#local.keys()) this.#stale.add(key);
    this.#isLocalDirty = true;
  }

  /**
   * The desired state of the facts taken so far. Its maps are new objects if this node's part changed,
   * else the same ones; the members of its sets change in place and carry revisions.
   */
  flush(): Desired {
    if (this.#isLocalDirty) {
      this.#isLocalDirty = false;
      this.#desired = this.#compute();
    }
    return this.#desired;
  }

  /** @returns whether a set changed; affected pods of this node are marked as stale */
  #take<K extends FactKind>(kind: K, key: string, value: FactTypes[K] | undefined): boolean {
    switch (kind) {
      case "workload":
        return this.#updateWorkload(key, value as Workload | undefined);
      case "namespace":
        return this.#updateNamespace(key, value as Namespace | undefined);
      case "attachment":
        return this.#updateAttachment(key, value as Attachment | undefined);
      case "node":
        return this.#updateNode(key, value as Node | undefined);
      case "policy":
        this.#updatePolicy(key, value as NetworkPolicy | undefined);
        return false;
      case "clusterPolicy":
        this.#facts.setClusterPolicy(key, value as ClusterNetworkPolicy | undefined);
        this.#forget(this.#local.keys());
        return false;
      case "detachment":
        this.#facts.setDetachment(key, value as Detachment | undefined);
        this.#forget(this.#local.rivalsOf(key));
        return false;
      case "link":
        this.#forget(this.#local.setLink(key, value as PodLink | undefined));
        return false;
    }
    throw new TypeError(`No facts are of kind ${kind}`);
  }

  #updateWorkload(key: string, value: Workload | undefined): boolean {
    const previous = this.#facts.workload(key);
    const rivals = this.#facts.setWorkload(key, value);
    if (previous && value && isSameToPolicy(previous, value)) return false;
    const namespace = (value ?? previous)?.namespace;
    if (namespace === undefined) return false;
    const isLocal = value !== undefined && this.#isLocal(value);
    if (isLocal) this.#local.add(key, value);
    this.#forget(this.#local.rivalsOf(key));
    if (!isLocal) this.#local.delete(key);
    const isSetChanged = this.#index.refreshPod(key, namespace);
    return this.#refresh(rivals) || isSetChanged;
  }

  #isLocal(workload: Workload): boolean {
    return workload.nodeName === this.#nodeName && isPolicySubject(workload);
  }

  /** Updates pods after a change outside of their own objects. @returns whether a set changed */
  #refresh(keys: Iterable<string>): boolean {
    let isSetChanged = false;
    for (const key of keys) {
      const namespace = key.slice(0, key.indexOf("/"));
      isSetChanged = this.#index.refreshPod(key, namespace) || isSetChanged;
      this.#forget([key]);
    }
    return isSetChanged;
  }

  #updateNamespace(key: string, value: Namespace | undefined): boolean {
    this.#facts.setNamespace(key, value);
    let isSetChanged = false;
    for (const workload of this.#facts.workloadKeys(key)) {
      isSetChanged = this.#index.refreshPod(workload, key) || isSetChanged;
      this.#forget([workload]);
    }
    return isSetChanged;
  }

  #updateNode(key: string, value: Node | undefined): boolean {
    const pods = this.#facts.setNode(key, value);
    for (const pod of pods) this.#forget(this.#local.rivalsOf(pod));
    // A node has few addresses and they rarely change, but a change must be flushed.
    const { hostAddresses } = this.#desired;
    this.#isLocalDirty ||= this.#hostAddresses().join() !== hostAddresses.join();
    const isSetChanged = this.#refresh(pods);
    return this.#index.refreshNode(key, value) || isSetChanged;
  }

  #updatePolicy(key: string, value: NetworkPolicy | undefined): void {
    this.#forget(this.#facts.setPolicy(key, value));
  }

  #updateAttachment(key: string, value: Attachment | undefined): boolean {
    const before = this.#facts.setAttachment(key, value);
    let isSetChanged = false;
    for (const attachment of [before, value]) {
      if (attachment === undefined) continue;
      isSetChanged = this.#refresh(this.#facts.claimantsOf(attachment)) || isSetChanged;
      this.#forget(this.#local.concernedBy(attachment));
    }
    return isSetChanged;
  }

  /** Marks the computed parts of these pods as stale, as far as the pods are of this node. */
  #forget(keys: Iterable<string>): void {
    for (const key of keys) {
      if (!this.#local.has(key)) continue;
      this.#stale.add(key);
      this.#isLocalDirty = true;
    }
  }

  #hostAddresses(): readonly Address[] {
    return sortedByText(this.#facts.node(this.#nodeName)?.addresses ?? []);
  }

  /** A pod with all its addresses that no newer pod holds. */
  #view(key: string): PodView | undefined {
    const workload = this.#facts.workload(key);
    if (workload === undefined) return undefined;
    const addresses = this.#facts.heldAddressesOf(workload);
    return {
      workload: addresses === workload.addresses ? workload : { ...workload, addresses },
      namespaceLabels: this.#facts.namespace(workload.namespace)?.labels,
    };
  }

  /** Merges the parts: it visits only parts of stale or deleted pods, and the endpoints of all pods. */
  #compute(): Desired {
    const before = new WeakRef(this.#desired);
    const keys = [...this.#local.keys()].sort();
    for (const key of [...this.#parts.keys()]) {
      if (!this.#local.has(key)) this.#replacePart(key, undefined);
    }
    for (const key of keys) {
      if (this.#stale.has(key) || !this.#parts.has(key)) {
        this.#replacePart(key, this.#maker.make(key));
      }
    }
    this.#stale.clear();
    const endpoints = new Map<string, DesiredEndpoint>();
    for (const key of keys) {
      for (const endpoint of this.#parts.get(key)?.endpoints ?? []) {
        endpoints.set(endpoint.interfaceName ?? key, endpoint);
      }
    }
    const changes = {
      since: before,
      programs: this.#programs.takeChanged(),
      policies: this.#policies.takeChanged(),
      sets: this.#sets.takeChanged(),
    };
    return {
      endpoints,
      programs: new Map(this.#programs.values),
      policies: new Map(this.#policies.values),
      sets: this.#index.require(this.#sets.values, changes.sets),
      hostAddresses: this.#hostAddresses(),
      conflicts: this.#local.conflicts(),
      changes,
    };
  }

  #replacePart(key: string, part: LocalPart | undefined): void {
    const before = this.#parts.get(key);
    // The new part first, so that a shared object is never absent in between.
    if (part === undefined) this.#parts.delete(key);
    else {
      this.#parts.set(key, part);
      for (const program of part.programs) this.#programs.take(program.id, program);
      for (const { policy, specs, rangeSets } of part.policies) {
        this.#policies.take(policy.id, policy);
        for (const set of [...specs, ...rangeSets]) {
          // The same id means the same content: keep the same object, so that later stages compare by identity.
          this.#sets.take(set.id, this.#sets.values.get(set.id) ?? set);
        }
      }
    }
    for (const program of before?.programs ?? []) this.#programs.release(program.id);
    for (const { policy, specs, rangeSets } of before?.policies ?? []) {
      this.#policies.release(policy.id);
      for (const set of [...specs, ...rangeSets]) this.#sets.release(set.id);
    }
  }
}
