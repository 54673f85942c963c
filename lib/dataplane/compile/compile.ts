/**
 * Desired → ruleset. The way of a packet:
 *
 *   forward ─ from a pod ─▶ from-pod ─ vmap @egress ─▶ pods-egress-… ─▶ policy-egress/… ─┐ goto
 *       │                      └ pod without egress policy ──────────────────────────┐   │
 *       │                                                                            ▼   ▼
 *       └──── to a pod ──────────────────────────────────────────────────────────▶ to-pod
 *                       accept ◀─ policy-ingress/… ◀─ pods-ingress-… ◀─ vmap @ingress ─┘
 *
 * An allow rule of an egress policy goes on to `to-pod`, so both ends are asked without a mark. A
 * flow is judged by its first packet; what conntrack knows passes at the head of a governed pod's
 * chain. An interface with the pods' prefix that is in no map is dropped, in every hook: so also
 * while nobody runs who could know it. A pod's own node always reaches it, and is reached by it.
 */

import { FAMILIES } from "../../ip/address.ts";
import type { Desired, DesiredPolicy, DesiredProgram, DesiredSet } from "../../model/desired.ts";
import { INTERFACE_PREFIX } from "../../model/interface_name.ts";
import type { Direction } from "../../model/policy.ts";
import type {
  Chain,
  NamedSet,
  NameElement,
  Rule,
  Ruleset,
  Statement,
  Verdict,
} from "../ruleset.ts";
import {
  CHAIN_FORWARD,
  CHAIN_FROM_POD,
  CHAIN_INPUT,
  CHAIN_OUTPUT,
  CHAIN_TO_POD,
  cutComment,
  MAP_EGRESS,
  MAP_INGRESS,
  policyChainName,
  programChainName,
  SET_PODS,
  setName,
} from "./names.ts";
import { compilePolicyChain, makeRule, type PolicyChain } from "./policy_chain.ts";

/** What a compiled policy chain was made from, so that an unchanged policy is compiled once. */
export type PolicyChainCache = WeakMap<DesiredPolicy, PolicyChain>;

/** What the compiler must know beside `Desired`. */
export interface CompileOptions {
  /** Prefix of the pods' host interfaces. */
  readonly interfacePrefix?: string;
  readonly cache?: PolicyChainCache;
}

/** Compiles the whole ruleset. */
export function compile(desired: Desired, options: CompileOptions = {}): Ruleset {
  const { interfacePrefix = INTERFACE_PREFIX, cache = new WeakMap() } = options;
  const chains = new Map<string, Chain>();
  const sets = new Map<string, NamedSet>();
  const add = (set: NamedSet): unknown => sets.set(set.name, set);
  for (const chain of baseChains(interfacePrefix)) chains.set(chain.name, chain);
  for (const program of desired.programs.values()) {
    const chain = programChain(program, desired);
    chains.set(chain.name, chain);
  }
  for (const policy of desired.policies.values()) {
    const compiled = cache.get(policy) ?? compilePolicyChain(policy, desired.sets);
    cache.set(policy, compiled);
    chains.set(compiled.chain.name, compiled.chain);
    compiled.portSets.forEach(add);
  }
  dispatchSets(desired).forEach(add);
  for (const set of desired.sets.values()) compileSet(set).forEach(add);
  return { chains, sets };
}

function baseChains(prefix: string): readonly Chain[] {
  const from: Statement = { kind: "interfacePrefix", end: "in", prefix };
  const to: Statement = { kind: "interfacePrefix", end: "out", prefix };
  const unknown = "interface of no known pod";
  const drop = (statements: readonly Statement[]): Rule =>
    makeRule([...statements, { kind: "counter" }, verdict({ code: "drop" })], unknown);
  return [
    {
      name: CHAIN_FORWARD,
      hook: "forward",
      rules: [
        makeRule([from, verdict({ code: "goto", chain: CHAIN_FROM_POD })]),
        makeRule([to, verdict({ code: "goto", chain: CHAIN_TO_POD })]),
      ],
    },
    {
      name: CHAIN_INPUT,
      hook: "input",
      rules: [drop([from, { kind: "interfaceNotInSet", end: "in", set: SET_PODS }])],
    },
    {
      name: CHAIN_OUTPUT,
      hook: "output",
      rules: [drop([to, { kind: "interfaceNotInSet", end: "out", set: SET_PODS }])],
    },
    {
      name: CHAIN_FROM_POD,
      rules: [
        makeRule([{ kind: "interfaceMap", end: "in", map: MAP_EGRESS }]),
        drop([]),
      ],
    },
    {
      name: CHAIN_TO_POD,
      rules: [
        makeRule([{ kind: "interfaceMap", end: "out", map: MAP_INGRESS }]),
        drop([to]),
        makeRule([verdict({ code: "accept" })]),
      ],
    },
  ];
}

/** Known flows pass, then each policy may allow, then nothing does. */
function programChain(program: DesiredProgram, desired: Desired): Chain {
  const policies = program.policies
    .map((id) => desired.policies.get(id))
    .filter((policy) => policy !== undefined);
  const names = policies.map((it) => `${it.namespace}/${it.name}`).join(" ");
  return {
    name: programChainName(program.direction, program.id),
    rules: [
      makeRule([
        { kind: "ctState", states: ["established", "related"] },
        { kind: "counter" },
        verdict({ code: "accept" }),
      ]),
      makeRule([
        { kind: "ctState", states: ["invalid"] },
        { kind: "counter" },
        verdict({ code: "drop" }),
      ], "invalid"),
      ...policies.map((policy) =>
        makeRule([verdict({ code: "jump", chain: policyChainName(policy) })])
      ),
      makeRule(
        [{ kind: "counter" }, verdict({ code: "drop" })],
        cutComment(`${program.direction}: none allows: ${names}`),
      ),
    ],
  };
}

function dispatchSets(desired: Desired): readonly NamedSet[] {
  const pods = new Map<string, NameElement>();
  const ingress = new Map<string, NameElement>();
  const egress = new Map<string, NameElement>();
  for (const endpoint of desired.endpoints.values()) {
    const { interfaceName: name } = endpoint;
    const comment = cutComment(endpoint.workload);
    pods.set(name, { comment });
    ingress.set(name, {
      verdict: programVerdict("ingress", endpoint.ingress, { code: "accept" }),
      comment,
    });
    egress.set(name, {
      verdict: programVerdict("egress", endpoint.egress, { code: "goto", chain: CHAIN_TO_POD }),
      comment,
    });
  }
  const names = (
    name: string,
    isMap: boolean,
    elements: ReadonlyMap<string, NameElement>,
    comment: string,
  ): NamedSet => ({
    name,
    type: { key: "ifname", isMap },
    comment,
    elements: { kind: "names", names: elements },
  });
  return [
    names(SET_PODS, false, pods, "interfaces of the pods of this node"),
    names(MAP_INGRESS, true, ingress, "what governs packets to a pod"),
    names(MAP_EGRESS, true, egress, "what governs packets from a pod"),
  ];
}

function programVerdict(
  direction: Direction,
  program: string | undefined,
  ungoverned: Verdict,
): Verdict {
  return program === undefined
    ? ungoverned
    : { code: "goto", chain: programChainName(direction, program) };
}

function compileSet(set: DesiredSet): readonly NamedSet[] {
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

function verdict(value: Verdict): Statement {
  return { kind: "verdict", verdict: value };
}
