/**
 * Desired → ruleset. The way of a packet that passes through the node: first its sender is asked, then
 * its receiver, each in a base chain of its own, so that accepting in the first means going on to the
 * second (and so that a kernel that walks every path to validate a change, as those without a cache of
 * validated chains do, walks the one's paths beside the other's, not times them):
 *
 *   forward-egress ── passing ─ from a pod ─▶ from-pod ─ vmap @egress ─▶ pods-egress-… ─▶ policy-egress/…
 *   (filter)              └ by address ─ vmap @egress4, @egress6 ─────────────┘
 *
 *   forward-ingress ─ to a pod ─ vmap @ingress ─▶ pods-ingress-… ─▶ policy-ingress/…
 *   (filter + 1)          └ by address ─ to-address ─ vmap @ingress4, @ingress6 ─▶ pods-ingress-…
 *
 * Base chains drop what comes back to them: nothing does, but for a packet that meets a transaction. A
 * flow is judged by its first packet; what conntrack knows passes at the head of a governed pod's chain.
 * An interface with the pods' prefix that is in no map is dropped, in every hook: so also while no agent
 * runs that could know it. A pod whose interface another plugin made is found by its address; an address
 * of a pod whose interface is ours counts only on that interface. A pod's own node always reaches it;
 * what the pod may send to its node is host_chains.ts' matter.
 */

import { HeldMap } from "../../base/held_map.ts";
import { FAMILIES } from "../../ip/address.ts";
import {
  type Desired,
  type DesiredChanges,
  type DesiredProgram,
  type DesiredSet,
  NOTHING_DESIRED,
} from "../../model/desired.ts";
import { INTERFACE_PREFIX } from "../../model/interface_name.ts";
import type { Chain, NamedSet, Ruleset } from "../ruleset.ts";
import { Dispatch } from "./dispatch.ts";
import { forwardChains } from "./forward_chains.ts";
import { hostChains } from "./host_chains.ts";
import { cutComment, setName } from "./names.ts";
import { type ChainCache, type CompiledChain, compileProgram } from "./program_chain.ts";

/** Settings of the compiler. */
export interface CompileOptions {
  /** Prefix of the pods' host interfaces. @default {"cali"} */
  readonly interfacePrefix?: string;
  /** Whether a pod may send only from its own addresses. @default {true} */
  readonly checksSource?: boolean;
  /** What a pod may send to its own node: everything, or only replies. @default {"accept"} */
  readonly endpointToHostAction?: "accept" | "drop";
  /**
   * Whether policy also judges packets that the node sends on for others without forwarding them
   * (IPVS).
   *
   * @default {false}
   */
  readonly judgesOutput?: boolean;
  readonly cache?: ChainCache;
}

/** Compiles the whole ruleset. */
export function compile(desired: Desired, choices: CompileOptions = {}): Ruleset {
  return new Compiler(choices).compile(desired);
}

/**
 * Compiles one `Desired` after the other. It visits only the entries in `changes`, or all if there is
 * none. The next ruleset reuses the maps of the one before, so that only the newest is valid.
 */
export class Compiler {
  readonly choices: CompileOptions;
  readonly #cache: ChainCache;
  readonly #dispatch: Dispatch;
  readonly #chains = new HeldMap<Chain>();
  readonly #sets = new HeldMap<NamedSet>();
  /** The compiled programs, by id. */
  readonly #programs = new Map<string, readonly CompiledChain[]>();
  /** Which programs have a policy, by the policy's id. */
  readonly #programsOf = new Map<string, Set<string>>();
  #dispatched: readonly NamedSet[] = [];
  #desired = NOTHING_DESIRED;
  #ruleset: Ruleset | undefined;

  constructor(choices: CompileOptions) {
    const {
      interfacePrefix = INTERFACE_PREFIX,
      checksSource = true,
      endpointToHostAction = "accept",
      judgesOutput = false,
      cache = new WeakMap(),
    } = choices;
    const options = { interfacePrefix, checksSource, endpointToHostAction, judgesOutput };
    this.choices = choices;
    this.#cache = cache;
    this.#dispatch = new Dispatch(options);
    for (const chain of [...forwardChains(options), ...hostChains(options)]) {
      this.#chains.take(chain.name, chain);
    }
  }

  /** Compiles the whole; after an exception this compiler is of no more use. */
  compile(desired: Desired): Ruleset {
    const before = this.#desired;
    const { programs, policies, sets } = desired.changes?.since.deref() === before
      ? desired.changes
      : everything(before, desired);
    const stale = new Set(programs);
    for (const id of policies) this.#programsOf.get(id)?.forEach((it) => stale.add(it));
    for (const id of stale) this.#replaceProgram(before.programs.get(id), id, desired);
    for (const id of sets) {
      this.#replaceSets(setsOf(before.sets.get(id)), setsOf(desired.sets.get(id)));
    }
    this.#replaceSets(this.#dispatched, this.#dispatched = this.#dispatch.setsOf(desired));
    this.#desired = desired;
    return this.#ruleset = {
      chains: this.#chains.values,
      sets: this.#sets.values,
      changes: {
        since: this.#ruleset && new WeakRef(this.#ruleset),
        chains: this.#chains.takeChanged(),
        sets: this.#sets.takeChanged(),
      },
    };
  }

  #replaceProgram(before: DesiredProgram | undefined, id: string, desired: Desired): void {
    const after = desired.programs.get(id);
    const was = this.#programs.get(id) ?? [];
    const is = after === undefined ? [] : compileProgram(after, desired, this.#cache);
    if (was !== is) {
      // New ones first, so that a shared object is never absent in between.
      for (const { chain, portSets } of is) {
        this.#chains.take(chain.name, chain);
        for (const set of portSets) this.#sets.take(set.name, set);
      }
      for (const { chain, portSets } of was) {
        this.#chains.release(chain.name);
        for (const set of portSets) this.#sets.release(set.name);
      }
    }
    if (after === undefined) this.#programs.delete(id);
    else this.#programs.set(id, is);
    if (before === after) return;
    for (const policy of policiesOf(before)) {
      const programs = this.#programsOf.get(policy);
      programs?.delete(id);
      if (programs?.size === 0) this.#programsOf.delete(policy);
    }
    for (const policy of policiesOf(after)) {
      const programs = this.#programsOf.get(policy);
      if (programs === undefined) this.#programsOf.set(policy, new Set([id]));
      else programs.add(id);
    }
  }

  #replaceSets(before: readonly NamedSet[], after: readonly NamedSet[]): void {
    if (before === after) return;
    for (const set of after) this.#sets.take(set.name, set);
    for (const { name } of before) this.#sets.release(name);
  }
}

/** Changes that say: every entry may differ. */
function everything(before: Desired, after: Desired): Omit<DesiredChanges, "since"> {
  const keys = (of: (desired: Desired) => ReadonlyMap<string, unknown>): ReadonlySet<string> =>
    new Set([...of(before).keys(), ...of(after).keys()]);
  return {
    programs: keys((it) => it.programs),
    policies: keys((it) => it.policies),
    sets: keys((it) => it.sets),
  };
}

function policiesOf(program: DesiredProgram | undefined): readonly string[] {
  if (program === undefined) return [];
  return [...program.admin, ...program.namespaced, ...program.baseline];
}

function setsOf(set: DesiredSet | undefined): readonly NamedSet[] {
  return set === undefined ? [] : compileSet(set);
}

/** An unchanged set compiles to the same object, which `diff()` compares by identity. */
const compiledSets = new WeakMap<DesiredSet, readonly NamedSet[]>();

function compileSet(set: DesiredSet): readonly NamedSet[] {
  let compiled = compiledSets.get(set);
  if (compiled === undefined) {
    compiled = compileNewSet(set);
    compiledSets.set(set, compiled);
  }
  return compiled;
}

function compileNewSet(set: DesiredSet): readonly NamedSet[] {
  const comment = cutComment(set.id);
  if (set.kind === "ranges") {
    const { id, family, ranges } = set;
    return ranges.length === 0 ? [] : [{
      name: setName("r", family, id),
      type: { key: "address", family, isInterval: true },
      comment,
      elements: { kind: "ranges", ranges },
    }];
  }
  return FAMILIES.map((family): NamedSet => ({
    name: setName(set.kind === "addresses" ? "a" : "n", family, set.id),
    type: set.kind === "addresses"
      ? { key: "address", family, isInterval: false }
      : { key: "addressPort", family },
    comment,
    elements: { kind: "members", members: set.members },
  }));
}
