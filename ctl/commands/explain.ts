/** `explain SOURCE DESTINATION[:PORT[/PROTOCOL]]`: what policy makes of a flow, and why. */

import { formatYaml } from "../../lib/base/yaml.ts";
import { openCluster } from "../cluster/connection.ts";
import { clusterOf, unreadOf } from "../cluster/manifest.ts";
import { readManifests } from "../cluster/manifest_files.ts";
import { type ReadCluster, readCluster } from "../cluster/reader.ts";
import { warnOf } from "../cluster/warning.ts";
import type { Call, Command } from "../command.ts";
import { CtlError } from "../error.ts";
import { parseSource, parseTarget } from "../explain/end.ts";
import { describeExplanation, explain, formatExplanation } from "../explain/explanation.ts";
import { flowsBetween, resolveParty } from "../explain/resolve.ts";
import { suggest } from "../suggest.ts";

const FORMATS = ["text", "yaml", "json"];

export const explainCommand: Command = {
  name: "explain",
  summary: "say whether policy allows a flow, by which rule, or why not",
  help: `Usage: calyxctl explain SOURCE DESTINATION[:PORT[/PROTOCOL]] [flags]

SOURCE and DESTINATION are namespace/pod, pod (of the namespace of -n), or an IP address. PORT is a
number or the name of a container's port; PROTOCOL is tcp, udp or sctp [default: tcp].

Flags:
  -f, --filename PATH   ask the manifests of a file, of a directory, or of stdin (-): no server
  -o, --output FORMAT   text, yaml or json [default: text]

Examples:
  calyxctl explain shop/client shop/web:80
  calyxctl explain -n shop client web:http
  calyxctl explain 192.0.2.7 shop/web:53/udp
  calyxctl explain -f manifests/ shop/client "[fd00::7]:443"
`,
  flags: { string: ["filename", "output"], alias: { f: "filename", o: "output" } },
  run: async (call) => {
    const output = parseOutput(call.flags.get("output") ?? "text");
    const [sourceText, targetText, ...rest] = call.words;
    if (sourceText === undefined || targetText === undefined || rest.length > 0) {
      throw new CtlError(
        'A flow has two ends: "calyxctl explain SOURCE DESTINATION[:PORT[/PROTOCOL]]"',
      );
    }
    const namespace = call.flags.get("namespace") ?? "default";
    const party = parseSource(sourceText, namespace);
    const target = parseTarget(targetText, namespace);
    const { cluster, unread } = await clusterFor(call, namespace);
    const source = resolveParty(cluster, party);
    const destination = resolveParty(cluster, target.party);
    const flows = flowsBetween(source, destination, target.port);
    const explanation = explain(cluster, source, destination, flows, unread);
    if (output === "text") return call.terminal.print(formatExplanation(cluster, explanation));
    const value = describeExplanation(explanation);
    call.terminal.print(
      output === "yaml" ? formatYaml(value) : JSON.stringify(value, null, 2) + "\n",
    );
  },
};

async function clusterFor(call: Call, namespace: string): Promise<ReadCluster> {
  const path = call.flags.get("filename");
  if (path !== undefined) {
    const objects = await readManifests(path, call.terminal);
    return { cluster: clusterOf(objects, namespace, warnOf(call)), unread: unreadOf(objects) };
  }
  await using connection = await openCluster(call);
  return await readCluster(connection);
}

function parseOutput(text: string): string {
  if (FORMATS.includes(text)) return text;
  throw new CtlError(
    `Unknown output format "${text}"${
      suggest(text, FORMATS) || `; valid are: ${FORMATS.join(", ")}`
    }`,
  );
}
