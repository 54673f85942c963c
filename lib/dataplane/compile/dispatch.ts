/**
 * From a pod's interface or address to what governs it: the maps, and the sets of what is known. Each is a
 * row, which says what an endpoint brings into it; one into which no endpoint brings other elements than
 * before is the same value as before.
 */

import { type Address, FAMILIES, type Family } from "../../ip/address.ts";
import type { Desired, DesiredEndpoint } from "../../model/desired.ts";
import { type Direction, DIRECTIONS } from "../../model/policy.ts";
import { isSameElement, type NamedSet, type NameElement, type SetType } from "../ruleset.ts";
import type { CtState } from "../statement/expressions.ts";
import type { Verdict } from "../statement/verdict.ts";
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

/** The options that decide which sets exist. */
export type DispatchOptions = Pick<BaseOptions, "checksSource" | "judgesOutput">;

type Entry = readonly [key: string, element: NameElement];
/** The elements that an endpoint contributes to a set. */
type Contribution = (endpoint: DesiredEndpoint) => readonly Entry[];

/** A set of the endpoints' contributions; of equal keys the last one counts. */
interface Row extends Pick<NamedSet, "name" | "type" | "comment"> {
  readonly contributions: readonly Contribution[];
}

/** An endpoint as it was and as it is. */
type Change = readonly [before: DesiredEndpoint | undefined, after: DesiredEndpoint | undefined];

/** Keeps the sets and maps of this node's pods. */
export class Dispatch {
  readonly #options: DispatchOptions;
  #hosts: readonly Address[] = [];
  #rows: readonly Row[] | undefined;
  #endpoints: Desired["endpoints"] = new Map();
  #sets: readonly NamedSet[] = [];
  #hostSets: readonly NamedSet[] = [];

  constructor(options: DispatchOptions) {
    this.#options = options;
  }

  /** The sets of `desired`, always in the same order. */
  setsOf({ endpoints, hostAddresses }: Desired): readonly NamedSet[] {
    const changes = changesBetween(this.#endpoints, endpoints);
    this.#endpoints = endpoints;
    const isSameHost = this.#hosts.join() === hostAddresses.join();
    if (this.#rows === undefined || !isSameHost) {
      this.#hosts = hostAddresses;
      this.#rows = rowsOf(hostAddresses, this.#options);
      this.#sets = this.#rows.map((row) => build(row, endpoints));
      this.#hostSets = FAMILIES.map((family) => hostSet(hostAddresses, family));
    } else if (changes.length > 0) {
      const sets = this.#sets;
      this.#sets = this.#rows.map((row, index) => {
        const set = sets[index];
        const isSame = changes.every((change) => bringsTheSame(row, change));
        return set !== undefined && isSame ? set : build(row, endpoints);
      });
    }
    return [STATES, ...this.#sets, ...this.#hostSets];
  }
}

function changesBetween(
  before: Desired["endpoints"],
  after: Desired["endpoints"],
): readonly Change[] {
  const changes: Change[] = [];
  for (const [key, endpoint] of after) {
    const was = before.get(key);
    if (was !== endpoint) changes.push([was, endpoint]);
  }
  for (const [key, endpoint] of before) {
    if (!after.has(key)) changes.push([endpoint, undefined]);
  }
  return changes;
}

function build({ name, type, comment, contributions }: Row, all: Desired["endpoints"]): NamedSet {
  const names = new Map<string, NameElement>();
  for (const contribution of contributions) {
    for (const endpoint of all.values()) {
      for (const [key, element] of contribution(endpoint)) names.set(key, element);
    }
  }
  return {
    name,
    type,
    ...(comment === undefined ? {} : { comment }),
    elements: { kind: "names", names },
  };
}

function bringsTheSame({ contributions }: Row, [before, after]: Change): boolean {
  return contributions.every((contribution) => {
    const was = before === undefined ? [] : contribution(before);
    const is = after === undefined ? [] : contribution(after);
    return was.length === is.length && was.every(([key, element], index) => {
      const other = is[index];
      return other !== undefined && key === other[0] && isSameElement(element, other[1]);
    });
  });
}

/** One look-up instead of one rule for each state; new and untracked packets go on to the policies. */
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

function rowsOf(hosts: readonly Address[], options: DispatchOptions): readonly Row[] {
  const opened = (it: DesiredEndpoint): boolean => it.isClosed !== true;
  const interfaceMap: SetType = { key: "ifname", isMap: true };
  return [
    {
      name: SET_PODS,
      type: { key: "ifname", isMap: false },
      comment: "interfaces of the pods of this node",
      contributions: [each(interfacesOf, "none")],
    },
    {
      name: MAPS.ingress,
      type: interfaceMap,
      comment: "interface of a pod: what governs its ingress",
      contributions: [each(interfacesOf, "ingress", opened)],
    },
    {
      name: MAPS.egress,
      type: interfaceMap,
      comment: "interface of a pod: what governs its egress",
      contributions: [each(interfacesOf, "egress", opened)],
    },
    {
      name: MAP_HOST_EGRESS,
      type: interfaceMap,
      comment: "interface of a pod: what governs its egress to this node",
      contributions: [
        each(interfacesOf, "hostEgress", (it) => it.hostEgress !== undefined),
      ],
    },
    ...FAMILIES.flatMap((family) => addressRows(hosts, family, options)),
  ];
}

function addressRows(
  hostAddresses: readonly Address[],
  family: Family,
  { checksSource, judgesOutput }: DispatchOptions,
): readonly Row[] {
  const keys = (it: DesiredEndpoint): readonly string[] => textsOf(it.addresses, family);
  const attachedKeys = (it: DesiredEndpoint): readonly string[] =>
    textsOf(it.attachedAddresses, family);
  const otherKeys = (it: DesiredEndpoint): readonly string[] => {
    const attached = attachedKeys(it);
    return keys(it).filter((address) => !attached.includes(address));
  };
  const hosts = textsOf(hostAddresses, family);
  const map: SetType = { key: "address", family, isInterval: false, isMap: true };
  const set: SetType = { key: "address", family, isInterval: false };
  const addressMap = (direction: Direction): Row => ({
    name: addressMapName(direction, family),
    type: map,
    comment: `address of a pod that another plugin attached: what governs its ${direction}`,
    contributions: [
      each(otherKeys, `${direction}ByAddress`, (it) => it[direction] !== undefined),
      ...(direction === "egress" && checksSource ? [each(attachedKeys, "elsewhere")] : []),
    ],
  });
  return [
    ...DIRECTIONS.map(addressMap),
    {
      name: sourceSetName(family),
      type: { key: "ifnameAddress", family },
      comment: "what each pod may send from",
      contributions: [
        each(
          (it) => keys(it).map((address) => `${it.interfaceName},${address}`),
          "none",
          (it) => it.interfaceName !== undefined,
        ),
      ],
    },
    {
      name: itselfSetName(family),
      type: { key: "addressPair", family },
      comment: "a pod's address and the same pod's, or one of its node",
      contributions: [
        each(
          (it) => keys(it).flatMap((from) => [...keys(it), ...hosts].map((to) => `${from},${to}`)),
          "none",
          (it) => it.ingress !== undefined || it.egress !== undefined,
        ),
      ],
    },
    {
      name: attachedSetName(family),
      type: set,
      comment: "addresses that come by the interface of their pod alone",
      contributions: [each(attachedKeys, "none")],
    },
    ...(judgesOutput
      ? [{
        name: sentOnMapName(family),
        type: map,
        comment: "address of a pod: what governs its egress when this node sends it on",
        contributions: [each(keys, "egressByAddress", (it) => it.egress !== undefined)],
      }]
      : []),
  ];
}

/** One element per key of each endpoint that `counts`. */
function each(
  keysOf: (endpoint: DesiredEndpoint) => readonly string[],
  kind: ElementKind,
  counts: (endpoint: DesiredEndpoint) => boolean = () => true,
): Contribution {
  return (endpoint) => {
    if (!counts(endpoint)) return [];
    const element = elementsOf(endpoint)[kind];
    return keysOf(endpoint).map((key) => [key, element]);
  };
}

const HOST_ELEMENT: NameElement = { comment: "" };

function hostSet(hostAddresses: readonly Address[], family: Family): NamedSet {
  const hosts = textsOf(hostAddresses, family);
  return {
    name: hostSetName(family),
    type: { key: "address", family, isInterval: false },
    comment: "addresses of this node",
    elements: { kind: "names", names: new Map(hosts.map((it) => [it, HOST_ELEMENT])) },
  };
}

type ElementKind =
  | "none"
  | Direction
  | "hostEgress"
  | "elsewhere"
  | `${Direction}ByAddress`;
type EndpointElements = Readonly<Record<ElementKind, NameElement>>;

/** An unchanged endpoint keeps the same elements, which `diff()` compares by identity. */
const endpointElements = new WeakMap<DesiredEndpoint, EndpointElements>();

function elementsOf(endpoint: DesiredEndpoint): EndpointElements {
  let elements = endpointElements.get(endpoint);
  if (elements === undefined) {
    const comment = cutComment(endpoint.workload);
    const { ingress, egress, hostEgress } = endpoint;
    elements = {
      none: { comment },
      // A jump from the base chain, which drops packets that return.
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

function textsOf(addresses: readonly Address[], family: Family): readonly string[] {
  return addresses.filter((it) => it.family === family).map(String);
}
