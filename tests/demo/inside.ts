/** The demo's inside: runs in namespaces of its own, where this network namespace is the node. */

import { messageOf } from "../../lib/base/error.ts";
import { openApiServer } from "../../lib/credentials/api_server.ts";
import { startApiServer } from "../support/kubernetes/api_server/server.ts";
import { enterIsolation } from "../support/isolation/isolate.ts";
import { formatMatrix } from "../support/packet/reachability.ts";
import { openRelayPort } from "../support/kubernetes/relay.ts";
import { runScenario, type ScenarioResult } from "../support/node/scenario.ts";

enterIsolation();
const isJson = Deno.args.includes("--json");
const relay = Deno.args[Deno.args.indexOf("--relay") + 1];
Deno.exit(await main(Deno.args.includes("--relay") ? relay : undefined));

async function main(relayPath: string | undefined): Promise<number> {
  using port = relayPath === undefined ? undefined : openRelayPort(relayPath);
  await using small = port === undefined ? startApiServer() : undefined;
  const url = port?.url ?? small?.url ?? "";
  const environment = { K8S_API_ENDPOINT: url };
  await using api = await openApiServer({
    environment: { apiEndpoint: url },
    userAgent: "calyx-demo",
  });
  print(small === undefined ? "Using the cluster's API server" : "A small API server runs");
  let step = 0;
  try {
    const result = await runScenario({
      api: { fetch: (path, init) => api.fetch(path, init), environment },
      namespace: "calyx-demo",
      onStep: (title, detail) => print(`\n${++step}. ${title}\n${detail ? indent(detail) : ""}`),
    });
    if (isJson) write(JSON.stringify(result, null, 2));
    else printSummary(result);
    return result.right ? 0 : 1;
  } catch (error) {
    const message = messageOf(error);
    if (isJson) write(JSON.stringify({ right: false, error: message }, null, 2));
    else Deno.stderr.writeSync(new TextEncoder().encode(`demo: ${message}\n`));
    return 1;
  }
}

function printSummary(result: ScenarioResult): void {
  const ms = (value: number | undefined): string =>
    value === undefined ? "never" : `${value.toFixed(1)} ms`;
  print(`
Who reaches whom while the policy is in force (TCP over IPv4 and IPv6):

${indent(formatMatrix(result.during))}

calyxctl get workloadendpoints -o wide:

${indent(result.endpoints)}
policy event to first dropped packet    ${ms(result.denyMs)}
policy removed to first packet through  ${ms(result.allowMs)}
pods attached (calyx ADD)               ${result.addMs.map(ms).join(", ")}
pods detached (calyx DEL)               ${result.deleteMs.map(ms).join(", ")}
left on the node                        ${result.left.join(", ") || "nothing"}
${result.right ? "Every verdict as expected." : "A VERDICT IS WRONG: compare the tables above."}

Next: deno task demo --json for the same as data; deno task demo --kubeconfig ~/.kube/config for your
own cluster's API server; README.md, "Install", to enforce on real nodes.`);
}

function indent(text: string): string {
  return text.split("\n").map((line) => (line === "" ? line : `   ${line}`)).join("\n");
}

/** What a person follows; with --json there is one object only. */
function print(text: string): void {
  if (!isJson) write(text);
}

function write(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}
