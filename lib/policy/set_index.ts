/**
 * Keeps the members of the sets that are in use: one pod's change touches the sets that can select it,
 * and nothing else. It does not know policies; it is told which sets are needed.
 */

import type { DesiredSet } from "../model/desired.ts";
import type { Labels } from "../model/labels.ts";
import { type Member, MemberSet } from "../model/member_set.ts";
import type { Workload } from "../model/workload.ts";
import { membersOf, type SetSpec } from "./set_spec.ts";

/** A pod as the sets see it: with every address that it is known by. */
export interface PodView {
  readonly workload: Workload;
  readonly namespaceLabels: Labels | undefined;
}

/** Where the index finds pods. */
export interface PodSource {
  /** Keys of the pods of a namespace, or of all. */
  keys(namespace: string | undefined): Iterable<string>;
  view(key: string): PodView | undefined;
}

interface ActiveSet {
  readonly spec: SetSpec;
  readonly members: MemberSet;
  /** What each pod has brought in, by the pod's key. */
  readonly contributions: Map<string, readonly Member[]>;
}

const NOTHING: readonly Member[] = [];

/** The sets in use, and their members. */
export class SetIndex {
  readonly #source: PodSource;
  readonly #active = new Map<string, ActiveSet>();
  /** Sets that one namespace's pods can be in; the key `undefined` has those of any namespace. */
  readonly #byNamespace = new Map<string | undefined, Set<ActiveSet>>();

  constructor(source: PodSource) {
    this.#source = source;
  }

  /** Makes exactly `specs` the sets in use: new ones are filled, unused ones forgotten. */
  require(specs: ReadonlyMap<string, SetSpec>): void {
    for (const [id, set] of this.#active) {
      if (specs.has(id)) continue;
      this.#active.delete(id);
      this.#byNamespace.get(set.spec.selection.namespace)?.delete(set);
    }
    for (const [id, spec] of specs) {
      if (!this.#active.has(id)) this.#activate(id, spec);
    }
  }

  /** A pod came, changed or went, or its namespace's labels did. */
  refresh(key: string, namespace: string): void {
    const view = this.#source.view(key);
    for (const scope of [namespace, undefined]) {
      for (const set of this.#byNamespace.get(scope) ?? []) contribute(set, key, view);
    }
  }

  /** The sets in use, by id. */
  sets(): Map<string, DesiredSet> {
    const sets = new Map<string, DesiredSet>();
    for (const [id, { spec, members }] of this.#active) {
      sets.set(id, { kind: spec.kind, id, members });
    }
    return sets;
  }

  #activate(id: string, spec: SetSpec): void {
    const set: ActiveSet = { spec, members: new MemberSet(), contributions: new Map() };
    const scope = spec.selection.namespace;
    this.#active.set(id, set);
    const siblings = this.#byNamespace.get(scope) ?? new Set();
    this.#byNamespace.set(scope, siblings.add(set));
    for (const key of this.#source.keys(scope)) contribute(set, key, this.#source.view(key));
  }
}

function contribute(set: ActiveSet, key: string, view: PodView | undefined): void {
  const before = set.contributions.get(key) ?? NOTHING;
  const after = view === undefined
    ? NOTHING
    : membersOf(set.spec, view.workload, view.namespaceLabels);
  if (before === after || (before.length === 0 && after.length === 0)) return;
  // The new ones first: a member that stays never leaves in between.
  for (const member of after) set.members.add(member);
  for (const member of before) set.members.remove(member);
  if (after.length === 0) set.contributions.delete(key);
  else set.contributions.set(key, after);
}
