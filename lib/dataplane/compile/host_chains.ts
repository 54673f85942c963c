/** The chains of the input and output hooks. */

import { FAMILIES } from "../../ip/address.ts";
import type { Chain, Rule } from "../ruleset.ts";
import type { Statement } from "../statement/statement.ts";
import {
  type BaseOptions,
  CHANGING,
  ingressRules,
  IS_CUT,
  spoofRules,
  UNKNOWN,
} from "./forward_chains.ts";
import {
  attachedSetName,
  CHAIN_INPUT,
  CHAIN_OUTPUT,
  CHAIN_OUTPUT_EGRESS,
  CHAIN_OUTPUT_INGRESS,
  CHAIN_POD_TO_NODE,
  CHAIN_SENT_ON,
  hostSetName,
  MAP_HOST_EGRESS,
  sentOnMapName,
  SET_PODS,
} from "./names.ts";
import { accept, drop, makeRule, verdict } from "./rule.ts";

/** Neighbour discovery of all pods together; the plugin sets the neighbours that pods need. */
const NEIGHBOUR_LIMIT = { perSecond: 10, burst: 50 };
/** <netinet/icmp6.h>, RFC 4861. */
const ND_ROUTER_SOLICIT = 133;
const ND_ROUTER_ADVERT = 134;
const ND_NEIGHBOUR_SOLICIT = 135;
const ND_NEIGHBOUR_ADVERT = 136;
const ND_REDIRECT = 137;

/** Returns the base chains of input and output, and the chains that they jump to. */
export function hostChains(options: BaseOptions): readonly Chain[] {
  const { interfacePrefix: prefix, checksSource } = options;
  const from: Statement = { kind: "interfacePrefix", end: "in", prefix };
  const to: Statement = { kind: "interfacePrefix", end: "out", prefix };
  return [
    {
      name: CHAIN_INPUT,
      hook: { name: "input", priority: 0 },
      rules: [
        makeRule([from, verdict({ code: "jump", chain: CHAIN_POD_TO_NODE })]),
        drop([from], CHANGING),
        ...(checksSource ? FAMILIES.map(elsewhereRule) : []),
      ],
    },
    { name: CHAIN_POD_TO_NODE, rules: podToNodeRules(options) },
    {
      name: CHAIN_OUTPUT,
      hook: { name: "output", priority: 0 },
      rules: [
        drop([to, { kind: "interfaceNotInSet", end: "out", set: SET_PODS }], UNKNOWN),
        drop([to, { kind: "flowIsCut" }], IS_CUT),
      ],
    },
    ...(options.judgesOutput ? sentOnChains(prefix) : []),
  ];
}

/** Packets with a pod's source address that arrive on another interface. */
function elsewhereRule(family: 4 | 6): Rule {
  return drop([
    { kind: "interfaceNotLoopback" },
    { kind: "addressInSet", end: "source", family, set: attachedSetName(family) },
  ], "a pod's address, not by the pod's interface");
}

/**
 * What a pod sends to its node. What IPv6 needs to find neighbours comes from link-local addresses or
 * none: MLD and neighbour solicitations and advertisements. A node learns no router and no more
 * neighbours from its pods than its table bears.
 */
function podToNodeRules({ checksSource, endpointToHostAction }: BaseOptions): readonly Rule[] {
  return [
    drop([{ kind: "interfaceNotInSet", end: "in", set: SET_PODS }], UNKNOWN),
    drop([{ kind: "flowIsCut" }], IS_CUT),
    // Programs that forward ports of the node's 127.0.0.1 to pods (portmap, kube-proxy) set route_localnet: for
    // the answers alone.
    drop([
      { kind: "destinationLoopback" },
      { kind: "ctState", states: ["invalid", "new", "untracked"] },
    ], "the node's loopback is not for pods"),
    // Solicitations too: the node answers none, but would store their sender (ndisc_recv_rs()).
    ...[[ND_ROUTER_SOLICIT, ND_ROUTER_ADVERT], [ND_REDIRECT, ND_REDIRECT]].map((
      [first = 0, last = 0],
    ) => drop([{ kind: "icmpv6Type", first, last }], "neither pod nor node is the other's router")),
    ...(checksSource
      ? spoofRules([{ kind: "sourceNotUnspecified" }, { kind: "sourceNotLinkLocal" }])
      : []),
    drop([
      { kind: "icmpv6Type", first: ND_NEIGHBOUR_SOLICIT, last: ND_NEIGHBOUR_ADVERT },
      { kind: "limitOver", ...NEIGHBOUR_LIMIT },
    ], "too much neighbour discovery"),
    ...(endpointToHostAction === "drop" ? closedNodeRules() : FAMILIES.map(hostEgressRule)),
    makeRule([accept()]),
  ];
}

/** Replies pass, and what finds neighbours: MLD with its second version's reports, and solicitations. */
function closedNodeRules(): readonly Rule[] {
  return [
    makeRule([{ kind: "icmpv6Type", first: 130, last: 136 }, accept()]),
    makeRule([{ kind: "icmpv6Type", first: 143, last: 143 }, accept()]),
    makeRule([{ kind: "ctState", states: ["established", "related"] }, accept()]),
    drop([], "pods may not open connections to their node"),
  ];
}

/** Packets to the addresses of the node's Node object. */
function hostEgressRule(family: 4 | 6): Rule {
  return makeRule([
    { kind: "addressInSet", end: "destination", family, set: hostSetName(family) },
    { kind: "interfaceMap", end: "in", map: MAP_HOST_EGRESS },
  ]);
}

/**
 * What the node sends on for others without forwarding it: IPVS takes a packet for a Service in
 * LOCAL_IN and sends it out by LOCAL_OUT, with its pod's or client's address as source. There is no
 * interface that it came by, so pods are found by their addresses. What the node sends itself passes.
 */
function sentOnChains(prefix: string): readonly Chain[] {
  return [
    {
      name: CHAIN_OUTPUT_EGRESS,
      hook: { name: "output", priority: 1 },
      rules: [
        drop([{ kind: "flowIsCut" }], IS_CUT),
        makeRule([verdict({ code: "jump", chain: CHAIN_SENT_ON })]),
        drop([], CHANGING),
      ],
    },
    {
      name: CHAIN_SENT_ON,
      rules: [
        ...FAMILIES.map((family) =>
          makeRule([{ kind: "addressMap", end: "source", family, map: sentOnMapName(family) }])
        ),
        makeRule([accept()]),
      ],
    },
    {
      name: CHAIN_OUTPUT_INGRESS,
      hook: { name: "output", priority: 2 },
      rules: [makeRule([{ kind: "sourceLocal" }, accept()]), ...ingressRules(prefix)],
    },
  ];
}
