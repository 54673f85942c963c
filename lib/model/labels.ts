/** Labels and label selectors, `metav1.LabelSelector` of the Kubernetes API. */

/** Labels of a pod, a namespace or a node. */
export type Labels = Readonly<Record<string, string>>;

/** One requirement; `matchLabels` entries are `In` with one value. */
export interface LabelRequirement {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values: readonly string[];
}

/** All requirements must hold; none at all selects everything. */
export type LabelSelector = readonly LabelRequirement[];

/** Whether `labels` satisfy every requirement; `NotIn` holds also where the key is absent. */
export function matchesLabels(selector: LabelSelector, labels: Labels): boolean {
  for (const { key, operator, values } of selector) {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    const holds = operator === "Exists"
      ? value !== undefined
      : operator === "DoesNotExist"
      ? value === undefined
      : operator === "In"
      ? value !== undefined && isAmong(values, value)
      : value === undefined || !isAmong(values, value);
    if (!holds) return false;
  }
  return true;
}

/** From how many values on a requirement is looked up rather than searched. */
const LOOKUP_VALUES_MIN = 16;
const lookups = new WeakMap<readonly string[], ReadonlySet<string>>();

/** A requirement may name as many values as fit an object, and is asked of every pod. */
function isAmong(values: readonly string[], value: string): boolean {
  if (values.length < LOOKUP_VALUES_MIN) return values.includes(value);
  let lookup = lookups.get(values);
  if (lookup === undefined) lookups.set(values, lookup = new Set(values));
  return lookup.has(value);
}

/**
 * Formats a selector as kubectl writes it (`app=web,tier in (a,b),!legacy`), in one canonical order,
 * so that selectors that say the same in another order have one text, and others another: sets are found
 * by it. What can be no label, though an API server let it through, is quoted. Empty: `<all>`.
 */
export function formatSelector(selector: LabelSelector): string {
  if (selector.length === 0) return "<all>";
  const terms = selector.map(({ key, operator, values }) => {
    const name = quote(key);
    const sorted = [...new Set(values)].sort().map(quote);
    if (operator === "Exists") return name;
    if (operator === "DoesNotExist") return `!${name}`;
    if (operator === "In" && sorted.length === 1) return `${name}=${sorted[0]}`;
    return `${name} ${operator === "In" ? "in" : "notin"} (${sorted.join(",")})`;
  });
  return [...new Set(terms)].sort().join(",");
}

function quote(text: string): string {
  return /^[A-Za-z0-9_./\-]*$/.test(text) ? text : JSON.stringify(text);
}
