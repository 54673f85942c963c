/**
 * NetworkPolicy, `networking.k8s.io/v1`, with its defaults applied. What is not understood allows
 * nothing: a rule, peer or port falls away alone, a direction keeps governing, and a pod selector
 * that is not understood selects every pod of the namespace. A policy is never simply ignored.
 */

import { Prefix } from "../../ip/prefix.ts";
import type {
  Direction,
  NetworkPolicy,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
  PortRange,
} from "../../model/policy.ts";
import type { Decoded, ResourceKind } from "../kind.ts";
import {
  type Fields,
  Problems,
  readList,
  readMetadata,
  readObject,
  readSelector,
} from "./fields.ts";
import { isProtocol } from "./pod.ts";

/** NetworkPolicies of all namespaces. */
export const networkPolicyKind: ResourceKind<NetworkPolicy> = {
  name: "networkpolicies",
  path: "/apis/networking.k8s.io/v1/networkpolicies",
  decode: decodeNetworkPolicy,
};

/** Decodes a NetworkPolicy. */
export function decodeNetworkPolicy(object: unknown): Decoded<NetworkPolicy> {
  const problems = new Problems();
  const fields = readObject(object, "object", problems);
  const { name, namespace, resourceVersion } = readMetadata(fields, problems);
  if (name === "" || namespace === "") {
    problems.add("metadata", fields.metadata, "name and namespace are expected");
    return { value: undefined, problems: problems.all };
  }
  const spec = readObject(fields.spec, "spec", problems);
  const directions = readTypes(spec, problems);
  const value: NetworkPolicy = {
    namespace,
    name,
    podSelector: readSelector(spec.podSelector, "spec.podSelector", problems) ?? [],
    ingress: directions.has("ingress") ? readRules(spec, "ingress", problems) : undefined,
    egress: directions.has("egress") ? readRules(spec, "egress", problems) : undefined,
    resourceVersion,
  };
  return { value, problems: problems.all };
}

/** `policyTypes`; without it every policy governs ingress, and egress if it has egress rules. */
function readTypes(spec: Fields, problems: Problems): ReadonlySet<Direction> {
  const types = readList(spec.policyTypes, "spec.policyTypes", problems);
  const directions = new Set<Direction>();
  for (const type of types ?? []) {
    if (type === "Ingress") directions.add("ingress");
    else if (type === "Egress") directions.add("egress");
    else problems.add("spec.policyTypes", type, "Ingress or Egress is expected");
  }
  if (types !== undefined && types.length > 0 && directions.size > 0) return directions;
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
  return (readList(spec[direction], path, problems) ?? []).flatMap((rule, index) => {
    const at = `${path}[${index}]`;
    const before = problems.all.length;
    const fields = readObject(rule, at, problems);
    for (const field of Object.keys(fields)) {
      if (field !== "ports" && field !== peersField) {
        problems.add(`${at}.${field}`, fields[field], "this field is not known");
      }
    }
    const peers = readList(fields[peersField], `${at}.${peersField}`, problems);
    const ports = readList(fields.ports, `${at}.ports`, problems);
    if (problems.all.length > before) return []; // it may mean less than it seems to
    return {
      peers: readEach(peers, `${at}.${peersField}`, problems, readPeer),
      ports: readEach(ports, `${at}.ports`, problems, readPort),
    };
  });
}

/** Absent and empty mean every one; if none of those given is understood, none is allowed. */
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
    const fields = readObject(item, at, problems);
    const value = problems.all.length > before ? undefined : read(fields, at, problems);
    return value === undefined || problems.all.length > before ? [] : [value];
  });
}

const PEER_FIELDS = ["podSelector", "namespaceSelector", "ipBlock"];

function readPeer(fields: Fields, path: string, problems: Problems): PolicyPeer | undefined {
  const given = Object.keys(fields).filter((it) => fields[it] !== undefined && fields[it] !== null);
  const unknown = given.filter((it) => !PEER_FIELDS.includes(it));
  const isBlock = given.includes("ipBlock");
  if (given.length === 0 || unknown.length > 0 || (isBlock && given.length > 1)) {
    problems.add(path, fields, "either ipBlock or selectors are expected");
    return undefined;
  }
  if (isBlock) return readBlock(fields.ipBlock, `${path}.ipBlock`, problems);
  return {
    kind: "pods",
    podSelector: readSelector(fields.podSelector, `${path}.podSelector`, problems) ?? [],
    namespaceSelector: readSelector(
      fields.namespaceSelector,
      `${path}.namespaceSelector`,
      problems,
    ),
  };
}

function readBlock(value: unknown, path: string, problems: Problems): PolicyPeer | undefined {
  const fields = readObject(value, path, problems);
  const cidr = readPrefix(fields.cidr, `${path}.cidr`, problems);
  const except = (readList(fields.except, `${path}.except`, problems) ?? []).map((it, index) =>
    readPrefix(it, `${path}.except[${index}]`, problems)
  );
  if (cidr === undefined || except.includes(undefined)) return undefined;
  return { kind: "addresses", cidr, except: except.filter((it) => it !== undefined) };
}

function readPrefix(value: unknown, path: string, problems: Problems): Prefix | undefined {
  const prefix = typeof value === "string" ? Prefix.tryParse(value) : undefined;
  if (prefix === undefined) problems.add(path, value, "a CIDR is expected");
  return prefix;
}

const PORT_FIELDS = ["protocol", "port", "endPort"];

function readPort(fields: Fields, path: string, problems: Problems): PolicyPort | undefined {
  const unknown = Object.keys(fields).filter((it) => !PORT_FIELDS.includes(it));
  for (const field of unknown) problems.add(`${path}.${field}`, fields[field], "not known");
  const protocol = fields.protocol ?? "TCP";
  if (!isProtocol(protocol)) {
    problems.add(`${path}.protocol`, protocol, "TCP, UDP or SCTP is expected");
    return undefined;
  }
  const { port, endPort } = fields;
  if (port === undefined || port === null) {
    if (endPort !== undefined && endPort !== null) {
      problems.add(`${path}.endPort`, endPort, "it needs a port");
    }
    return { protocol, port: undefined };
  }
  if (typeof port === "string") {
    if (endPort !== undefined && endPort !== null) {
      problems.add(`${path}.endPort`, endPort, "it needs a numeric port");
    }
    if (port === "") problems.add(`${path}.port`, port);
    return { protocol, port };
  }
  const range = readRange(port, endPort, path, problems);
  return range && { protocol, port: range };
}

function readRange(
  port: unknown,
  endPort: unknown,
  path: string,
  problems: Problems,
): PortRange | undefined {
  const last = endPort ?? port;
  if (!isPort(port)) problems.add(`${path}.port`, port, "1 to 65535 is expected");
  else if (!isPort(last) || last < port) {
    problems.add(`${path}.endPort`, endPort, `${port} to 65535 is expected`);
  } else return { first: port, last };
  return undefined;
}

function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65535;
}
