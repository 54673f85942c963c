/** From a pod's interface or address to what governs it: the maps, and the sets of what is known. */

import { FAMILIES, type Family } from "../../ip/address.ts";
import type { Desired, DesiredEndpoint } from "../../model/desired.ts";
import { type Direction, DIRECTIONS } from "../../model/policy.ts";
import type { CtState, NamedSet, NameElement, SetType, Verdict } from "../ruleset.ts";
import type { BaseOptions } from "./forward_chains.ts";
import {
  addressMapName,
  attachedSetName,
  CHAIN_ELSEWHERE,
  CHAIN_INVALID,
  cutComment,
  hostSetName,
  itselfSetName,
  MAP_HOST_EGRESS,
  MAP_STATES,
  MAPS,
  programChainName,
  sentOnMapName,
  SET_PODS,
  sourceSetName,
} from "./names.ts";

/** What of the options decides which sets there are. */
export type DispatchOptions = Pick<BaseOptions, "checksSource" | "judgesOutput">;

/** The sets and maps of this node's pods. */
export function dispatchSets(desired: Desired, options: DispatchOptions): readonly NamedSet[] {
  const endpoints = [...desired.endpoints.values()];
  const opened = endpoints.filter((it) => it.isClosed !== true);
  return [
    STATES,
    {
      name: SET_PODS,
      type: { key: "ifname", isMap: false },
      comment: "interfaces of the pods of this node",
      elements: names(endpoints, interfacesOf, "none"),
    },
    interfaceMap(
      opened,
      MAPS.ingress,
      "ingress",
      "interface of a pod: what governs its ingress",
    ),
    interfaceMap(opened, MAPS.egress, "egress", "interface of a pod: what governs its egress"),
    interfaceMap(
      endpoints.filter((it) => it.hostEgress !== undefined),
      MAP_HOST_EGRESS,
      "hostEgress",
      "interface of a pod: what governs its egress to this node",
    ),
    ...FAMILIES.flatMap((family) => addressSets(desired, endpoints, family, options)),
  ];
}

/** One lookup instead of a rule a state; what is new, or not tracked, goes on to the policies. */
const STATES: NamedSet = {
  name: MAP_STATES,
  type: { key: "ctState", isMap: true },
  comment: "state of a packet's flow: what becomes of it before policies are asked",
  elements: {
    kind: "names",
    names: new Map<CtState, NameElement>([
      ["established", { comment: "judged by its first packet", verdict: { code: "accept" } }],
      ["related", { comment: "an error of such a flow", verdict: { code: "accept" } }],
      ["invalid", { comment: "of no flow", verdict: { code: "goto", chain: CHAIN_INVALID } }],
    ]),
  },
};

function interfaceMap(
  endpoints: readonly DesiredEndpoint[],
  name: string,
  element: ElementKind,
  comment: string,
): NamedSet {
  const type: SetType = { key: "ifname", isMap: true };
  return { name, type, comment, elements: names(endpoints, interfacesOf, element) };
}

function addressSets(
  { hostAddresses }: Desired,
  endpoints: readonly DesiredEndpoint[],
  family: Family,
  { checksSource, judgesOutput }: DispatchOptions,
): readonly NamedSet[] {
  const keys = (it: DesiredEndpoint): readonly string[] =>
    it.addresses.filter((address) => isOf(address, family));
  const attachedKeys = (it: DesiredEndpoint): readonly string[] =>
    it.attachedAddresses.filter((address) => isOf(address, family));
  const otherKeys = (it: DesiredEndpoint): readonly string[] =>
    keys(it).filter((address) => !it.attachedAddresses.includes(address));
  const hosts = hostAddresses.filter((it) => isOf(it, family));
  const map: SetType = { key: "address", family, isInterval: false, isMap: true };
  const set: SetType = { key: "address", family, isInterval: false };
  const addressMap = (direction: Direction): NamedSet => {
    const governed = endpoints.filter((it) => it[direction] !== undefined);
    const { names: elements } = names(governed, otherKeys, `${direction}ByAddress`);
    if (direction === "egress" && checksSource) {
      for (const [key, element] of names(endpoints, attachedKeys, "elsewhere").names) {
        elements.set(key, element);
      }
    }
    return {
      name: addressMapName(direction, family),
      type: map,
      comment: `address of a pod that another plugin attached: what governs its ${direction}`,
      elements: { kind: "names", names: elements },
    };
  };
  return [
    ...DIRECTIONS.map(addressMap),
    {
      name: sourceSetName(family),
      type: { key: "ifnameAddress", family },
      comment: "what each pod may send from",
      elements: names(
        endpoints.filter((it) => it.interfaceName !== undefined),
        (it) => keys(it).map((address) => `${it.interfaceName},${address}`),
        "none",
      ),
    },
    {
      name: itselfSetName(family),
      type: { key: "addressPair", family },
      comment: "a pod's address and the same pod's, or one of its node",
      elements: names(
        endpoints.filter((it) => it.ingress !== undefined || it.egress !== undefined),
        (it) => keys(it).flatMap((from) => [...keys(it), ...hosts].map((to) => `${from},${to}`)),
        "none",
      ),
    },
    {
      name: attachedSetName(family),
      type: set,
      comment: "addresses that come by the interface of their pod alone",
      elements: names(endpoints, attachedKeys, "none"),
    },
    {
      name: hostSetName(family),
      type: set,
      comment: "addresses of this node",
      elements: {
        kind: "names",
        names: new Map(hosts.map((it) => [it, HOST_ELEMENT])),
      },
    },
    ...(judgesOutput
      ? [{
        name: sentOnMapName(family),
        type: map,
        comment: "address of a pod: what governs its egress when this node sends it on",
        elements: names(
          endpoints.filter((it) => it.egress !== undefined),
          keys,
          "egressByAddress",
        ),
      }]
      : []),
  ];
}

const HOST_ELEMENT: NameElement = { comment: "" };

/** One element per key of each endpoint. */
function names(
  endpoints: readonly DesiredEndpoint[],
  keysOf: (endpoint: DesiredEndpoint) => readonly string[],
  kind: ElementKind,
): { readonly kind: "names"; readonly names: Map<string, NameElement> } {
  const elements = new Map<string, NameElement>();
  for (const endpoint of endpoints) {
    const element = elementsOf(endpoint)[kind];
    for (const key of keysOf(endpoint)) elements.set(key, element);
  }
  return { kind: "names", names: elements };
}

type ElementKind =
  | "none"
  | Direction
  | "hostEgress"
  | "elsewhere"
  | `${Direction}ByAddress`;
type EndpointElements = Readonly<Record<ElementKind, NameElement>>;

/** An endpoint that is the same has the same elements: `diff()` need not look into them. */
const endpointElements = new WeakMap<DesiredEndpoint, EndpointElements>();

function elementsOf(endpoint: DesiredEndpoint): EndpointElements {
  let elements = endpointElements.get(endpoint);
  if (elements === undefined) {
    const comment = cutComment(endpoint.workload);
    const { ingress, egress, hostEgress } = endpoint;
    elements = {
      none: { comment },
      // From the hook's own chain, which drops what should come back.
      ingress: { comment, verdict: verdictOf("jump", "ingress", ingress) },
      egress: { comment, verdict: verdictOf("goto", "egress", egress) },
      hostEgress: { comment, verdict: verdictOf("goto", "egress", hostEgress) },
      elsewhere: { comment, verdict: { code: "goto", chain: CHAIN_ELSEWHERE } },
      ingressByAddress: { comment, verdict: verdictOf("goto", "ingress", ingress) },
      egressByAddress: { comment, verdict: verdictOf("goto", "egress", egress) },
    };
    endpointElements.set(endpoint, elements);
  }
  return elements;
}

function verdictOf(
  code: "jump" | "goto",
  direction: Direction,
  program: string | undefined,
): Verdict {
  if (program === undefined) return { code: "accept" };
  return { code, chain: programChainName(direction, program) };
}

function interfacesOf({ interfaceName }: DesiredEndpoint): readonly string[] {
  return interfaceName === undefined ? [] : [interfaceName];
}

function isOf(address: string, family: Family): boolean {
  return address.includes(":") === (family === 6);
}
