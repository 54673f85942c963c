/**
 * Keeps the members of the sets that are in use: one pod's change touches the sets that can select it,
 * and nothing else. It does not know policies; it is told which sets are needed.
 */

import type { DesiredSet, RangeSet } from "../model/desired.ts";
import type { Labels } from "../model/labels.ts";
import { type Member, MemberSet } from "../model/member_set.ts";
import type { Node } from "../model/node.ts";
import type { Workload } from "../model/workload.ts";
import { membersOf, nodeMembersOf, type SetSpec } from "./set_spec.ts";

/** A pod with all its addresses, as sets contain it. */
export interface PodView {
  readonly workload: Workload;
  readonly namespaceLabels: Labels | undefined;
}

/** Where the index finds pods and nodes. */
export interface MemberSource {
  /** Keys of the pods of a namespace, or of all. */
  podKeys(namespace: string | undefined): Iterable<string>;
  pod(key: string): PodView | undefined;
  nodes(): Iterable<Node>;
}

interface ActiveSet {
  readonly spec: SetSpec;
  readonly members: MemberSet;
  /** The set as the desired state has it: the same object as long as it is in use. */
  readonly desired: DesiredSet;
  /** The members that each pod or node contributed, by its key. */
  readonly contributions: Map<string, readonly Member[]>;
}

const NOTHING: readonly Member[] = [];

/** The sets in use, and their members. */
export class SetIndex {
  readonly #source: MemberSource;
  readonly #active = new Map<string, ActiveSet>();
  /** The sets in use and the range sets, as the desired state has them. */
  readonly #desired = new Map<string, DesiredSet>();
  /** Sets by the scope that changes them: pods of one namespace, pods of any, nodes. */
  readonly #byScope = new Map<string, Set<ActiveSet>>();

  constructor(source: MemberSource) {
    this.#source = source;
  }

  /**
   * Sets the sets in use to exactly `required`, by id: fills new ones, drops unused ones.
   *
   * @param changed ids that were added or dropped since the last call
   * @returns all sets in use; range sets, which never change, as given
   */
  require(
    required: ReadonlyMap<string, SetSpec | RangeSet>,
    changed: ReadonlySet<string>,
  ): Map<string, DesiredSet> {
    const added: ActiveSet[] = [];
    for (const id of changed) {
      const set = required.get(id);
      if (set === undefined) this.#forget(id);
      else if (set.kind === "ranges") this.#desired.set(id, set);
      else if (!this.#active.has(id)) added.push(this.#activate(id, set));
    }
    this.#fill(added);
    return new Map(this.#desired);
  }

  /** A pod came, changed or went, or its namespace's labels did. @returns whether a set changed */
  refreshPod(key: string, namespace: string): boolean {
    const view = this.#source.pod(key);
    let isChanged = false;
    for (const scope of [namespace, ANY_NAMESPACE]) {
      for (const set of this.#byScope.get(scope) ?? []) {
        isChanged = contribute(set, key, podMembers(set, view)) || isChanged;
      }
    }
    return isChanged;
  }

  /** A node came, changed or went. @returns whether a set changed */
  refreshNode(name: string, node: Node | undefined): boolean {
    let isChanged = false;
    for (const set of this.#byScope.get(NODES) ?? []) {
      isChanged = contribute(set, name, nodeMembers(set, node)) || isChanged;
    }
    return isChanged;
  }

  #forget(id: string): void {
    const set = this.#active.get(id);
    this.#desired.delete(id);
    this.#active.delete(id);
    if (set === undefined) return;
    for (const scope of scopesOf(set.spec)) this.#byScope.get(scope)?.delete(set);
  }

  #activate(id: string, spec: SetSpec): ActiveSet {
    const members = new MemberSet();
    const desired = { kind: spec.kind, id, members };
    const set: ActiveSet = { spec, members, desired, contributions: new Map() };
    this.#active.set(id, set);
    this.#desired.set(id, desired);
    for (const scope of scopesOf(spec)) {
      this.#byScope.set(scope, (this.#byScope.get(scope) ?? new Set()).add(set));
    }
    return set;
  }

  /** Fills new sets in one pass over all pods and nodes. */
  #fill(added: readonly ActiveSet[]): void {
    const byScope = new Map<string, ActiveSet[]>();
    for (const set of added) {
      for (const scope of scopesOf(set.spec)) {
        const sets = byScope.get(scope) ?? [];
        sets.push(set);
        byScope.set(scope, sets);
      }
    }
    for (const [scope, sets] of byScope) {
      if (scope === NODES) {
        for (const node of this.#source.nodes()) {
          for (const set of sets) contribute(set, node.name, nodeMembers(set, node));
        }
        continue;
      }
      for (const key of this.#source.podKeys(scope === ANY_NAMESPACE ? undefined : scope)) {
        const view = this.#source.pod(key);
        for (const set of sets) contribute(set, key, podMembers(set, view));
      }
    }
  }
}

/** Scopes beside the names of namespaces, which no namespace can have. */
const ANY_NAMESPACE = "*";
const NODES = "/nodes";

/** Scopes that do not overlap. */
function scopesOf(spec: SetSpec): ReadonlySet<string> {
  const selections = spec.kind === "addresses" ? spec.pods : [spec.selection];
  const namespaces = new Set(selections.map((it) => it.namespace ?? ANY_NAMESPACE));
  const scopes = namespaces.has(ANY_NAMESPACE) ? new Set([ANY_NAMESPACE]) : namespaces;
  return spec.kind === "addresses" && spec.nodes.length > 0 ? scopes.add(NODES) : scopes;
}

function podMembers({ spec }: ActiveSet, view: PodView | undefined): readonly Member[] {
  return view === undefined ? NOTHING : membersOf(spec, view.workload, view.namespaceLabels);
}

function nodeMembers({ spec }: ActiveSet, node: Node | undefined): readonly Member[] {
  return node === undefined ? NOTHING : nodeMembersOf(spec, node);
}

/** @returns whether the set's members changed */
function contribute(set: ActiveSet, key: string, after: readonly Member[]): boolean {
  const before = set.contributions.get(key) ?? NOTHING;
  if (before.length === 0 && after.length === 0) return false;
  const { revision } = set.members;
  // New members first, so that a member that stays is never absent in between.
  for (const member of after) set.members.add(member);
  for (const member of before) set.members.remove(member);
  if (after.length === 0) set.contributions.delete(key);
  else set.contributions.set(key, after);
  return set.members.revision !== revision;
}
