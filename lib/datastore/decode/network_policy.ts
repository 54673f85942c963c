/**
 * NetworkPolicy, `networking.k8s.io/v1`, with its defaults applied. What is not understood allows
 * nothing: a rule, peer or port falls away alone, a direction keeps governing, a field of the spec that
 * is not known leaves no rule, and a pod selector that is not understood selects every pod of the
 * namespace and allows nothing, since the rules may be meant for others. A policy is never simply
 * ignored.
 */

import {
  type Direction,
  DIRECTIONS,
  type NetworkPolicy,
  type NetworkPolicyPeer,
  type PolicyPort,
  type PolicyRule,
  type PortRange,
} from "../../model/policy.ts";
import type { LabelSelector } from "../../model/labels.ts";
import type { Decoded, ResourceKind } from "../kind.ts";
import {
  type Fields,
  Problems,
  readLegacyCidr,
  readList,
  readMetadata,
  readObject,
  readSelector,
  refuseOthers,
} from "./fields.ts";
import { isProtocol } from "./pod.ts";
import { RuleBound } from "./rule_bound.ts";

/** NetworkPolicies of all namespaces. */
export const networkPolicyKind: ResourceKind<NetworkPolicy> = {
  name: "networkpolicies",
  kind: "NetworkPolicy",
  path: "/apis/networking.k8s.io/v1/networkpolicies",
  decode: decodeNetworkPolicy,
};

/** Decodes a NetworkPolicy. */
export function decodeNetworkPolicy(object: unknown): Decoded<NetworkPolicy> {
  const problems = new Problems();
  const fields = readObject(object, "object", problems);
  const { name, namespace, resourceVersion } = readMetadata(fields, problems);
  const isNamed = name !== "" && namespace !== "";
  if (!isNamed) problems.add("metadata", fields.metadata, "name and namespace are expected");
  const before = problems.all.length;
  const spec = readObject(fields.spec, "spec", problems);
  const isSpec = problems.all.length === before;
  refuseOthers(spec, SPEC_FIELDS, "spec", problems);
  const isKnown = problems.all.length === before;
  const isSelectorSaid = spec.podSelector !== undefined && spec.podSelector !== null;
  const podSelector = readSelector(spec.podSelector, "spec.podSelector", problems);
  const isSelectorKnown = podSelector !== undefined || !isSelectorSaid;
  const directions = isSpec ? readTypes(spec, problems) : new Set(DIRECTIONS);
  const read = (direction: Direction): readonly PolicyRule[] | undefined => {
    if (!directions.has(direction)) return undefined;
    const rules = readRules(spec, direction, problems);
    return isKnown && isSelectorKnown ? rules : [];
  };
  const value: NetworkPolicy = {
    namespace,
    name,
    podSelector: podSelector ?? [],
    ingress: read("ingress"),
    egress: read("egress"),
    resourceVersion,
  };
  return { value: isNamed ? value : undefined, problems: problems.all };
}

const SPEC_FIELDS = ["podSelector", "policyTypes", "ingress", "egress"];

/**
 * `policyTypes`; without it every policy governs ingress, and egress if it has egress rules. Types that
 * are not understood govern both.
 */
function readTypes(spec: Fields, problems: Problems): ReadonlySet<Direction> {
  const before = problems.all.length;
  const types = readList(spec.policyTypes, "spec.policyTypes", problems);
  const directions = new Set<Direction>();
  for (const type of types ?? []) {
    if (type === "Ingress") directions.add("ingress");
    else if (type === "Egress") directions.add("egress");
    else problems.add("spec.policyTypes", type, "Ingress or Egress is expected");
  }
  if (problems.all.length > before) return new Set(DIRECTIONS);
  if (types !== undefined && types.length > 0) return directions;
  directions.add("ingress");
  const egress = spec.egress;
  if (Array.isArray(egress) ? egress.length > 0 : egress !== undefined && egress !== null) {
    directions.add("egress");
  }
  return directions;
}

function readRules(spec: Fields, direction: Direction, problems: Problems): readonly PolicyRule[] {
  const path = `spec.${direction}`;
  const peersField = direction === "ingress" ? "from" : "to";
  const bound = new RuleBound(problems);
  let isFull = false;
  return (readList(spec[direction], path, problems) ?? []).flatMap((rule, index) => {
    if (isFull) return [];
    const at = `${path}[${index}]`;
    const before = problems.all.length;
    const fields = readItem(rule, at, problems);
    refuseOthers(fields, ["ports", peersField], at, problems);
    const peers = readList(fields[peersField], `${at}.${peersField}`, problems);
    const ports = readList(fields.ports, `${at}.ports`, problems);
    const isUnderstood = problems.all.length === before;
    isFull = !bound.takes(peers, ports, at);
    if (isFull) return [];
    const read = {
      peers: readEach(peers, `${at}.${peersField}`, problems, readPeer),
      ports: readEach(ports, `${at}.ports`, problems, readPort),
    };
    return isUnderstood ? read : []; // it may mean less than it seems to
  });
}

/** Absent or empty means all; if none of the entries can be read, nothing is allowed. */
function readEach<T>(
  list: readonly unknown[] | undefined,
  path: string,
  problems: Problems,
  read: (fields: Fields, path: string, problems: Problems) => T | undefined,
): readonly T[] | undefined {
  if (list === undefined || list.length === 0) return undefined;
  return list.flatMap((item, index) => {
    const at = `${path}[${index}]`;
    const before = problems.all.length;
    const fields = readItem(item, at, problems);
    const value = problems.all.length > before ? undefined : read(fields, at, problems);
    return value === undefined || problems.all.length > before ? [] : [value];
  });
}

/** An entry of a list: null is no empty object here, which would allow everything. */
function readItem(value: unknown, path: string, problems: Problems): Fields {
  if (value === null) problems.add(path, value, "an object is expected");
  return readObject(value, path, problems);
}

const PEER_FIELDS = ["podSelector", "namespaceSelector", "ipBlock"];

function readPeer(fields: Fields, path: string, problems: Problems): NetworkPolicyPeer | undefined {
  const given = Object.keys(fields).filter((it) => fields[it] !== undefined && fields[it] !== null);
  const unknown = given.filter((it) => !PEER_FIELDS.includes(it));
  const isBlock = given.includes("ipBlock");
  const isOne = given.length > 0 && unknown.length === 0 && !(isBlock && given.length > 1);
  if (!isOne) problems.add(path, fields, "either ipBlock or selectors are expected");
  const read = (field: string): LabelSelector | undefined =>
    readSelector(fields[field], `${path}.${field}`, problems);
  const [podSelector = [], namespaceSelector] = [read("podSelector"), read("namespaceSelector")];
  const block = isBlock ? readBlock(fields.ipBlock, `${path}.ipBlock`, problems) : undefined;
  if (!isOne) return undefined;
  return isBlock ? block : { kind: "pods", podSelector, namespaceSelector };
}

function readBlock(
  value: unknown,
  path: string,
  problems: Problems,
): NetworkPolicyPeer | undefined {
  const fields = readObject(value, path, problems);
  refuseOthers(fields, ["cidr", "except"], path, problems);
  const cidr = readLegacyCidr(fields.cidr, `${path}.cidr`, problems);
  const except = (readList(fields.except, `${path}.except`, problems) ?? []).map((it, index) => {
    const at = `${path}.except[${index}]`;
    const prefix = readLegacyCidr(it, at, problems);
    if (prefix === undefined || cidr === undefined) return prefix;
    if (!cidr.contains(prefix.address) || prefix.length < cidr.length) {
      problems.add(at, it, `a part of ${cidr} is expected`);
    }
    return prefix;
  });
  if (cidr === undefined || except.includes(undefined)) return undefined;
  return { kind: "addresses", cidr, except: except.filter((it) => it !== undefined) };
}

/** RFC 6335: at most 15 lower-case letters, digits and single hyphens, one letter at least. */
const PORT_NAME_REGEXP = /^(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*$/;

const PORT_FIELDS = ["protocol", "port", "endPort"];

function readPort(fields: Fields, path: string, problems: Problems): PolicyPort | undefined {
  refuseOthers(fields, PORT_FIELDS, path, problems);
  const { port, endPort } = fields;
  const protocol = fields.protocol ?? "TCP";
  if (!isProtocol(protocol)) {
    problems.add(`${path}.protocol`, protocol, "TCP, UDP or SCTP is expected");
  }
  const read = readPortNumber(port, endPort, path, problems);
  return isProtocol(protocol) ? { protocol, port: read } : undefined;
}

/** A range or a name; `undefined`: every port, or one that is not understood. */
function readPortNumber(
  port: unknown,
  endPort: unknown,
  path: string,
  problems: Problems,
): PortRange | string | undefined {
  const hasEnd = endPort !== undefined && endPort !== null;
  if (port === undefined || port === null) {
    if (hasEnd) problems.add(`${path}.endPort`, endPort, "it needs a port");
    return undefined;
  }
  if (typeof port !== "string") return readRange(port, endPort, path, problems);
  if (hasEnd) problems.add(`${path}.endPort`, endPort, "it needs a numeric port");
  if (!PORT_NAME_REGEXP.test(port)) {
    const remedy = /^\d+$/.test(port) ? "; a number stands without quotes" : "";
    problems.add(`${path}.port`, port, `a port's name is expected${remedy}`);
  }
  return port;
}

function readRange(
  port: unknown,
  endPort: unknown,
  path: string,
  problems: Problems,
): PortRange | undefined {
  const last = endPort ?? port;
  if (!isPort(port)) {
    problems.add(`${path}.port`, port, "1 to 65535 is expected");
    if (last !== port && !isPort(last)) {
      problems.add(`${path}.endPort`, endPort, "1 to 65535 is expected");
    }
    return undefined;
  }
  if (isPort(last) && last >= port) return { first: port, last };
  problems.add(`${path}.endPort`, endPort, `${port} to 65535 is expected`);
  return undefined;
}

function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65535;
}
