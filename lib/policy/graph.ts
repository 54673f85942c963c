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
 * A pod of another node moves set members only. What concerns this node's pods is computed anew from
 * all its facts: they are few, and recomputing cannot be wrong.
 */

import type {
  DenyAction,
  Desired,
  DesiredEndpoint,
  DesiredPolicy,
  DesiredProgram,
  DesiredSet,
} from "../model/desired.ts";
import type { Attachment, FactKind, FactTypes } from "../model/facts.ts";
import { interfaceNameOf } from "../model/interface_name.ts";
import type { Namespace } from "../model/namespace.ts";
import type { Node } from "../model/node.ts";
import {
  type ClusterNetworkPolicy,
  type Direction,
  DIRECTIONS,
  type NetworkPolicy,
} from "../model/policy.ts";
import { keyOf, type Workload } from "../model/workload.ts";
import type { ClusterIndex } from "./cluster_index.ts";
import { type AnyPolicy, type CompiledPolicy, compilePolicy } from "./compile.ts";
import { FactStore } from "./fact_store.ts";
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
}

type Compiled = Readonly<Record<Direction, CompiledPolicy>>;

/** What the policies in use need, as they are found. */
interface Needs {
  readonly policies: Map<string, DesiredPolicy>;
  readonly specs: Map<string, SetSpec>;
  readonly rangeSets: Map<string, DesiredSet>;
}

/** Facts in by `update()`, the desired state out by `flush()`. */
export class PolicyGraph {
  readonly #options: PolicyGraphOptions;
  readonly #facts: FactStore;
  readonly #local = new Set<string>();
  readonly #compiled = new WeakMap<AnyPolicy, Compiled>();
  readonly #index: SetIndex;
  #isLocalDirty = true;
  #desired: Desired = {
    endpoints: new Map(),
    programs: new Map(),
    policies: new Map(),
    sets: new Map(),
  };

  constructor(options: PolicyGraphOptions) {
    this.#options = options;
    this.#facts = new FactStore(options.nodeName, options.isolationAnnotation ?? false);
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

  /** Takes one fact; `undefined` means gone, or so malformed that it counts as absent. */
  update<K extends FactKind>(kind: K, key: string, value: FactTypes[K] | undefined): void {
    switch (kind) {
      case "workload":
        return this.#updateWorkload(key, value as Workload | undefined);
      case "namespace":
        return this.#updateNamespace(key, value as Namespace | undefined);
      case "policy":
        if (this.#facts.setPolicy(key, value as NetworkPolicy | undefined) !== undefined) {
          this.#isLocalDirty = true;
        }
        return;
      case "clusterPolicy":
        this.#facts.setClusterPolicy(key, value as ClusterNetworkPolicy | undefined);
        this.#isLocalDirty = true;
        return;
      case "attachment":
        return this.#updateAttachment(key, value as Attachment | undefined);
      case "node":
        this.#facts.setNode(key, value as Node | undefined);
        return this.#index.refreshNode(key, value as Node | undefined);
    }
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

  #updateWorkload(key: string, value: Workload | undefined): void {
    const previous = this.#facts.workload(key);
    this.#facts.setWorkload(key, value);
    if (previous !== undefined && value !== undefined && isSame(previous, value)) return;
    const namespace = (value ?? previous)?.namespace;
    if (namespace === undefined) return;
    const isLocal = value !== undefined && value.nodeName === this.#options.nodeName &&
      isGovernable(value);
    if (isLocal || this.#local.has(key)) this.#isLocalDirty = true;
    if (isLocal) this.#local.add(key);
    else this.#local.delete(key);
    this.#index.refreshPod(key, namespace);
  }

  #updateNamespace(key: string, value: Namespace | undefined): void {
    this.#facts.setNamespace(key, value);
    let hasLocal = false;
    for (const workload of this.#facts.workloadKeys(key)) {
      this.#index.refreshPod(workload, key);
      hasLocal ||= this.#local.has(workload);
    }
    if (hasLocal) this.#isLocalDirty = true;
  }

  #updateAttachment(key: string, value: Attachment | undefined): void {
    for (const workload of this.#facts.setAttachment(key, value)) {
      this.#index.refreshPod(workload, workload.slice(0, workload.indexOf("/")));
    }
    this.#isLocalDirty = true;
  }

  /** A pod with every address that it is known by. */
  #view(key: string): PodView | undefined {
    const workload = this.#facts.workload(key);
    if (workload === undefined) return undefined;
    const addresses = this.#facts.addressesOf(workload);
    return {
      workload: addresses === workload.addresses ? workload : { ...workload, addresses },
      namespaceLabels: this.#facts.namespace(workload.namespace)?.labels,
    };
  }

  #compute(): Desired {
    const endpoints = new Map<string, DesiredEndpoint>();
    const programs = new Map<string, DesiredProgram>();
    const needs: Needs = { policies: new Map(), specs: new Map(), rangeSets: new Map() };
    for (const key of [...this.#local].sort()) {
      const workload = this.#facts.workload(key);
      // Without its namespace nobody knows which policies concern a pod: it stays closed.
      if (workload === undefined || this.#facts.namespace(workload.namespace) === undefined) {
        continue;
      }
      const [ingress, egress] = DIRECTIONS.map((direction) => {
        const program = this.#programOf(workload, direction, needs);
        if (program !== undefined) programs.set(program.id, program);
        return program?.id;
      });
      const addresses = this.#facts.addressesOf(workload).map(String).sort();
      for (const interfaceName of this.#interfacesOf(workload)) {
        const endpoint = { interfaceName, workload: key, addresses, ingress, egress };
        endpoints.set(interfaceName, endpoint);
      }
    }
    this.#index.require(needs.specs);
    return {
      endpoints,
      programs,
      policies: needs.policies,
      sets: new Map([...this.#index.sets(), ...needs.rangeSets]),
    };
  }

  #programOf(workload: Workload, direction: Direction, needs: Needs): DesiredProgram | undefined {
    const namespace = this.#facts.namespace(workload.namespace);
    const tier = (name: "admin" | "baseline"): readonly AnyPolicy[] =>
      this.#facts.clusterPoliciesOf(name)
        .filter((policy) => concerns(policy, workload, namespace?.labels, direction));
    const namespaced = [...this.#facts.policiesOf(workload.namespace)]
      .filter((policy) => governs(policy, workload, direction))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const use = (policies: readonly AnyPolicy[]): readonly string[] =>
      policies.map((policy) => this.#use(policy, direction, needs));
    const tiers = {
      admin: use(tier("admin")),
      namespaced: use(namespaced),
      // A governed pod never gets as far as the baseline.
      baseline: namespaced.length > 0 ? [] : use(tier("baseline")),
    };
    const ids = [...tiers.admin, ...tiers.namespaced, ...tiers.baseline];
    if (ids.length === 0) return undefined;
    const denyAction = namespace?.denyAction ?? this.#options.denyAction ?? "drop";
    return { id: [denyAction, ...ids].join(" "), direction, denyAction, ...tiers };
  }

  /** Notes what the policy needs; its id. */
  #use(policy: AnyPolicy, direction: Direction, needs: Needs): string {
    const compiled = this.#compile(policy)[direction];
    needs.policies.set(compiled.policy.id, compiled.policy);
    for (const spec of compiled.specs) needs.specs.set(spec.id, spec);
    for (const rangeSet of compiled.rangeSets) needs.rangeSets.set(rangeSet.id, rangeSet);
    return compiled.policy.id;
  }

  #interfacesOf(workload: Workload): ReadonlySet<string> {
    const { namespace, name } = workload;
    const reported = this.#facts.attachmentsOf(keyOf(workload));
    return new Set([
      interfaceNameOf(namespace, name, this.#options.interfacePrefix),
      ...[...reported].map((it) => it.interfaceName),
    ]);
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

/** Whether two states of a pod mean the same to policy: most updates of a pod's status do. */
function isSame(a: Workload, b: Workload): boolean {
  return a.nodeName === b.nodeName && a.hostNetwork === b.hostNetwork &&
    a.finished === b.finished && a.addresses.join() === b.addresses.join() &&
    formatLabels(a) === formatLabels(b) && formatPorts(a) === formatPorts(b);
}

function formatLabels({ labels }: Workload): string {
  return JSON.stringify(Object.keys(labels).sort().map((key) => [key, labels[key]]));
}

function formatPorts({ ports }: Workload): string {
  return ports.map((it) => `${it.name}/${it.protocol}/${it.port}`).join();
}
