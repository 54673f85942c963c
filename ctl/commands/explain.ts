/** `explain SOURCE DESTINATION[:PORT[/PROTOCOL]]`: the verdict on a flow, and why. */

import { formatYaml } from "../../lib/base/yaml.ts";
import { readEach } from "../../lib/settings/read.ts";
import { setting, type SettingTable } from "../../lib/settings/setting.ts";
import { switched, text } from "../../lib/settings/value_type.ts";
import { readFlag } from "../arguments.ts";
import { openCluster } from "../cluster/connection.ts";
import { clusterOf } from "../cluster/manifest.ts";
import { readManifests } from "../cluster/manifest_files.ts";
import { type ReadCluster, readCluster } from "../cluster/reader.ts";
import { warnOf } from "../cluster/warning.ts";
import type { Call, Command } from "../command.ts";
import { CtlError } from "../error.ts";
import { parseSource, parseTarget, type Party } from "../explain/end.ts";
import { describeExplanation, explain, formatExplanation } from "../explain/explanation.ts";
import { flowsBetween, otherReplicaOf, resolveParty } from "../explain/resolve.ts";
import { readNamespace } from "../namespace.ts";
import { suggest } from "../suggest.ts";

const FORMATS = ["text", "yaml", "json"];

const FLAGS = {
  filename: setting({
    flag: "filename",
    letter: "f",
    isRepeated: true,
    type: text("PATH"),
    help: "ask the manifests of a file, a folder, or stdin (-); may be repeated, and all paths " +
      "count together",
  }),
  isRecursive: setting({
    flag: "recursive",
    letter: "R",
    type: switched,
    default: false,
    help: "read the folders within a folder too",
  }),
  output: setting({
    flag: "output",
    letter: "o",
    type: text("FORMAT"),
    default: "text",
    help: "text, yaml or json",
  }),
} as const satisfies SettingTable;

export const explainCommand: Command = {
  name: "explain",
  summary: "say whether policy allows a flow, by which rule, or why not",
  usage: "SOURCE DESTINATION[:PORT[/PROTOCOL]] [flags]",
  description:
    `SOURCE and DESTINATION are namespace/pod, pod (of the namespace of -n), or an IP address. PORT is a
number or the name of a container's port; PROTOCOL is tcp, udp or sctp [default: tcp].

With -f no server is asked. A Deployment and the like stand for the pods that they make, by name or as
deployment/name and namespace/deployment/name; to itself means: from one of its pods to another, where
it makes several. What the manifests have that looks like a policy and is not evaluated is named.

A verdict is what policy says. Which packets of a node pass policy by, only that node's agent knows: its
/readyz names the ways.
`,
  flags: FLAGS,
  examples: [
    "calyxctl explain shop/client shop/web:80",
    "calyxctl explain -n shop client web:http",
    "calyxctl explain 192.0.2.7 shop/web:53/udp",
    'calyxctl explain -f manifests/ shop/client "[fd00::7]:443"',
    "calyxctl explain -f policies/ -f app.yaml shop/deployment/web shop/db:5432",
  ],
  run: async (call) => {
    const output = parseOutput(readFlag(FLAGS.output, call.flags));
    const [sourceText, targetText, ...rest] = call.words;
    if (sourceText === undefined || targetText === undefined || rest.length > 0) {
      const isShellList = rest.length > 0 && readEach(FLAGS.filename, call.flags).length > 0;
      throw new CtlError(
        'A flow has two ends: "calyxctl explain SOURCE DESTINATION[:PORT[/PROTOCOL]]"' +
          (isShellList ? "; each file needs its own -f, or give their folder" : ""),
      );
    }
    const namespace = readNamespace(call.flags) ?? "default";
    const party = parseSource(sourceText, namespace);
    const target = parseTarget(targetText, namespace);
    const read = await clusterFor(call, namespace, [party, target.party]);
    const { cluster } = read;
    const source = resolveParty(read, party);
    const destination = otherReplicaOf(source, resolveParty(read, target.party));
    const flows = flowsBetween(source, destination, target.port);
    const explanation = explain(cluster, source, destination, flows, read);
    if (output === "text") return call.terminal.print(formatExplanation(cluster, explanation));
    const value = describeExplanation(explanation);
    call.terminal.print(
      output === "yaml" ? formatYaml(value) : JSON.stringify(value, null, 2) + "\n",
    );
  },
};

async function clusterFor(
  call: Call,
  namespace: string,
  parties: readonly Party[],
): Promise<ReadCluster> {
  const { flags, terminal } = call;
  const paths = readEach(FLAGS.filename, flags);
  if (paths.length > 0) {
    const warn = warnOf(call);
    const options = { isRecursive: readFlag(FLAGS.isRecursive, flags), terminal };
    const { objects, unread, skipped } = await readManifests(paths, options);
    const read = clusterOf(objects, namespace, warn);
    return {
      ...read,
      unread: [...unread, ...read.unread],
      notEvaluated: [...read.notEvaluated, ...skipped],
    };
  }
  await using connection = await openCluster(call);
  return await readCluster(connection, {
    namespaces: [...new Set(parties.flatMap((it) => it.kind === "pod" ? [it.namespace] : []))],
    isBetweenPods: parties.every((it) => it.kind === "pod"),
  });
}

function parseOutput(text: string): string {
  if (FORMATS.includes(text)) return text;
  throw new CtlError(
    `Unknown output format "${text}"${
      suggest(text, FORMATS) || `; valid are: ${FORMATS.join(", ")}`
    }`,
  );
}
