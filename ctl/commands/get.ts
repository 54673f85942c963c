/** `get KIND [NAME…]`: lists what there is. */

import type { Call, Command } from "../command.ts";
import { openCluster } from "../cluster/connection.ts";
import { CtlError } from "../error.ts";
import { matchesLabels } from "../../lib/model/labels.ts";
import { formatItems, parseOutput } from "../print/output.ts";
import { viewOf, VIEWS } from "../resource/kinds.ts";
import type { Item, View } from "../resource/view.ts";
import { parseSelector } from "../selector.ts";

const kinds = VIEWS.map((it) => `  ${it.words.join("|")}\n`).join("");

export const getCommand: Command = {
  name: "get",
  summary: "list workloadendpoints, nodes, profiles, policies, clusternetworkpolicies or ippools",
  help: `Usage: calyxctl get KIND [NAME…] [flags]

Kinds, in any case:
${kinds}
Flags:
  -o, --output FORMAT    ps, wide, yaml, json or custom-columns=A,B [default: ps]
  -A, --all-namespaces   every namespace, which is the default without -n
      --node NAME        only what is on this node
      --selector TEXT    only what has these labels, as kubectl writes them: app=web,tier!=db

Examples:
  calyxctl get workloadendpoints
  calyxctl get wep -n shop -o wide
  calyxctl get wep --node n1 -o custom-columns=WORKLOAD,NETWORKS
`,
  flags: {
    boolean: ["all-namespaces"],
    string: ["output", "node", "selector"],
    alias: { o: "output", A: "all-namespaces" },
  },
  run: async (call) => {
    const [word, ...names] = call.words;
    if (word === undefined) {
      const valid = VIEWS.map((it) => it.words[0]).join(", ");
      throw new CtlError(`Which kind? "calyxctl get KIND", with one of ${valid}`);
    }
    const view = viewOf(word);
    const output = parseOutput(call.flags.get("output") ?? "ps", view);
    const selector = parseSelector(call.flags.get("selector") ?? "");
    const node = call.flags.get("node");
    if (node !== undefined && !view.onNodes) {
      throw new CtlError(`A ${view.kind} is on no node: leave --node out`);
    }
    await using cluster = await openCluster(call);
    const namespace = view.namespaced ? namespaceOf(call) : undefined;
    const items = (await view.list(cluster, namespace)).filter((it) =>
      (node === undefined || it.node === node) && matchesLabels(selector, it.labels)
    );
    call.terminal.print(formatItems(pick(items, view, names), view, output));
  },
};

function namespaceOf({ flags }: Call): string | undefined {
  return flags.has("all-namespaces") ? undefined : flags.get("namespace");
}

/** Those that are named; all of them where no name is given. */
function pick(items: readonly Item[], view: View, names: readonly string[]): readonly Item[] {
  for (const name of names) {
    if (!items.some((it) => it.names.includes(name))) {
      throw new CtlError(`No ${view.kind} is named "${name}"`);
    }
  }
  if (names.length === 0) return items;
  return items.filter((it) => it.names.some((name) => names.includes(name)));
}
