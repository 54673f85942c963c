/**
 * ClusterNetworkPolicy, `policy.networking.k8s.io`, versions `v1beta1` (network-policy-api v0.3.0) and
 * `v1alpha2`: their fields are the same, and `v1beta1` refuses host bits in networks, which mean nothing
 * in `v1alpha2`. What is not understood fails closed as its API says: an Accept rule then matches nothing, a Deny or Pass rule denies everything. A policy whose
 * subject, place in the order or other fields are not understood is in doubt: it selects every pod that
 * it might select, it comes before all others, its Accept rules match nothing, and its Pass rules deny, since
 * a later policy might accept what they pass.
 */

import type {
  ClusterNetworkPolicy,
  ClusterPolicyRule,
  Direction,
  PolicyPeer,
  PolicyPort,
} from "../../model/policy.ts";
import type { LabelSelector } from "../../model/labels.ts";
import { type Protocol, PROTOCOL_NUMBERS } from "../../model/workload.ts";
import type { Decoded, VersionedKind } from "../kind.ts";
import {
  type Fields,
  Problems,
  readCidr,
  readList,
  readMetadata,
  readObject,
  readSelector,
  readText,
  refuseOthers,
} from "./fields.ts";
import { RuleBound } from "./rule_bound.ts";

/** All ClusterNetworkPolicies, in whichever of these versions the server has them. */
export const clusterNetworkPolicyKind: VersionedKind<ClusterNetworkPolicy> = {
  name: "clusternetworkpolicies",
  kind: "ClusterNetworkPolicy",
  group: "policy.networking.k8s.io",
  versions: ["v1beta1", "v1alpha2"],
  decode: decodeClusterNetworkPolicy,
};

const PRIORITY_MAX = 1000;
/** Before every priority that there is. */
const PRIORITY_IN_DOUBT = -1;
const SPEC_FIELDS = ["tier", "priority", "subject", "ingress", "egress"];
const ACTIONS = { Accept: "accept", Deny: "deny", Pass: "pass" } as const;
const PROTOCOLS = Object.keys(PROTOCOL_NUMBERS) as Protocol[];

interface Subject {
  readonly namespaceSelector: LabelSelector;
  readonly podSelector: LabelSelector;
}

/** Decodes a ClusterNetworkPolicy. */
export function decodeClusterNetworkPolicy(object: unknown): Decoded<ClusterNetworkPolicy> {
  const problems = new Problems();
  const fields = readObject(object, "object", problems);
  const { name, resourceVersion } = readMetadata(fields, problems);
  if (name === "") {
    problems.add("metadata.name", name);
    return { value: undefined, problems: problems.all };
  }
  const spec = readObject(fields.spec, "spec", problems);
  const before = problems.all.length;
  refuseOthers(spec, SPEC_FIELDS, "spec", problems);
  const subject = readSubject(spec.subject, "spec.subject", problems);
  const tier = readTier(spec, problems);
  const priority = readPriority(spec, problems);
  const isInDoubt = problems.all.length > before;
  const rules = (direction: Direction): readonly ClusterPolicyRule[] => {
    const all = readRules(spec, direction, problems);
    return isInDoubt ? all.flatMap(doubtRule) : all;
  };
  const value: ClusterNetworkPolicy = {
    name,
    tier,
    priority,
    namespaceSelector: subject?.namespaceSelector ?? [],
    podSelector: subject?.podSelector ?? [],
    ingress: rules("ingress"),
    egress: rules("egress"),
    resourceVersion,
  };
  return { value, problems: problems.all };
}

/** Restricts a rule of a policy that could not be read completely. */
function doubtRule(rule: ClusterPolicyRule): readonly ClusterPolicyRule[] {
  return rule.action === "accept" ? [] : [{ ...rule, action: "deny" }];
}

/** An unknown tier counts as the one that is evaluated first. */
function readTier(spec: Fields, problems: Problems): "admin" | "baseline" {
  if (spec.tier === "Baseline") return "baseline";
  if (spec.tier !== "Admin") problems.add("spec.tier", spec.tier, "Admin or Baseline is expected");
  return "admin";
}

function readPriority(spec: Fields, problems: Problems): number {
  const { priority } = spec;
  if (
    typeof priority === "number" && Number.isInteger(priority) && priority >= 0 &&
    priority <= PRIORITY_MAX
  ) return priority;
  problems.add("spec.priority", priority, `0 to ${PRIORITY_MAX} is expected`);
  return PRIORITY_IN_DOUBT;
}

/** Exactly one of `namespaces` and `pods`; `undefined` when that is not so. */
function readSubject(value: unknown, path: string, problems: Problems): Subject | undefined {
  const fields = readObject(value, path, problems);
  const kind = onlyField(fields, path, problems);
  if (kind === "namespaces") {
    return readNamespaces(fields.namespaces, `${path}.namespaces`, problems);
  }
  if (kind === "pods") return readPods(fields.pods, `${path}.pods`, problems);
  if (kind !== undefined) problems.add(`${path}.${kind}`, fields[kind], "this field is not known");
  return undefined;
}

function readNamespaces(value: unknown, path: string, problems: Problems): Subject | undefined {
  const namespaceSelector = readSelector(value, path, problems);
  return namespaceSelector && { namespaceSelector, podSelector: [] };
}

function readPods(value: unknown, path: string, problems: Problems): Subject | undefined {
  const before = problems.all.length;
  const fields = readObject(value, path, problems);
  refuseOthers(fields, ["namespaceSelector", "podSelector"], path, problems);
  const at = (field: string): LabelSelector | undefined =>
    readSelector(fields[field] ?? {}, `${path}.${field}`, problems);
  const [namespaceSelector, podSelector] = [at("namespaceSelector"), at("podSelector")];
  if (problems.all.length > before) return undefined;
  return namespaceSelector && podSelector && { namespaceSelector, podSelector };
}

function readRules(
  spec: Fields,
  direction: Direction,
  problems: Problems,
): readonly ClusterPolicyRule[] {
  const path = `spec.${direction}`;
  const before = problems.all.length;
  const list = readList(spec[direction], path, problems) ?? [];
  if (problems.all.length > before) return [denyAll("")];
  const peersField = direction === "ingress" ? "from" : "to";
  const bound = new RuleBound(problems);
  let isFull = false;
  return list.flatMap((rule, index): ClusterPolicyRule[] => {
    const at = `${path}[${index}]`;
    const before = problems.all.length;
    const fields = readObject(rule, at, problems);
    isFull ||= !bound.takes(asList(fields[peersField]), asList(fields.protocols), at);
    if (isFull) return fields.action === "Accept" ? [] : [denyAll("")];
    const name = readText(fields.name, `${at}.name`, problems) ?? "";
    const action = readAction(fields, at, problems);
    const peers = readPeers(fields, direction, at, problems);
    const ports = readProtocols(fields.protocols, `${at}.protocols`, problems);
    refuseOthers(fields, ["name", "action", "protocols", peersField], at, problems);
    if (problems.all.length === before) return [{ name, action: action ?? "deny", peers, ports }];
    return action === "accept" ? [] : [denyAll(name)];
  });
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function denyAll(name: string): ClusterPolicyRule {
  return { name, action: "deny", peers: undefined, ports: undefined };
}

function readAction(
  fields: Fields,
  path: string,
  problems: Problems,
): ClusterPolicyRule["action"] | undefined {
  const { action } = fields;
  if (action === "Accept" || action === "Deny" || action === "Pass") return ACTIONS[action];
  problems.add(`${path}.action`, action, "Accept, Deny or Pass is expected");
  return undefined;
}

function readPeers(
  fields: Fields,
  direction: Direction,
  path: string,
  problems: Problems,
): readonly PolicyPeer[] {
  const name = direction === "ingress" ? "from" : "to";
  const list = readList(fields[name], `${path}.${name}`, problems);
  if (list === undefined || list.length === 0) {
    problems.add(`${path}.${name}`, fields[name], "at least one peer is expected");
  }
  return (list ?? []).flatMap((peer, index) =>
    readPeer(peer, direction, `${path}.${name}[${index}]`, problems)
  );
}

function readPeer(
  value: unknown,
  direction: Direction,
  path: string,
  problems: Problems,
): readonly PolicyPeer[] {
  const fields = readObject(value, path, problems);
  const kind = onlyField(fields, path, problems);
  const at = `${path}.${kind}`;
  if (kind === "namespaces" || kind === "pods") {
    const subject = kind === "pods"
      ? readPods(fields.pods, at, problems)
      : readNamespaces(fields.namespaces, at, problems);
    return subject === undefined ? [] : [{ kind: "pods", ...subject }];
  }
  if (direction === "egress" && kind === "nodes") {
    const selector = readSelector(fields.nodes, at, problems);
    return selector === undefined ? [] : [{ kind: "nodes", selector }];
  }
  if (direction === "egress" && kind === "networks") {
    return readNetworks(fields.networks, at, problems);
  }
  if (kind === "domainNames") {
    problems.add(at, fields.domainNames, "names are not resolved: use networks");
  } else if (kind !== undefined) {
    problems.add(at, fields[kind], `this field is not known of ${direction} peers`);
  }
  return [];
}

function readNetworks(value: unknown, path: string, problems: Problems): readonly PolicyPeer[] {
  const list = readList(value, path, problems) ?? [];
  if (list.length === 0) problems.add(path, value, "at least one network is expected");
  return list.flatMap((text, index): PolicyPeer[] => {
    const cidr = readCidr(text, `${path}[${index}]`, problems);
    return cidr === undefined ? [] : [{ kind: "addresses", cidr, except: [] }];
  });
}

function readProtocols(
  value: unknown,
  path: string,
  problems: Problems,
): readonly PolicyPort[] | undefined {
  const list = readList(value, path, problems);
  if (list === undefined) return undefined;
  if (list.length === 0) problems.add(path, value, "at least one protocol is expected");
  return list.flatMap((protocol, index) => readProtocol(protocol, `${path}[${index}]`, problems));
}

function readProtocol(value: unknown, path: string, problems: Problems): readonly PolicyPort[] {
  const fields = readObject(value, path, problems);
  const kind = onlyField(fields, path, problems);
  if (kind === "destinationNamedPort") {
    const port = readText(fields[kind], `${path}.${kind}`, problems);
    if (port === undefined || port === "") problems.add(`${path}.${kind}`, port);
    return PROTOCOLS.map((protocol) => ({ protocol, port: port ?? "" }));
  }
  const protocol = PROTOCOLS.find((it) => it.toLowerCase() === kind?.toLowerCase());
  if (kind !== undefined && protocol?.toLowerCase() !== kind) {
    const meant = protocol === undefined ? "" : `; did you mean ${protocol.toLowerCase()}?`;
    problems.add(`${path}.${kind}`, fields[kind], `this is not known${meant}`);
  }
  if (kind === undefined || protocol === undefined) return [];
  const at = `${path}.${kind}`;
  const inner = readObject(fields[kind], at, problems);
  refuseOthers(inner, ["destinationPort"], at, problems);
  if (inner.destinationPort === undefined) return [{ protocol, port: undefined }];
  return readPort(inner.destinationPort, protocol, `${at}.destinationPort`, problems);
}

function readPort(
  value: unknown,
  protocol: Protocol,
  path: string,
  problems: Problems,
): readonly PolicyPort[] {
  const fields = readObject(value, path, problems);
  const kind = onlyField(fields, path, problems);
  const range = kind === "range" ? readObject(fields.range, `${path}.range`, problems) : undefined;
  if (range !== undefined) refuseOthers(range, ["start", "end"], `${path}.range`, problems);
  const first = range === undefined ? fields.number : range.start;
  const last = range === undefined ? fields.number : range.end;
  if (isPort(first) && isPort(last) && first <= last) return [{ protocol, port: { first, last } }];
  problems.add(path, value, "a number or a range from 1 to 65535 is expected");
  return [];
}

/** The one field that is set; several or none is a problem. */
function onlyField(fields: Fields, path: string, problems: Problems): string | undefined {
  const given = Object.keys(fields).filter((it) => fields[it] !== undefined && fields[it] !== null);
  if (given.length === 1) return given[0];
  problems.add(path, fields, "exactly one field is expected");
  return undefined;
}

function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65535;
}
