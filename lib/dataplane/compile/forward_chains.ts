/** The chains of the forward hook, which exist whatever policies there are. */

import { FAMILIES } from "../../ip/address.ts";
import type { Chain, Rule } from "../ruleset.ts";
import type { Statement } from "../statement/statement.ts";
import {
  addressMapName,
  CHAIN_ELSEWHERE,
  CHAIN_FORWARD_EGRESS,
  CHAIN_FORWARD_INGRESS,
  CHAIN_FROM_POD,
  CHAIN_INVALID,
  CHAIN_PASSING,
  CHAIN_RELATED,
  CHAIN_TO_ADDRESS,
  MAPS,
  sourceSetName,
} from "./names.ts";
import { accept, drop, makeRule, verdict } from "./rule.ts";

/** The settings that they depend on. */
export interface BaseOptions {
  readonly interfacePrefix: string;
  readonly checksSource: boolean;
  readonly endpointToHostAction: "accept" | "drop";
  /** Whether policy also judges packets that the node sends on for others (IPVS, transparent proxies). */
  readonly judgesOutput: boolean;
}

export const UNKNOWN = "interface of no known pod";
/**
 * Every path through the chains ends in a verdict. But a packet that is in the hook while a transaction
 * commits may find a map's new element and behind it a chain without rules for it yet, and then returns
 * to the base chain.
 */
export const CHANGING = "policy is changing";
export const IS_CUT = "flow that policy no longer allows";
const NOT_OF_POD = "source address is not the pod's";

/** The base chains of the forward hook, and those that every packet goes through there. */
export function forwardChains(options: BaseOptions): readonly Chain[] {
  const { interfacePrefix: prefix, checksSource } = options;
  const from: Statement = { kind: "interfacePrefix", end: "in", prefix };
  return [
    {
      name: CHAIN_FORWARD_EGRESS,
      hook: { name: "forward", priority: 0 },
      rules: [
        // First, because later chains accept established flows. It also keeps conntrack active before
        // there is any policy, so that flows older than the first policy are known.
        drop([{ kind: "flowIsCut" }], IS_CUT),
        makeRule([verdict({ code: "jump", chain: CHAIN_PASSING })]),
        drop([], CHANGING),
      ],
    },
    {
      name: CHAIN_PASSING,
      rules: [
        makeRule([from, verdict({ code: "goto", chain: CHAIN_FROM_POD })]),
        ...FAMILIES.map((family) => addressRule("source", family)),
        makeRule([accept()]),
      ],
    },
    {
      name: CHAIN_FROM_POD,
      rules: [
        ...(checksSource ? [...spoofRules(), relatedRule()] : []),
        makeRule([{ kind: "interfaceMap", end: "in", map: MAPS.egress }]),
        drop([], UNKNOWN),
      ],
    },
    { name: CHAIN_RELATED, rules: checksSource ? relatedRules() : [] },
    { name: CHAIN_INVALID, rules: [drop([], "invalid")] },
    { name: CHAIN_ELSEWHERE, rules: [drop([], "a pod's address, not by the pod's interface")] },
    {
      name: CHAIN_FORWARD_INGRESS,
      hook: { name: "forward", priority: 1 },
      rules: ingressRules(prefix),
    },
    {
      name: CHAIN_TO_ADDRESS,
      rules: [
        ...FAMILIES.map((family) => addressRule("destination", family)),
        makeRule([accept()]),
      ],
    },
  ];
}

/** The rules of a base chain that finds the receiving pod, by interface or address. */
export function ingressRules(prefix: string): readonly Rule[] {
  return [
    makeRule([{ kind: "interfaceMap", end: "out", map: MAPS.ingress }]),
    drop([{ kind: "interfacePrefix", end: "out", prefix }], UNKNOWN),
    makeRule([verdict({ code: "jump", chain: CHAIN_TO_ADDRESS })]),
    drop([], CHANGING),
  ];
}

/** Pods of this node that another plugin attached. */
function addressRule(end: "source" | "destination", family: 4 | 6): Rule {
  const map = addressMapName(end === "source" ? "egress" : "ingress", family);
  return makeRule([{ kind: "addressMap", end, family, map }]);
}

/**
 * A pod sends from its own addresses.
 *
 * @param ipv6 what holds beside, of IPv6 alone
 */
export function spoofRules(ipv6: readonly Statement[] = []): readonly Rule[] {
  return FAMILIES.map((family) =>
    drop([
      ...(family === 6 ? ipv6 : []),
      { kind: "sourceNotOfInterface", family, set: sourceSetName(family) },
    ], NOT_OF_POD)
  );
}

function relatedRule(): Rule {
  return makeRule([
    { kind: "ctState", states: ["related"] },
    verdict({ code: "jump", chain: CHAIN_RELATED }),
  ]);
}

/**
 * Related packets pass without a policy. Connection tracking marks every ICMP error that quotes a flow as
 * related, whatever its sender; so one that a pod sends passes only if the pod is an end of that flow.
 */
function relatedRules(): readonly Rule[] {
  const ends = FAMILIES.flatMap((family) =>
    (["original", "reply"] as const).map((way) =>
      makeRule([
        { kind: "flowSourceOfInterface", family, way, set: sourceSetName(family) },
        verdict({ code: "return" }),
      ])
    )
  );
  return [...ends, drop([], "related to a flow of others")];
}
