/** The chains that are there whatever the policies say: where packets enter, and what is closed. */

import { FAMILIES } from "../../ip/address.ts";
import type { Chain, Rule, Statement } from "../ruleset.ts";
import {
  addressMapName,
  CHAIN_FORWARD,
  CHAIN_FROM_POD,
  CHAIN_INPUT,
  CHAIN_OUTPUT,
  CHAIN_PASSING,
  CHAIN_TO_POD,
  MAPS,
  SET_PODS,
  sourceSetName,
} from "./names.ts";
import { makeRule, verdict } from "./rule.ts";

/** What they depend on. */
export interface BaseOptions {
  readonly interfacePrefix: string;
  readonly checksSource: boolean;
  readonly endpointToHostAction: "accept" | "drop";
}

/** The base chains and the two that everything goes through. */
export function baseChains(options: BaseOptions): readonly Chain[] {
  const { interfacePrefix: prefix } = options;
  const from: Statement = { kind: "interfacePrefix", end: "in", prefix };
  const to: Statement = { kind: "interfacePrefix", end: "out", prefix };
  const toPod = verdict({ code: "goto", chain: CHAIN_TO_POD });
  const rulesOf: Readonly<Record<string, readonly Rule[]>> = {
    [CHAIN_FORWARD]: [
      // First of all: later chains let established flows pass. It also keeps conntrack awake before
      // there is any policy, so that flows older than the first policy are known.
      drop([{ kind: "flowIsCut" }], "flow that policy no longer allows"),
      makeRule([verdict({ code: "jump", chain: CHAIN_PASSING })]),
      // Every way through there ends in a verdict. But a packet that is on its way while a transaction
      // takes effect may find a map's new element and behind it a new chain still without its rules,
      // and comes back.
      drop([], "policy is changing"),
    ],
    [CHAIN_PASSING]: [
      makeRule([from, verdict({ code: "goto", chain: CHAIN_FROM_POD })]),
      ...addressRules("source"),
      makeRule([toPod]),
    ],
    [CHAIN_INPUT]: [
      drop([from, { kind: "interfaceNotInSet", end: "in", set: SET_PODS }], UNKNOWN),
      // Who forwards ports of the node's 127.0.0.1 to pods (portmap, kube-proxy) sets route_localnet: for
      // the answers alone.
      drop([
        from,
        { kind: "destinationLoopback" },
        { kind: "ctState", states: ["invalid", "new", "untracked"] },
      ], "the node's loopback is not for pods"),
      ...nodeRules(from, options),
    ],
    [CHAIN_OUTPUT]: [
      drop([to, { kind: "interfaceNotInSet", end: "out", set: SET_PODS }], UNKNOWN),
    ],
    [CHAIN_FROM_POD]: [
      ...(options.checksSource ? spoofRules([]) : []),
      makeRule([{ kind: "interfaceMap", end: "in", map: MAPS.egress }]),
      drop([], UNKNOWN),
    ],
    [CHAIN_TO_POD]: [
      makeRule([{ kind: "interfaceMap", end: "out", map: MAPS.ingress }]),
      drop([to], UNKNOWN),
      ...addressRules("destination"),
      makeRule([accept()]),
    ],
  };
  return Object.entries(rulesOf).map(([name, rules]): Chain =>
    name === CHAIN_FORWARD || name === CHAIN_INPUT || name === CHAIN_OUTPUT
      ? { name, hook: name, rules }
      : { name, rules }
  );
}

const UNKNOWN = "interface of no known pod";

/** Pods of this node that another plugin attached. */
function addressRules(end: "source" | "destination"): readonly Rule[] {
  const direction = end === "source" ? "egress" : "ingress";
  return FAMILIES.map((family) => {
    const map = addressMapName(direction, family);
    return makeRule([{ kind: "addressMap", end, family, map }]);
  });
}

/**
 * What a pod sends to its node. What IPv6 needs to find neighbours comes from link-local addresses or
 * none: MLD and neighbour discovery, with the second version of MLD's reports apart from the others.
 */
function nodeRules(from: Statement, options: BaseOptions): readonly Rule[] {
  const isClosed = options.endpointToHostAction === "drop";
  if (!isClosed && !options.checksSource) return [];
  return [
    makeRule([from, { kind: "icmpv6Type", first: 130, last: 137 }, accept()]),
    makeRule([from, { kind: "icmpv6Type", first: 143, last: 143 }, accept()]),
    ...(options.checksSource ? spoofRules([from], [{ kind: "sourceNotLinkLocal" }]) : []),
    ...(isClosed
      ? [
        makeRule([from, { kind: "ctState", states: ["established", "related"] }, accept()]),
        drop([from], "pods may not open connections to their node"),
      ]
      : []),
  ];
}

/** @param ipv6 what holds beside, of IPv6 alone */
function spoofRules(
  statements: readonly Statement[],
  ipv6: readonly Statement[] = [],
): readonly Rule[] {
  return FAMILIES.map((family) =>
    drop([
      ...statements,
      ...(family === 6 ? ipv6 : []),
      { kind: "sourceNotOfInterface", family, set: sourceSetName(family) },
    ], "source address is not the pod's")
  );
}

function drop(statements: readonly Statement[], comment: string): Rule {
  return makeRule([...statements, { kind: "counter" }, verdict({ code: "drop" })], comment);
}

function accept(): Statement {
  return verdict({ code: "accept" });
}
