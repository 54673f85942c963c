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

import { FAMILIES } from "../../ip/address.ts";
import type { Desired, DesiredSet } from "../../model/desired.ts";
import { INTERFACE_PREFIX } from "../../model/interface_name.ts";
import type { Chain, NamedSet, Ruleset } from "../ruleset.ts";
import { dispatchSets } from "./dispatch.ts";
import { forwardChains } from "./forward_chains.ts";
import { hostChains } from "./host_chains.ts";
import { cutComment, setName } from "./names.ts";
import { type ChainCache, compileProgram } from "./program_chain.ts";

/** What the compiler must know beside `Desired`. */
export interface CompileOptions {
  /** Prefix of the pods' host interfaces. @default {"cali"} */
  readonly interfacePrefix?: string;
  /** Whether a pod may send only from its own addresses. @default {true} */
  readonly checksSource?: boolean;
  /** What a pod may send to its own node: everything, or only replies. @default {"accept"} */
  readonly endpointToHostAction?: "accept" | "drop";
  /**
   * Whether what the node sends on for others without forwarding it (IPVS) is judged as well.
   *
   * @default {false}
   */
  readonly judgesOutput?: boolean;
  readonly cache?: ChainCache;
}

/** Compiles the whole ruleset. */
export function compile(desired: Desired, choices: CompileOptions = {}): Ruleset {
  const {
    interfacePrefix = INTERFACE_PREFIX,
    checksSource = true,
    endpointToHostAction = "accept",
    judgesOutput = false,
    cache = new WeakMap(),
  } = choices;
  const chains = new Map<string, Chain>();
  const sets = new Map<string, NamedSet>();
  const add = (set: NamedSet): unknown => sets.set(set.name, set);
  const options = { interfacePrefix, checksSource, endpointToHostAction, judgesOutput };
  for (const chain of [...forwardChains(options), ...hostChains(options)]) {
    chains.set(chain.name, chain);
  }
  for (const program of desired.programs.values()) {
    for (const { chain, portSets } of compileProgram(program, desired, cache)) {
      chains.set(chain.name, chain);
      portSets.forEach(add);
    }
  }
  dispatchSets(desired, options).forEach(add);
  for (const set of desired.sets.values()) compileSet(set).forEach(add);
  return { chains, sets };
}

/** A set that lives on compiles to the same value, so that `diff()` need not look into it. */
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
