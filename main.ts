/**
 * A signpost for development: runs one part from source, as if it were its executable.
 *
 *     deno run -A main.ts cni|agent|ctl …
 */

const PARTS = ["cni", "agent", "ctl"];

const [part = "", ...args] = Deno.args;
if (!PARTS.includes(part)) {
  const problem = part === "" ? "" : `Unknown part "${part}"\n`;
  const usage = `${problem}usage: deno run -A main.ts ${PARTS.join("|")} [argument…]\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(usage));
  Deno.exit(2);
}
const script = new URL(`${part}/main.ts`, import.meta.url).href;
const child = new Deno.Command(Deno.execPath(), { args: ["run", "-A", script, ...args] }).spawn();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  Deno.addSignalListener(signal, () => child.kill(signal)); // the part decides what they mean
}
Deno.exit((await child.status).code);
