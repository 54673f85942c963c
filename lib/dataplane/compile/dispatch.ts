/** From a pod's interface or address to what governs it: the maps, and the sets of what is known. */

import { FAMILIES, type Family } from "../../ip/address.ts";
import type { Desired, DesiredEndpoint } from "../../model/desired.ts";
import { type Direction, DIRECTIONS } from "../../model/policy.ts";
import type { NamedSet, NameElement, Verdict } from "../ruleset.ts";
import {
  addressMapName,
  cutComment,
  MAPS,
  programChainName,
  SET_PODS,
  sourceSetName,
} from "./names.ts";
import { acceptVerdict } from "./rule.ts";

/** The sets and maps of this node's pods. */
export function dispatchSets(desired: Desired): readonly NamedSet[] {
  const endpoints = [...desired.endpoints.values()];
  return [
    {
      name: SET_PODS,
      type: { key: "ifname", isMap: false },
      comment: "interfaces of the pods of this node",
      elements: names(endpoints, interfacesOf),
    },
    ...DIRECTIONS.map((direction): NamedSet => ({
      name: MAPS[direction],
      type: { key: "ifname", isMap: true },
      comment: `interface of a pod: what governs its ${direction}`,
      elements: names(endpoints, interfacesOf, direction),
    })),
    ...FAMILIES.flatMap((family) => [
      ...DIRECTIONS.map((direction): NamedSet => ({
        name: addressMapName(direction, family),
        type: { key: "address", family, isInterval: false, isMap: true },
        comment: `address of a pod: what governs its ${direction}`,
        elements: names(endpoints, (it) => addressesOf(it, family), direction),
      })),
      sources(endpoints, family),
    ]),
  ];
}

function sources(endpoints: readonly DesiredEndpoint[], family: Family): NamedSet {
  return {
    name: sourceSetName(family),
    type: { key: "ifnameAddress", family },
    comment: "what each pod may send from",
    elements: names(
      endpoints,
      (it) =>
        interfacesOf(it).flatMap((name) =>
          addressesOf(it, family).map((address) => `${name},${address}`)
        ),
    ),
  };
}

/** One element per key of each endpoint; with `direction`, the verdict of its program. */
function names(
  endpoints: readonly DesiredEndpoint[],
  keysOf: (endpoint: DesiredEndpoint) => readonly string[],
  direction: Direction | "none" = "none",
): { readonly kind: "names"; readonly names: ReadonlyMap<string, NameElement> } {
  const elements = new Map<string, NameElement>();
  for (const endpoint of endpoints) {
    const element = elementsOf(endpoint)[direction];
    for (const key of keysOf(endpoint)) elements.set(key, element);
  }
  return { kind: "names", names: elements };
}

type EndpointElements = Readonly<Record<Direction | "none", NameElement>>;

/** An endpoint that is the same has the same elements: `diff()` need not look into them. */
const endpointElements = new WeakMap<DesiredEndpoint, EndpointElements>();

function elementsOf(endpoint: DesiredEndpoint): EndpointElements {
  let elements = endpointElements.get(endpoint);
  if (elements === undefined) {
    const comment = cutComment(endpoint.workload);
    elements = {
      none: { comment },
      ingress: { comment, verdict: verdictOf(endpoint, "ingress") },
      egress: { comment, verdict: verdictOf(endpoint, "egress") },
    };
    endpointElements.set(endpoint, elements);
  }
  return elements;
}

function verdictOf(endpoint: DesiredEndpoint, direction: Direction): Verdict {
  const program = endpoint[direction];
  return program === undefined
    ? acceptVerdict(direction)
    : { code: "goto", chain: programChainName(direction, program) };
}

function interfacesOf({ interfaceName }: DesiredEndpoint): readonly string[] {
  return interfaceName === undefined ? [] : [interfaceName];
}

function addressesOf({ addresses }: DesiredEndpoint, family: Family): readonly string[] {
  return addresses.filter((it) => it.includes(":") === (family === 6));
}
