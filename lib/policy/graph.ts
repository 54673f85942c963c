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
 * A pod of another node moves set members only. What concerns a pod of this node is computed anew from
 * all its facts when one of them changes, and put together with what the others bring.
 */

import {
  type DenyAction,
  type Desired,
  type DesiredEndpoint,
  type DesiredPolicy,
  type DesiredProgram,
  type DesiredSet,
  NOTHING_DESIRED,
} from "../model/desired.ts";
import type { Attachment, Detachment, FactKind, FactTypes, PodLink } from "../model/facts.ts";
import type { Namespace } from "../model/namespace.ts";
import type { Node } from "../model/node.ts";
import {
  type ClusterNetworkPolicy,
  type Direction,
  DIRECTIONS,
  type NetworkPolicy,
} from "../model/policy.ts";
import { isSameToPolicy, keyOf, type Workload } from "../model/workload.ts";
import type { AddressDoubts } from "./address_doubts.ts";
import type { ClusterIndex } from "./cluster_index.ts";
import { type AnyPolicy, type CompiledPolicy, compilePolicy } from "./compile.ts";
import { FactStore } from "./fact_store.ts";
import { LocalPods } from "./local_pods.ts";
import { concerns, governs, isGovernable } from "./select.ts";
import { type PodView, SetIndex } from "./set_index.ts";
import type { SetSpec } from "./set_spec.ts";

/** What the graph must know of its node. */
export interface PolicyGraphOptions {
  readonly nodeName: string;
  /** Prefix of the pods' host interfaces. */
  readonly interfacePrefix?: string;
  /** What denied packets get, where a namespace does not say. @default {"drop"} */
  readonly denyAction?: DenyAction;
  /** Whether the annotation of NetworkPolicy's first days counts. @default {false} */
  readonly isolationAnnotation?: boolean;
  /** Is told of each fact that concerns this node: what changes its pods' part, or the members of a set. */
  readonly onConcern?: (
    kind: FactKind,
    key: string,
    value: FactTypes[FactKind] | undefined,
  ) => void;
}

type Compiled = Readonly<Record<Direction, CompiledPolicy>>;

/** What one pod of this node brings into the desired state. */
interface LocalPart {
  readonly endpoints: readonly DesiredEndpoint[];
  readonly programs: readonly DesiredProgram[];
  readonly policies: readonly CompiledPolicy[];
}

/** Facts in by `update()`, the desired state out by `flush()`. */
export class PolicyGraph {
  readonly #options: PolicyGraphOptions;
  #nodeName: string;
  readonly #facts: FactStore;
  readonly #local: LocalPods;
  /** By the pods' keys; what is not here is made when it is next asked for. */
  readonly #parts = new Map<string, LocalPart>();
  readonly #compiled = new WeakMap<AnyPolicy, Compiled>();
  readonly #index: SetIndex;
  #isLocalDirty = true;
  #desired: Desired = NOTHING_DESIRED;

  constructor(options: PolicyGraphOptions) {
    this.#options = options;
    this.#nodeName = options.nodeName;
    this.#facts = new FactStore(options.nodeName, options.isolationAnnotation ?? false);
    this.#local = new LocalPods(this.#facts, options.interfacePrefix);
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

  /** What is to be doubted of the addresses that the pods' statuses say. */
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

  /** This node is called so, and not as was said when the graph was made. Before the first flush. */
  setOwnNode(name: string): void {
    this.#nodeName = name;
    this.#facts.setOwnNode(name);
    for (const key of this.#facts.workloadKeys(undefined)) {
      const workload = this.#facts.workload(key);
      if (workload && this.#isLocal(workload)) this.#local.add(key, workload);
      else this.#local.delete(key);
    }
    this.#parts.clear();
    this.#isLocalDirty = true;
  }

  /**
   * The desired state of the facts taken so far. Its maps are new when this node's part changed and
   * the same ones otherwise; the members of its sets live on and carry revisions.
   */
  flush(): Desired {
    if (this.#isLocalDirty) {
      this.#isLocalDirty = false;
      this.#desired = this.#compute();
    }
    return this.#desired;
  }

  /** @returns whether a set changed; what concerns this node's pods is marked */
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
    return workload.nodeName === this.#nodeName && isGovernable(workload);
  }

  /** Of these pods something has changed that is not in their own objects. @returns whether a set did */
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
    // Its addresses are few and rarely change, but what of them changed is to be flushed.
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

  /** What these pods bring in must be made anew, if they are this node's. */
  #forget(keys: Iterable<string>): void {
    for (const key of keys) {
      if (!this.#local.has(key)) continue;
      this.#parts.delete(key);
      this.#isLocalDirty = true;
    }
  }

  #hostAddresses(): readonly string[] {
    const { addresses = [] } = this.#facts.node(this.#nodeName) ?? {};
    return addresses.map(String).sort();
  }

  /** A pod with every address that it is known by, and that no newer pod holds. */
  #view(key: string): PodView | undefined {
    const workload = this.#facts.workload(key);
    if (workload === undefined) return undefined;
    const addresses = this.#facts.heldAddressesOf(workload);
    return {
      workload: addresses === workload.addresses ? workload : { ...workload, addresses },
      namespaceLabels: this.#facts.namespace(workload.namespace)?.labels,
    };
  }

  #compute(): Desired {
    const endpoints = new Map<string, DesiredEndpoint>();
    const programs = new Map<string, DesiredProgram>();
    const policies = new Map<string, DesiredPolicy>();
    const specs = new Map<string, SetSpec>();
    const rangeSets = new Map<string, DesiredSet>();
    for (const key of [...this.#local.keys()].sort()) {
      const part = this.#parts.get(key) ?? this.#computePart(key);
      this.#parts.set(key, part);
      for (const endpoint of part.endpoints) {
        endpoints.set(endpoint.interfaceName ?? key, endpoint);
      }
      for (const program of part.programs) programs.set(program.id, program);
      for (const compiled of part.policies) {
        policies.set(compiled.policy.id, compiled.policy);
        for (const spec of compiled.specs) specs.set(spec.id, spec);
        for (const rangeSet of compiled.rangeSets) rangeSets.set(rangeSet.id, rangeSet);
      }
    }
    this.#index.require(specs);
    return {
      endpoints,
      programs,
      policies,
      sets: new Map([...this.#index.sets(), ...rangeSets]),
      hostAddresses: this.#hostAddresses(),
      conflicts: this.#local.conflicts(),
    };
  }

  #computePart(key: string): LocalPart {
    const workload = this.#facts.workload(key);
    // Without its namespace nobody knows which policies concern a pod: it stays closed.
    if (workload === undefined || this.#facts.namespace(workload.namespace) === undefined) {
      return { endpoints: [], programs: [], policies: [] };
    }
    const policies: CompiledPolicy[] = [];
    const [ingress, egress] = DIRECTIONS.map((it) => this.#programOf(workload, it, policies));
    const hostEgress = egress && this.#hostProgramOf(egress);
    const addresses = this.#facts.addressesOf(workload).map(String).sort()
      .filter((it) => !this.#isOfAnother(it, key));
    const interfaces = this.#local.interfacesOf(key, workload);
    const ways = interfaces.size === 0 && addresses.length > 0 ? [undefined] : [...interfaces];
    const attached = (interfaceName: string | undefined): ReadonlySet<string> =>
      new Set(
        this.#facts.attachmentsOf(workload)
          .filter((it) => it.interfaceName === interfaceName)
          .flatMap((it) => it.addresses.map(String)),
      );
    const endpoints = ways.map((interfaceName) => ({
      interfaceName,
      workload: key,
      uid: workload.uid,
      addresses,
      attachedAddresses: addresses.filter((it) => attached(interfaceName).has(it)),
      ingress: ingress?.id,
      egress: egress?.id,
      hostEgress: hostEgress?.id,
    }));
    // Also without an endpoint: what is to govern a pod is there before the pod is.
    const programs = [ingress, egress, hostEgress].filter((it) => it !== undefined);
    return { endpoints, programs, policies };
  }

  /** Whether another pod of this node holds the address. What a pod elsewhere claims frees nobody. */
  #isOfAnother(address: string, key: string): boolean {
    const holder = this.#facts.podAt(address);
    return holder !== undefined && keyOf(holder) !== key && this.#local.has(keyOf(holder));
  }

  /** @param used takes the policies of the program */
  #programOf(
    workload: Workload,
    direction: Direction,
    used: CompiledPolicy[],
  ): DesiredProgram | undefined {
    const namespace = this.#facts.namespace(workload.namespace);
    const tier = (name: "admin" | "baseline"): readonly AnyPolicy[] =>
      this.#facts.clusterPoliciesOf(name)
        .filter((policy) => concerns(policy, workload, namespace?.labels, direction));
    const namespaced = [...this.#facts.policiesOf(workload.namespace)]
      .filter((policy) => governs(policy, workload, direction))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const use = (policies: readonly AnyPolicy[]): readonly string[] =>
      policies.map((policy) => {
        const compiled = this.#compile(policy)[direction];
        used.push(compiled);
        return compiled.policy.id;
      });
    const tiers = {
      admin: use(tier("admin")),
      namespaced: use(namespaced),
      // A governed pod never gets as far as the baseline.
      baseline: namespaced.length > 0 ? [] : use(tier("baseline")),
    };
    if (Object.values(tiers).every((it) => it.length === 0)) return undefined;
    const denyAction = namespace?.denyAction ?? this.#options.denyAction ?? "drop";
    return this.#intern({ direction, denyAction, ...tiers });
  }

  /**
   * The tiers of the cluster alone, for what a pod sends to its own node. A pod that NetworkPolicies
   * govern never gets as far as the baseline.
   */
  #hostProgramOf(egress: DesiredProgram): DesiredProgram | undefined {
    const { admin, baseline, direction, denyAction } = egress;
    if (admin.length === 0 && baseline.length === 0) return undefined;
    if (egress.namespaced.length === 0) return egress;
    return this.#intern({ direction, denyAction, admin, namespaced: [], baseline });
  }

  /** The same value as long as it says the same: whoever compiled it need not look into it again. */
  #intern(program: Omit<DesiredProgram, "id">): DesiredProgram {
    const id = [
      program.denyAction,
      ...program.admin,
      ...program.namespaced,
      ...program.baseline,
    ].join(" ");
    return this.#desired.programs.get(id) ?? { id, ...program };
  }

  #compile(policy: AnyPolicy): Compiled {
    let compiled = this.#compiled.get(policy);
    if (compiled === undefined) {
      compiled = {
        ingress: compilePolicy(policy, "ingress"),
        egress: compilePolicy(policy, "egress"),
      };
      this.#compiled.set(policy, compiled);
    }
    return compiled;
  }
}
