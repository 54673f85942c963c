/**
 * What changed, by name, for the log: which policies, pods and so on a new ruleset is due to. Bounded: a
 * few names, and how many there are.
 */

import type { LogFields } from "../lib/base/log.ts";
import { type FactKind, type FactTypes, podKeyOf } from "../lib/model/facts.ts";

/** What the kinds are called for people, the most telling first. */
const TITLES: Readonly<Record<FactKind, string>> = {
  clusterPolicy: "ClusterNetworkPolicy",
  policy: "NetworkPolicy",
  workload: "Pod",
  namespace: "Namespace",
  node: "Node",
  detachment: "detached pod",
  attachment: "attached pod",
  link: "interface",
};
const KINDS = Object.keys(TITLES) as readonly FactKind[];

const NAMES_SHOWN_MAX = 5;
/** Names of one kind that are told apart: a first list may bring very many. */
const NAMES_KEPT_MAX = 1000;

/** Gathers names until what they stand for is in the kernel. */
export class Concerns {
  #pending = new Map<FactKind, Set<string>>();
  /** Taken by an apply that has not succeeded yet. */
  #taken = new Map<FactKind, Set<string>>();

  /** A fact changed that concerns this node; `value` is what it is now. */
  note(kind: FactKind, key: string, value?: FactTypes[FactKind]): void {
    // The key is the sandbox's, which says little.
    const isAttachment = value !== undefined && "containerId" in value;
    add(this.#pending, kind, isAttachment ? podKeyOf(value) : key);
  }

  /** What changed since the last apply that succeeded, as fields of its event. */
  take(): LogFields {
    for (const [kind, names] of this.#pending) for (const key of names) add(this.#taken, kind, key);
    this.#pending = new Map();
    const kinds = KINDS.flatMap((kind) => {
      const names = this.#taken.get(kind);
      return names === undefined ? [] : [{ kind, names: [...names] }];
    });
    const count = kinds.reduce((sum, it) => sum + it.names.length, 0);
    if (count === 0) return {};
    const because = kinds.flatMap(({ kind, names }) =>
      names.slice(0, NAMES_SHOWN_MAX).map((it) => `${TITLES[kind]} ${it}`)
    ).slice(0, NAMES_SHOWN_MAX);
    return { because, ...(count > because.length ? { changes: count } : {}) };
  }

  /** What was taken is in the kernel. */
  forget(): void {
    this.#taken = new Map();
  }
}

function add(names: Map<FactKind, Set<string>>, kind: FactKind, key: string): void {
  const ofKind = names.get(kind) ?? new Set();
  names.set(kind, ofKind);
  if (ofKind.size < NAMES_KEPT_MAX) ofKind.add(key);
}
