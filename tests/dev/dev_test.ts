import { assertEquals, assertMatch } from "@std/assert";
import { requireIsolation } from "../support/isolation/isolation.ts";
import { runProgram } from "../support/program/executable.ts";

const MAIN = `${import.meta.dirname}/main.ts`;

function runDev(...args: string[]): ReturnType<typeof runProgram> {
  const env = Object.fromEntries(
    ["HOME", "DENO_DIR", "CALYX_OUTSIDE_NAMESPACE"].map((it) => [it, Deno.env.get(it) ?? ""]),
  );
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  return runProgram(Deno.execPath(), {
    args: ["run", "-A", MAIN, ...args],
    env: { ...set, PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
  });
}

Deno.test("dev runs a command beside an agent from source and two attached pods", async () => {
  requireIsolation();
  // The agent is ended and comes back; the pods stay, and are listed by the kubeconfig that is set.
  const script = `before=$(cat /run/calyx-dev/agent.pid); restart-agent
    while [ "$before" = "$(cat /run/calyx-dev/agent.pid)" ]; do sleep 0.1; done
    calyxctl get wep; exit 7`;
  const { code, stdout, stderr } = await runDev("sh", "-c", script);
  assertEquals([code, stderr], [7, ""]);
  assertEquals(stdout.split("\n").filter((it) => /client|web/.test(it)).length, 2, stdout);
});

Deno.test("dev asks for a command where there is no terminal for a shell", async () => {
  const { code, stdout, stderr } = await runDev();
  assertEquals([code, stdout], [2, ""]);
  assertMatch(stderr, /^dev: There is no terminal for a shell: give a command/);
});
