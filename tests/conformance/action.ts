/**
 * What changes between the checks of Kubernetes' format, each an object with one field: `create` and
 * `update` of a policy of either kind, `delete` of one (`namespace/name`, or the name of a
 * ClusterNetworkPolicy), `deleteAllPolicies`, `setNamespaceLabel`, `addPodLabels`, `setPodLabels`,
 * `deletePod`, `deleteNamespace`. The tests of ClusterNetworkPolicy take them too, beside sentences.
 */

import type { CaseState } from "./case_state.ts";
import type { Json } from "./json.ts";

/** Does what `action` says. @throws {SyntaxError} naming it if it is not known, or cannot be */
export function act(state: CaseState, action: Json): void {
  for (const [name, it] of action.entries()) {
    const [first, second, third] = Array.isArray(it.value) ? it.list() : [];
    switch (name) {
      case "create":
      case "update":
        state.putPolicy(it, name === "create");
        break;
      case "delete":
        if (it.text().includes("/")) state.deletePolicy(it.text());
        else state.deleteClusterPolicy(it.text());
        break;
      case "deleteAllPolicies":
        state.deletePolicies();
        break;
      case "setNamespaceLabel":
        state.addNamespaceLabels(required(first, it).text(), {
          [required(second, it).text()]: required(third, it).text(),
        });
        break;
      case "addPodLabels":
        state.addPodLabels(required(first, it).text(), required(second, it).labels());
        break;
      case "setPodLabels":
        state.setPodLabels(required(first, it).text(), required(second, it).labels());
        break;
      case "deletePod":
        state.deletePod(it.text());
        break;
      case "deleteNamespace":
        state.deleteNamespace(it.text());
        break;
      default:
        throw new SyntaxError(`${action.path}: action "${name}" is not known`);
    }
  }
}

function required(item: Json | undefined, list: Json): Json {
  if (item === undefined) throw new SyntaxError(`${list.path}: more is expected`);
  return item;
}
