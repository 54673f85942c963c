/** `--selector`: label selectors as kubectl writes them; `formatSelector()` writes them back. */

import type { LabelRequirement, LabelSelector } from "../lib/model/labels.ts";
import { CtlError } from "./error.ts";

const KEY = /^[A-Za-z0-9]([\w./-]*[A-Za-z0-9])?$/;
const VALUE = /^([A-Za-z0-9]([\w.-]*[A-Za-z0-9])?)?$/;

/**
 * Parses `app=web,tier!=db,env in (a,b),x notin (c),has-key,!lacks-key`; empty selects everything.
 *
 * @throws {CtlError} naming the term that is malformed
 */
export function parseSelector(text: string): LabelSelector {
  if (text.trim() === "") return [];
  return text.split(/,(?![^(]*\))/).map((it) => parseTerm(it.trim()));
}

function parseTerm(term: string): LabelRequirement {
  const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(term);
  if (set !== null) {
    const [, key = "", operator, list = ""] = set;
    const values = list.split(",").map((it) => it.trim());
    return check(term, { key, operator: operator === "in" ? "In" : "NotIn", values });
  }
  const equality = /^([^=!\s]+)\s*(==?|!=)\s*(\S*)$/.exec(term);
  if (equality !== null) {
    const [, key = "", operator, value = ""] = equality;
    return check(term, { key, operator: operator === "!=" ? "NotIn" : "In", values: [value] });
  }
  const [, not, key = ""] = /^(!?)\s*(\S+)$/.exec(term) ?? [];
  return check(term, { key, operator: not === "!" ? "DoesNotExist" : "Exists", values: [] });
}

function check(term: string, requirement: LabelRequirement): LabelRequirement {
  const valid = KEY.test(requirement.key) && requirement.values.every((it) => VALUE.test(it));
  if (!valid) {
    throw new CtlError(`Cannot read "${term}" in the selector: write app=web or "tier in (a,b)"`);
  }
  return requirement;
}
