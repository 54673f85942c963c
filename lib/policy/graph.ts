/**
 * The brain: facts in, `Desired` out. What comes out is a function of the current facts, never of the
 * way they came; what depends on something unknown fails closed.
 *
 *   workloads ─┬─▶ local endpoints ─┬─▶ programs ─▶ policies in use ─▶ sets in use ─┐
 *   policies ──┼────────────────────┘                                              ├─▶ Desired
 *   attachments┤                                                                   │
 *   namespaces ┴─▶ members of the sets (SetIndex, by single changes) ──────────────┘
 *
 * A pod of another node moves set members only. What concerns this node's pods is computed anew from
 * all its facts: they are few, and recomputing cannot be wrong.
 */

import type { Desired, DesiredEndpoint, DesiredPolicy, DesiredProgram } from "../model/desired.ts";
import type { DesiredSet } from "../model/desired.ts";
import type { Attachment, FactKind, FactTypes } from "../model/facts.ts";
import { interfaceNameOf } from "../model/interface_name.ts";
import type { Namespace } from "../model/namespace.ts";
import { type Direction, DIRECTIONS, type NetworkPolicy } from "../model/policy.ts";
import { keyOf, type Workload } from "../model/workload.ts";
import { type CompiledPolicy, compilePolicy, policyIdOf } from "./compile.ts";
import { governs, isGovernable } from "./select.ts";
import { type PodSource, SetIndex } from "./set_index.ts";
import type { SetSpec } from "./set_spec.ts";

/** What the graph must know of its node. */
export interface PolicyGraphOptions {
  readonly nodeName: string;
  /** Prefix of the pods' host interfaces. */
  readonly interfacePrefix?: string;
}

type Compiled = Readonly<Record<Direction, CompiledPolicy>>;

/** Facts in by `update()`, the desired state out by `flush()`. */
export class PolicyGraph {
  readonly #options: PolicyGraphOptions;
  readonly #workloads = new Map<string, Workload>();
  readonly #workloadKeys = new Map<string, Set<string>>();
  readonly #namespaces = new Map<string, Namespace>();
  readonly #policies = new Map<string, NetworkPolicy>();
  readonly #policiesByNamespace = new Map<string, Map<string, NetworkPolicy>>();
  readonly #attachments = new Map<string, Attachment>();
  readonly #attachmentsByWorkload = new Map<string, Map<string, Attachment>>();
  readonly #local = new Set<string>();
  readonly #compiled = new WeakMap<NetworkPolicy, Compiled>();
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
    const source: PodSource = {
      keys: (namespace) =>
        namespace === undefined
          ? this.#workloads.keys()
          : this.#workloadKeys.get(namespace) ?? new Set<string>(),
      view: (key) => this.#view(key),
    };
    this.#index = new SetIndex(source);
  }

  /** Takes one fact; `undefined` means gone, or so malformed that it counts as absent. */
  update<K extends FactKind>(kind: K, key: string, value: FactTypes[K] | undefined): void {
    switch (kind) {
      case "workload":
        return this.#updateWorkload(key, value as Workload | undefined);
      case "namespace":
        return this.#updateNamespace(key, value as Namespace | undefined);
      case "policy":
        return this.#updatePolicy(key, value as NetworkPolicy | undefined);
      case "attachment":
        return this.#updateAttachment(key, value as Attachment | undefined);
      case "node":
        return; // no rule depends on a node yet
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
    const previous = this.#workloads.get(key);
    set(this.#workloads, key, value);
    if (previous !== undefined && value !== undefined && isSame(previous, value)) return;
    const namespace = (value ?? previous)?.namespace;
    if (namespace === undefined) return;
    setIn(this.#workloadKeys, namespace, key, value !== undefined);
    const isLocal = value !== undefined && value.nodeName === this.#options.nodeName &&
      isGovernable(value);
    if (isLocal || this.#local.has(key)) this.#isLocalDirty = true;
    if (isLocal) this.#local.add(key);
    else this.#local.delete(key);
    this.#index.refresh(key, namespace);
  }

  #updateNamespace(key: string, value: Namespace | undefined): void {
    set(this.#namespaces, key, value);
    for (const workload of this.#workloadKeys.get(key) ?? []) this.#index.refresh(workload, key);
  }

  #updatePolicy(key: string, value: NetworkPolicy | undefined): void {
    const namespace = (value ?? this.#policies.get(key))?.namespace;
    if (namespace === undefined) return;
    set(this.#policies, key, value);
    const siblings = this.#policiesByNamespace.get(namespace) ?? new Map<string, NetworkPolicy>();
    set(siblings, key, value);
    this.#policiesByNamespace.set(namespace, siblings);
    this.#isLocalDirty = true;
  }

  #updateAttachment(key: string, value: Attachment | undefined): void {
    const previous = this.#attachments.get(key);
    set(this.#attachments, key, value);
    for (const attachment of [previous, value]) {
      if (attachment === undefined) continue;
      const workload = `${attachment.namespace}/${attachment.pod}`;
      const siblings = this.#attachmentsByWorkload.get(workload) ?? new Map<string, Attachment>();
      set(siblings, key, attachment === value ? value : undefined);
      set(this.#attachmentsByWorkload, workload, siblings.size > 0 ? siblings : undefined);
      this.#index.refresh(workload, attachment.namespace);
    }
    this.#isLocalDirty = true;
  }

  /** A pod with the addresses of its status and those that the plugin reported. */
  #view(
    key: string,
  ): { workload: Workload; namespaceLabels: Namespace["labels"] | undefined } | undefined {
    const workload = this.#workloads.get(key);
    if (workload === undefined) return undefined;
    const namespaceLabels = this.#namespaces.get(workload.namespace)?.labels;
    const attachments = this.#local.has(key) ? this.#attachmentsByWorkload.get(key) : undefined;
    if (attachments === undefined) return { workload, namespaceLabels };
    const addresses = new Map(workload.addresses.map((it) => [it.toString(), it]));
    for (const attachment of attachments.values()) {
      for (const address of attachment.addresses) addresses.set(address.toString(), address);
    }
    return { workload: { ...workload, addresses: [...addresses.values()] }, namespaceLabels };
  }

  #compute(): Desired {
    const endpoints = new Map<string, DesiredEndpoint>();
    const programs = new Map<string, DesiredProgram>();
    const policies = new Map<string, DesiredPolicy>();
    const specs = new Map<string, SetSpec>();
    const rangeSets = new Map<string, DesiredSet>();
    for (const key of [...this.#local].sort()) {
      const workload = this.#workloads.get(key);
      if (workload === undefined) continue;
      const [ingress, egress] = DIRECTIONS.map((direction) => {
        const governing = this.#governing(workload, direction);
        if (governing.length === 0) return undefined;
        for (const policy of governing) {
          const compiled = this.#compile(policy)[direction];
          policies.set(compiled.policy.id, compiled.policy);
          for (const spec of compiled.specs) specs.set(spec.id, spec);
          for (const rangeSet of compiled.rangeSets) rangeSets.set(rangeSet.id, rangeSet);
        }
        const program = programOf(direction, governing);
        programs.set(program.id, program);
        return program.id;
      });
      for (const interfaceName of this.#interfacesOf(workload)) {
        endpoints.set(interfaceName, { interfaceName, workload: key, ingress, egress });
      }
    }
    this.#index.require(specs);
    return { endpoints, programs, policies, sets: new Map([...this.#index.sets(), ...rangeSets]) };
  }

  #governing(workload: Workload, direction: Direction): readonly NetworkPolicy[] {
    const policies = this.#policiesByNamespace.get(workload.namespace)?.values() ?? [];
    return [...policies]
      .filter((policy) => governs(policy, workload, direction))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #interfacesOf(workload: Workload): ReadonlySet<string> {
    const { namespace, name } = workload;
    const reported = this.#attachmentsByWorkload.get(keyOf(workload))?.values() ?? [];
    return new Set([
      interfaceNameOf(namespace, name, this.#options.interfacePrefix),
      ...[...reported].map((it) => it.interfaceName),
    ]);
  }

  #compile(policy: NetworkPolicy): Compiled {
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

function programOf(direction: Direction, policies: readonly NetworkPolicy[]): DesiredProgram {
  const ids = policies.map((policy) => policyIdOf(policy, direction));
  return { id: ids.join(" "), direction, policies: ids };
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
