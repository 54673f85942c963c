/**
 * Desired → ruleset. The way of a packet:
 *
 *   passing ─ from a pod ─▶ from-pod ─ vmap @egress ─▶ pods-egress-… ─▶ policy-egress/… ─┐ goto
 *       │                      └ pod without egress policy ──────────────────────────┐   │
 *       │                                                                            ▼   ▼
 *       └──── to a pod ──────────────────────────────────────────────────────────▶ to-pod
 *                       accept ◀─ policy-ingress/… ◀─ pods-ingress-… ◀─ vmap @ingress ─┘
 *
 * The forward hook jumps to `passing`, and drops what should come back: nothing does, but for a packet
 * that meets a transaction. An allow rule of an egress policy goes on to `to-pod`, so both ends are
 * asked without a mark. A flow is judged by its first packet; what conntrack knows passes at the head
 * of a governed pod's chain. An interface with the pods' prefix that is in no map is dropped, in every
 * hook: so also while nobody runs who could know it. A pod whose interface another plugin made is found
 * by its address. A pod's own node always reaches it; what it may send to its node is a setting.
 */

import { FAMILIES } from "../../ip/address.ts";
import type { Desired, DesiredSet } from "../../model/desired.ts";
import { INTERFACE_PREFIX } from "../../model/interface_name.ts";
import type { Chain, NamedSet, Ruleset } from "../ruleset.ts";
import { baseChains } from "./base_chains.ts";
import { dispatchSets } from "./dispatch.ts";
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
  readonly cache?: ChainCache;
}

/** Compiles the whole ruleset. */
export function compile(desired: Desired, options: CompileOptions = {}): Ruleset {
  const {
    interfacePrefix = INTERFACE_PREFIX,
    checksSource = true,
    endpointToHostAction = "accept",
    cache = new WeakMap(),
  } = options;
  const chains = new Map<string, Chain>();
  const sets = new Map<string, NamedSet>();
  const add = (set: NamedSet): unknown => sets.set(set.name, set);
  for (const chain of baseChains({ interfacePrefix, checksSource, endpointToHostAction })) {
    chains.set(chain.name, chain);
  }
  for (const program of desired.programs.values()) {
    for (const { chain, portSets } of compileProgram(program, desired, cache)) {
      chains.set(chain.name, chain);
      portSets.forEach(add);
    }
  }
  dispatchSets(desired).forEach(add);
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
