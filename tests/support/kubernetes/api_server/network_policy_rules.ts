/**
 * Defaults and checks of NetworkPolicy, after `pkg/apis/networking/validation` of Kubernetes.
 * A current server's: `endPort` is kept and checked, where old servers drop it.
 */

import { parseLegacyPrefix } from "../../../../lib/ip/legacy.ts";
import type { KindRules } from "./kind.ts";
import { labelProblem, labelValueProblem } from "./metadata_rules.ts";
import { asList, asObject, isObject } from "./object.ts";
import type { StatusCause } from "./status.ts";

const PROTOCOLS = ["TCP", "UDP", "SCTP"];
const POLICY_TYPES = ["Ingress", "Egress"];
const OPERATORS = ["In", "NotIn", "Exists", "DoesNotExist"];

/** NetworkPolicy: types and protocols are filled in; selectors, ports and CIDRs are checked. */
export const NETWORK_POLICY_RULES: KindRules = {
  default(policy) {
    const spec = asObject(policy.spec);
    spec.podSelector ??= {};
    if (asList(spec.policyTypes).length === 0) {
      spec.policyTypes = asList(spec.egress).length === 0 ? ["Ingress"] : ["Ingress", "Egress"];
    }
    for (const rule of [...asList(spec.ingress), ...asList(spec.egress)]) {
      for (const port of asList(asObject(rule).ports)) {
        if (isObject(port)) port.protocol ??= "TCP";
      }
    }
    policy.spec = spec;
  },
  validate(policy) {
    const spec = asObject(policy.spec);
    const causes: StatusCause[] = [];
    checkSelector(spec.podSelector, "spec.podSelector", causes);
    checkRules(spec.ingress, "spec.ingress", "from", causes);
    checkRules(spec.egress, "spec.egress", "to", causes);
    const types = asList(spec.policyTypes);
    if (types.length > 2) {
      causes.push(invalid("spec.policyTypes", types, "may not name more than two policy types"));
    } else {
      types.forEach((type, i) => {
        if (!POLICY_TYPES.includes(String(type))) {
          causes.push(notSupported(`spec.policyTypes[${i}]`, type, POLICY_TYPES));
        }
      });
    }
    return causes;
  },
};

function checkRules(rules: unknown, at: string, peers: "from" | "to", causes: StatusCause[]): void {
  asList(rules).map(asObject).forEach((rule, i) => {
    asList(rule.ports).forEach((port, j) => checkPort(port, `${at}[${i}].ports[${j}]`, causes));
    asList(rule[peers]).forEach((peer, j) => checkPeer(peer, `${at}[${i}].${peers}[${j}]`, causes));
  });
}

function checkPort(value: unknown, at: string, causes: StatusCause[]): void {
  const { protocol, port, endPort } = asObject(value);
  if (!PROTOCOLS.includes(String(protocol))) {
    causes.push(notSupported(`${at}.protocol`, protocol, PROTOCOLS));
  }
  if (typeof port === "number" && !isPortNumber(port)) {
    causes.push(invalid(`${at}.port`, port, "must be between 1 and 65535"));
  }
  if (
    typeof port === "string" &&
    !/^(?=.*[a-z])(?!.*--)[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$/.test(port)
  ) {
    causes.push(invalid(`${at}.port`, port, "must be a port's name: 15 of a-z, 0-9, hyphen"));
  }
  if (endPort === undefined) return;
  if (port === undefined) {
    causes.push(required(`${at}.port`, "must be given with endPort"));
  } else if (typeof port !== "number") {
    causes.push(invalid(`${at}.endPort`, endPort, "may not stand beside a named port"));
  } else if (typeof endPort !== "number" || !isPortNumber(endPort) || endPort < port) {
    causes.push(invalid(`${at}.endPort`, endPort, "must be a port not below port"));
  }
}

function checkPeer(value: unknown, at: string, causes: StatusCause[]): void {
  const { podSelector, namespaceSelector, ipBlock } = asObject(value);
  checkSelector(podSelector, `${at}.podSelector`, causes);
  checkSelector(namespaceSelector, `${at}.namespaceSelector`, causes);
  const hasSelector = isObject(podSelector) || isObject(namespaceSelector);
  if (isObject(ipBlock)) {
    checkBlock(ipBlock, `${at}.ipBlock`, causes);
    if (hasSelector) {
      causes.push({
        field: at,
        reason: "FieldValueForbidden",
        message: "Forbidden: ipBlock may not stand beside a selector",
      });
    }
  } else if (!hasSelector) {
    causes.push(required(at, "must specify a peer"));
  }
}

function checkBlock(block: Record<string, unknown>, at: string, causes: StatusCause[]): void {
  if (typeof block.cidr !== "string" || block.cidr === "") {
    causes.push(required(`${at}.cidr`, "must be given"));
    return;
  }
  const whole = parseLegacyPrefix(block.cidr);
  if (whole === undefined) {
    causes.push(invalid(`${at}.cidr`, block.cidr, "must be a valid CIDR"));
    return;
  }
  asList(block.except).forEach((text, i) => {
    const part = parseLegacyPrefix(String(text));
    if (part === undefined) {
      causes.push(invalid(`${at}.except[${i}]`, text, "must be a valid CIDR"));
    } else if (!whole.contains(part.network.address) || part.length <= whole.length) {
      causes.push(invalid(`${at}.except[${i}]`, text, `must be a strict subset of ${block.cidr}`));
    }
  });
}

function checkSelector(selector: unknown, at: string, causes: StatusCause[]): void {
  if (!isObject(selector)) return;
  for (const [key, value] of Object.entries(asObject(selector.matchLabels))) {
    const problem = labelProblem(key) ?? labelValueProblem(value);
    if (problem !== undefined) causes.push(invalid(`${at}.matchLabels`, key, problem));
  }
  asList(selector.matchExpressions).map(asObject).forEach(({ key, operator, values }, i) => {
    const field = `${at}.matchExpressions[${i}]`;
    const count = asList(values).length;
    if (!OPERATORS.includes(String(operator))) {
      causes.push(invalid(`${field}.operator`, operator, "not a valid selector operator"));
    } else if ((operator === "In" || operator === "NotIn") && count === 0) {
      causes.push(required(`${field}.values`, "must be given for In and NotIn"));
    } else if ((operator === "Exists" || operator === "DoesNotExist") && count > 0) {
      causes.push({
        field: `${field}.values`,
        reason: "FieldValueForbidden",
        message: "Forbidden: may not be given for Exists and DoesNotExist",
      });
    }
    const problem = labelProblem(String(key ?? ""));
    if (problem !== undefined) causes.push(invalid(`${field}.key`, key, problem));
  });
}

function isPortNumber(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= 65535;
}

function invalid(field: string, value: unknown, why: string): StatusCause {
  const message = `Invalid value: ${JSON.stringify(value)}: ${why}`;
  return { field, reason: "FieldValueInvalid", message };
}

function required(field: string, why: string): StatusCause {
  return { field, reason: "FieldValueRequired", message: `Required value: ${why}` };
}

function notSupported(field: string, value: unknown, known: readonly string[]): StatusCause {
  const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${
    known.map((it) => JSON.stringify(it)).join(", ")
  }`;
  return { field, reason: "FieldValueNotSupported", message };
}
