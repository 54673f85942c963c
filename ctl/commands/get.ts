/** `get KIND [NAME…]`: lists objects. */

import { DatastoreError } from "../../lib/datastore/error.ts";
import { setting, type SettingTable } from "../../lib/settings/setting.ts";
import { switched, text } from "../../lib/settings/value_type.ts";
import { readFlag } from "../arguments.ts";
import { openCluster } from "../cluster/connection.ts";
import type { ClusterReader } from "../cluster/reader.ts";
import type { Call, Command } from "../command.ts";
import { readNamespace } from "../namespace.ts";
import { CtlError } from "../error.ts";
import { matchesLabels } from "../../lib/model/labels.ts";
import { formatItems, parseOutput, shows } from "../print/output.ts";
import { viewOf, VIEWS } from "../resource/kinds.ts";
import type { Item, ListQuery, View } from "../resource/view.ts";
import { parseSelector } from "../selector.ts";

const kinds = VIEWS.map((it) => `  ${it.words.join("|")}\n`).join("");

const FLAGS = {
  output: setting({
    flag: "output",
    letter: "o",
    type: text("FORMAT"),
    default: "ps",
    help: "ps, wide, yaml, json or custom-columns=A,B",
  }),
  allNamespaces: setting({
    flag: "all-namespaces",
    letter: "A",
    type: switched,
    default: false,
    help: "every namespace, which is the default without -n",
  }),
  node: setting({ flag: "node", type: text("NAME"), help: "only what is on this node" }),
  selector: setting({
    flag: "selector",
    type: text("TEXT"),
    help: "only what has these labels, as kubectl writes them: app=web,tier!=db",
  }),
} as const satisfies SettingTable;

export const getCommand: Command = {
  name: "get",
  summary: "list workloadendpoints, nodes, profiles, policies, clusternetworkpolicies or ippools",
  usage: "KIND [NAME…] [flags]",
  description: `Kinds, in any case:\n${kinds}`,
  flags: FLAGS,
  examples: [
    "calyxctl get workloadendpoints",
    "calyxctl get wep -n shop -o wide",
    "calyxctl get wep --node n1 -o custom-columns=WORKLOAD,NETWORKS",
  ],
  run: async (call) => {
    const [word, ...names] = call.words;
    if (word === undefined) {
      const valid = VIEWS.map((it) => it.words[0]).join(", ");
      throw new CtlError(`Which kind? "calyxctl get KIND", with one of ${valid}`);
    }
    const view = viewOf(word);
    const output = parseOutput(readFlag(FLAGS.output, call.flags), view);
    const selector = parseSelector(readFlag(FLAGS.selector, call.flags) ?? "");
    const node = readFlag(FLAGS.node, call.flags);
    if (node !== undefined && !view.onNodes) {
      throw new CtlError(`A ${view.kind} is on no node: leave --node out`);
    }
    const namespace = view.namespaced ? namespaceOf(call) : undefined;
    await using cluster = await openCluster(call);
    const query = { namespace, shows: (column: string) => shows(output, column) };
    const items = await listItems(view, cluster, query, names);
    const chosen = items.filter((it) =>
      (node === undefined || it.node === node) && matchesLabels(selector, it.labels)
    );
    call.terminal.print(formatItems(chosen, view, output));
  },
};

function namespaceOf({ flags }: Call): string | undefined {
  const namespace = readNamespace(flags);
  return readFlag(FLAGS.allNamespaces, flags) ? undefined : namespace;
}

/**
 * Those that are named, in the order of the names; all of them where no name is given. One that says
 * where it is costs a request for itself alone.
 */
async function listItems(
  view: View,
  reader: ClusterReader,
  query: ListQuery,
  names: readonly string[],
): Promise<readonly Item[]> {
  let all: Promise<readonly Item[]> | undefined;
  const listAll = (): Promise<readonly Item[]> => all ??= listOrExplain(view, reader, query);
  if (names.length === 0) return await listAll();
  const found = new Map<string, Item>();
  for (const name of names) {
    const items = await findItems(view, reader, query, name, listAll);
    if (items.length === 0) throw new CtlError(`No ${view.kind} is named "${name}"`);
    for (const it of items) found.set(`${it.node} ${it.names.join()}`, it);
  }
  return [...found.values()];
}

async function findItems(
  view: View,
  reader: ClusterReader,
  query: ListQuery,
  name: string,
  listAll: () => Promise<readonly Item[]>,
): Promise<readonly Item[]> {
  const isNamed = (it: Item): boolean => it.names.includes(name);
  for (const scope of view.scopesOf?.(name, query.namespace) ?? []) {
    const items = (await view.list(reader, { ...query, ...scope })).filter(isNamed);
    if (items.length > 0 || name.includes("/")) return items;
  }
  return (await listAll()).filter(isNamed);
}

/** Lists the objects; to a 403 on all namespaces it adds the remedy, since the user may be allowed to list one. */
async function listOrExplain(
  view: View,
  reader: ClusterReader,
  query: ListQuery,
): Promise<readonly Item[]> {
  try {
    return await view.list(reader, query);
  } catch (error) {
    const isForbidden = error instanceof DatastoreError && error.status === 403;
    if (!isForbidden || !view.namespaced || query.namespace !== undefined) throw error;
    throw new CtlError(`${error.message}; -n NAME asks for one namespace alone`, { cause: error });
  }
}
