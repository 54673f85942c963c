/** The answer of `explain`: the verdict on each flow, and why. Pure. */

import type { Address } from "../../lib/ip/address.ts";
import { type Direction, DIRECTIONS } from "../../lib/model/policy.ts";
import { keyOf } from "../../lib/model/workload.ts";
import {
  type Cluster,
  type DecidingRule,
  type DirectionVerdict,
  evaluate,
  type Flow,
  type Verdict,
} from "../../lib/policy/evaluate.ts";
import type { AnyPolicy } from "../../lib/policy/compile.ts";
import { rulesOf } from "../../lib/policy/select.ts";
import { formatLines } from "../print/text.ts";
import type { ResolvedEnd } from "./resolve.ts";
import { formatAction, formatPath, formatRule } from "./rule.ts";

/** Flows between the same two, with what becomes of each; a pod's to itself are those through a Service. */
export interface Explanation {
  readonly source: ResolvedEnd;
  readonly destination: ResolvedEnd;
  readonly verdicts: readonly { readonly flow: Flow; readonly verdict: Verdict }[];
  readonly notes: readonly string[];
  /** Objects that decide too and could not be read: without them no verdict is certain. */
  readonly unread: readonly string[];
  /** Objects that look like policies and are not evaluated. */
  readonly notEvaluated: readonly string[];
}

/** Sentences about the parts of a cluster that are missing. */
export interface Gaps {
  readonly unread?: readonly string[];
  readonly notEvaluated?: readonly string[];
}

/** Evaluates `flows`, and collects the notes on their ends. */
export function explain(
  cluster: Cluster,
  source: ResolvedEnd,
  destination: ResolvedEnd,
  flows: readonly Flow[],
  { unread = [], notEvaluated = [] }: Gaps = {},
): Explanation {
  const verdicts = flows.map((flow) => ({ flow, verdict: evaluate(cluster, flow) }));
  const notes = [...source.notes, ...destination.notes, ...formatOrigins(source, destination)];
  if (isItself(source, destination)) {
    notes.push(
      `By its own address ${source.title} always reaches itself: that never leaves the pod, and no ` +
        "policy sees it.",
    );
  }
  if (flows.some((it) => it.protocol === undefined)) {
    notes.push("Without a port this asks for ICMP (ping): only rules without ports allow that.");
  }
  if (verdicts.some((it) => it.verdict.allowed)) {
    notes.push("Policy allows it; another firewall on the way (or a dead server) still may not.");
  }
  return { source, destination, verdicts, notes: [...new Set(notes)], unread, notEvaluated };
}

/** Notes that follow from the workloads of the pods. */
function formatOrigins(source: ResolvedEnd, destination: ResolvedEnd): readonly string[] {
  const notes = [source, destination].flatMap(({ title, origin }) =>
    origin === undefined || !origin.word.includes(".") ? [] : [
      `${title} is judged by the pod template of a ${origin.kind}, a kind that is not Kubernetes' ` +
      "own: what makes its pods may give them other labels.",
    ]
  );
  if (destination.isOtherReplica) {
    notes.push(
      `${source.title} makes several pods, and policy tells them apart: one reaches itself by its ` +
        "own address whatever policy says.",
    );
  }
  return notes;
}

/** Policy sees such a flow only where a Service of the pod's leads it back to the pod. */
function isItself(source: ResolvedEnd, destination: ResolvedEnd): boolean {
  return source.workload !== undefined && source.workload === destination.workload;
}

/** Formats an explanation as text; both families together if their verdicts are equal. */
export function formatExplanation(cluster: Cluster, explanation: Explanation): string {
  const { source, destination, verdicts, notes, unread, notEvaluated } = explanation;
  const groups = Map.groupBy(verdicts, (it) => JSON.stringify(it.verdict));
  const blocks = [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const flows = group.map((it) => it.flow);
    const from = formatEnd(source, flows.map((it) => it.source.address.toString()));
    const to = isItself(source, destination)
      ? "itself through a Service"
      : formatEnd(destination, flows.map((it) => it.destination.address.toString()));
    const verdict = first.verdict.allowed ? "ALLOWED" : "DENIED";
    const known = unread.length === 0 ? "" : " by what could be read, which is not all";
    const lines = [`${from} to ${to}, ${formatPort(first.flow)}: ${verdict}${known}`];
    // The packet leaves the source first.
    for (const direction of [...DIRECTIONS].reverse()) {
      lines.push(...formatDirection(cluster, explanation, direction, first.verdict[direction]));
    }
    return lines;
  });
  const warnings = [...unread, ...notEvaluated].map((it) => `Warning: ${it}`);
  return formatLines([...blocks, ...warnings, ...notes.map((it) => `Note: ${it}`)]);
}

/** Converts an explanation to the object that `-o json` and `-o yaml` print. */
export function describeExplanation(explanation: Explanation): Record<string, unknown> {
  const { source, destination, verdicts, notes, unread, notEvaluated } = explanation;
  const describeEnd = (end: ResolvedEnd, address: Address): Record<string, unknown> => ({
    // A pod that has none yet is judged by a stand-in.
    ...(end.addresses.length === 0 ? {} : { address: address.toString() }),
    ...(end.workload === undefined ? {} : { pod: podKeyOf(end) }),
    ...(end.isOtherReplica ? { otherReplica: true } : {}),
    ...(end.node === undefined ? {} : { node: end.node }),
  });
  return {
    allowed: verdicts.every((it) => it.verdict.allowed),
    flows: verdicts.map(({ flow, verdict }) => ({
      source: describeEnd(source, flow.source.address),
      destination: describeEnd(destination, flow.destination.address),
      ...(flow.protocol === undefined ? {} : { protocol: flow.protocol, port: flow.port }),
      ...(isItself(source, destination) ? { throughService: true } : {}),
      allowed: verdict.allowed,
      egress: verdict.egress,
      ingress: verdict.ingress,
    })),
    notes,
    ...(unread.length === 0 ? {} : { unread }),
    ...(notEvaluated.length === 0 ? {} : { notEvaluated }),
  };
}

/** Another pod of a workload is named as the workload is. */
function podKeyOf({ workload, isOtherReplica }: ResolvedEnd): string {
  const key = workload === undefined ? "" : keyOf(workload);
  return isOtherReplica ? key.slice(0, key.lastIndexOf("/")) : key;
}

function formatEnd(end: ResolvedEnd, addresses: readonly string[]): string {
  const known = end.addresses.length === 0 ? [] : addresses.filter((it) => it !== end.title);
  const node = end.node === undefined ? [] : [`node ${end.node}`];
  const details = [...known, ...node];
  return details.length === 0 ? end.title : `${end.title} (${details.join(", ")})`;
}

function formatPort({ protocol, port }: Flow): string {
  return protocol === undefined ? "no port" : `${protocol} port ${port}`;
}

function formatDirection(
  cluster: Cluster,
  { source, destination }: Explanation,
  direction: Direction,
  { allowed, reason }: DirectionVerdict,
): string[] {
  const title = direction === "egress" ? `from ${source.title}` : `to ${destination.title}`;
  const head = `  ${direction} ${title}: ${allowed ? "allowed" : "denied"}, `;
  switch (reason.kind) {
    case "notAPod":
      return [`${head}it is no pod that policy governs`];
    case "ownNode":
      return [
        direction === "ingress"
          ? `${head}a pod's own node ${reason.node} always reaches it`
          : `${head}no NetworkPolicy keeps a pod from its own node ${reason.node}`,
      ];
    case "itself":
      return [`${head}no NetworkPolicy keeps a pod from itself`];
    case "notSelected":
      return [`${head}no policy selects it for ${direction}`];
    case "allowedBy":
    case "deniedBy":
      return [head + formatDecision(cluster, direction, reason)];
    case "notAllowed":
      return [
        `${head}selected by ${count(reason.policies.length, "policy", "policies")}, ` +
        "and no rule allows it",
        ...reason.policies.flatMap((key) =>
          formatPolicy(findPolicy(cluster, { tier: "namespaced", policy: key }), key, direction)
        ),
      ];
  }
}

/** The rule that decided: `policy shop/web spec.ingress[0].from[1]: from pods app=cart …`. */
function formatDecision(cluster: Cluster, direction: Direction, reason: DecidingRule): string {
  const policy = findPolicy(cluster, reason);
  const rule = policy && rulesOf(policy, direction)[reason.rule];
  const peer = reason.peer === undefined ? undefined : rule?.peers?.[reason.peer];
  const path = formatPath(direction, reason.rule, reason.peer);
  const tier = reason.tier === "namespaced" ? "" : `${reason.tier} tier `;
  const what = policy === undefined || rule === undefined
    ? ""
    : `: ${formatAction(rule)}${
      formatRule(policy, direction, peer === undefined ? rule : { ...rule, peers: [peer] })
    }`;
  return `${tier}policy ${reason.policy} ${path}${what}`;
}

/** A policy's rules, each on a line: those that did not allow the flow. */
function formatPolicy(
  policy: AnyPolicy | undefined,
  key: string,
  direction: Direction,
): string[] {
  const rules = policy === undefined
    ? []
    : rulesOf(policy, direction).map((rule, index) =>
      `      ${formatPath(direction, index)}: ${formatRule(policy, direction, rule)}`
    );
  return [`    ${key}${rules.length === 0 ? `: has no ${direction} rules` : ""}`, ...rules];
}

function findPolicy(
  cluster: Cluster,
  { tier, policy }: Pick<DecidingRule, "tier" | "policy">,
): AnyPolicy | undefined {
  return tier === "namespaced"
    ? cluster.policies.find((it) => keyOf(it) === policy)
    : cluster.clusterPolicies?.find((it) => it.name === policy);
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}
