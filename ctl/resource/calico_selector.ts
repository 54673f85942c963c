/**
 * Label selectors in Calico's language: `app == 'web' && tier in { 'a', 'b' } && ! has(legacy)`.
 */

import type { LabelSelector } from "../../lib/model/labels.ts";
import { NAMESPACE_LABEL } from "../../lib/model/workload_endpoint.ts";
import { NAMESPACE_LABEL_PREFIX } from "./profile.ts";

/**
 * The endpoints of `namespace` (a name), of the namespaces that a selector selects, or (undefined)
 * of any, whose pods `podSelector` selects.
 */
export function formatCalicoSelector(
  namespace: string | LabelSelector | undefined,
  podSelector: LabelSelector,
): string {
  const terms = typeof namespace === "string"
    ? [`${NAMESPACE_LABEL} == ${quote(namespace)}`]
    : formatTerms(namespace ?? [], NAMESPACE_LABEL_PREFIX);
  terms.push(...formatTerms(podSelector, ""));
  // An empty selector would match more than pods.
  return terms.length === 0 ? `has(${NAMESPACE_LABEL})` : terms.join(" && ");
}

function formatTerms(selector: LabelSelector, prefix: string): string[] {
  const terms = selector.map(({ key, operator, values }) => {
    const label = prefix + key;
    if (operator === "Exists") return `has(${label})`;
    if (operator === "DoesNotExist") return `! has(${label})`;
    const list = [...new Set(values)].sort().map(quote);
    if (operator === "In" && list.length === 1) return `${label} == ${list[0]}`;
    return `${label} ${operator === "In" ? "in" : "not in"} { ${list.join(", ")} }`;
  });
  return [...new Set(terms)].sort();
}

/** Label values and namespace names hold no quotes. */
function quote(text: string): string {
  return `'${text}'`;
}
