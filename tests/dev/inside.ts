/** The inside of `deno task dev`: this network namespace is the node. */

import { enterIsolation } from "../support/isolation/isolate.ts";
import { AGENT_SOCKET, isAgentReady } from "../support/node/agent_client.ts";
import { NODE_NAME, TestNode } from "../support/node/node.ts";
import { addressesOf, environmentOf } from "../support/plugin/call.ts";
import { TestContainer } from "../support/plugin/container.ts";
import { runProgram } from "../support/program/executable.ts";
import { until } from "../support/until.ts";

const ROOT = await Deno.realPath(`${import.meta.dirname}/../..`);
const FOLDER = "/run/calyx-dev";
const LOG = `${FOLDER}/agent.log`;
const KUBECONFIG = `${FOLDER}/kubeconfig`;

/** Each part from source, as if it were its executable. */
const PARTS = { "calyx": "cni", "calyx-agent": "agent", "calyxctl": "ctl" } as const;

/** What programs of ours need of the environment outside. */
const KEPT = ["HOME", "DENO_DIR", "TERM", "TMPDIR", "NO_COLOR"];

/** The plugin asks the agent for the node's pod CIDRs, and waits for each pod's policy. */
const CONFIGURATION = {
  cniVersion: "1.0.0",
  name: "calyx",
  type: "calyx",
  agent_socket: AGENT_SOCKET,
  policy_setup_timeout_seconds: 120,
  ipam: {
    type: "host-local",
    dataDir: `${FOLDER}/addresses`, // never the machine's own
    ranges: [[{ subnet: "usePodCidr" }], [{ subnet: "usePodCidrIPv6" }]],
  },
};

enterIsolation();
Deno.exit(await main(Deno.args));

async function main(command: readonly string[]): Promise<number> {
  const node = await TestNode.start({ agent: false });
  const env = await prepare(node.api.url);
  keepAgent(env);
  const isReady = (): Promise<boolean> => isAgentReady().catch(() => false);
  await until("the agent is ready", isReady, () => Deno.readTextFileSync(LOG));
  const lines: string[] = [];
  for (const name of ["client", "web"]) lines.push(await addPod(node, name, env));
  if (command.length === 0) print(describe(lines));
  return await runCommand(
    command.length === 0 ? [Deno.env.get("SHELL") ?? "/bin/sh"] : command,
    env,
  );
}

/** Makes the folder with kubeconfig and programs. @returns the variables of what runs in here */
async function prepare(server: string): Promise<Record<string, string>> {
  await Deno.mkdir(`${FOLDER}/bin`, { recursive: true });
  for (const [name, part] of Object.entries(PARTS)) {
    await writeScript(name, [Deno.execPath(), "run", "-A", `${ROOT}/main.ts`, part]);
  }
  await writeScript("restart-agent", ["sh", "-c", `kill "$(cat ${FOLDER}/agent.pid)"`]);
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "dev", cluster: { server } }],
    users: [{ name: "dev", user: {} }],
    contexts: [{ name: "dev", context: { cluster: "dev", user: "dev" } }],
    "current-context": "dev",
  };
  await Deno.writeTextFile(KUBECONFIG, JSON.stringify(config, undefined, 2) + "\n");
  const kept = KEPT.map((name) => [name, Deno.env.get(name)] as const)
    .filter((it): it is readonly [string, string] => it[1] !== undefined);
  return {
    ...Object.fromEntries(kept),
    PATH: `${FOLDER}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    KUBECONFIG,
  };
}

/** A program in PATH that is `words` with what it is given behind them. */
async function writeScript(name: string, words: readonly string[]): Promise<void> {
  const quoted = words.map((it) => `'${it.replaceAll("'", `'\\''`)}'`).join(" ");
  await Deno.writeTextFile(`${FOLDER}/bin/${name}`, `#!/bin/sh\nexec ${quoted} "$@"\n`);
  await Deno.chmod(`${FOLDER}/bin/${name}`, 0o755);
}

/** Runs the agent from source, and again when it ends: `restart-agent` brings what was changed. */
async function keepAgent(env: Readonly<Record<string, string>>): Promise<void> {
  using log = await Deno.open(LOG, { create: true, append: true });
  for (;;) {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", `${ROOT}/agent/main.ts`],
      env: { ...env, CALYX_NODE_NAME: NODE_NAME, CALYX_LOG_LEVEL: "debug" },
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    await Deno.writeTextFile(`${FOLDER}/agent.pid`, `${child.pid}\n`);
    await child.stderr.pipeTo(log.writable, { preventClose: true });
    await child.status;
  }
}

/** Makes a pod's object and attaches it. @returns one line about it */
async function addPod(
  node: TestNode,
  name: string,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  await node.createPod(name);
  const container = new TestContainer(`dev-${name}`, name); // goes with the namespaces
  const { code, stdout, stderr } = await runProgram(`${FOLDER}/bin/calyx`, {
    env: { ...env, ...environmentOf("ADD", container) },
    stdin: JSON.stringify(CONFIGURATION),
  });
  if (code !== 0) throw new Error(`calyx ADD of ${name}: ${stdout}${stderr}`);
  const addresses = addressesOf(JSON.parse(stdout));
  await node.setPodAddresses(name, addresses);
  return `${name.padEnd(8)} ${addresses.join(" ")}   ip netns exec ${container.netnsName} …`;
}

function pad(text: string): string {
  return text.padEnd(46);
}

function describe(pods: readonly string[]): string {
  return `An agent from source runs, with two pods of namespace default:

${pods.map((it) => `  ${it}`).join("\n")}

  ${pad(`export KUBECONFIG=${KUBECONFIG}`)} set in this shell
  ${pad("calyxctl get wep -o wide")} calyxctl from source
  ${pad("restart-agent")} after a change of the agent
  ${pad(`tail -f ${LOG}`)} its log, at level debug
  ${pad("nft list table inet calyx")} what the kernel has
  ${pad("exit")} ends all of it

`;
}

/** Runs a command, on the terminal where there is one; stdin is the isolation's own. */
async function runCommand(
  [program = "", ...args]: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<number> {
  const words = Deno.stdout.isTerminal()
    ? ["sh", "-c", 'exec "$@" </dev/tty', "sh", program, ...args]
    : [program, ...args];
  const [first = "", ...rest] = words;
  const { code } = await new Deno.Command(first, {
    args: rest,
    env: { ...env },
    clearEnv: true,
    cwd: ROOT,
    stdin: "null",
  }).spawn().status;
  return code;
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}
