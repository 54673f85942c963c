/**
 * Runs in the machine: each group of the job as the suite's inside part, one after the other, with what
 * they print on stdout and an event ({@link formatEvent}) around each.
 */

import { runIsolated } from "../support/isolation/isolate.ts";
import { type Event, formatEvent, type Group, type Job, JOB_PATH, LACKS } from "./job.ts";

/** Where modprobe(8), which the kernel calls for a module, reads what not to load. */
const MODPROBE_FILE = "/etc/modprobe.d/calyx-test.conf";

const job: Job = JSON.parse(await Deno.readTextFile(JOB_PATH));
say({ kind: "up", release: Deno.osRelease() });
for (const group of job.groups) await runGroup(group);
say({ kind: "done" });

async function runGroup(group: Group): Promise<void> {
  say({ kind: "begin", group: group.name });
  const startMs = performance.now();
  await Deno.mkdir("/etc/modprobe.d", { recursive: true });
  const lines = (group.without ?? []).map((it) => `install ${it} /bin/false\n`);
  await Deno.writeTextFile(MODPROBE_FILE, lines.join(""));
  for (const module of group.modules ?? []) {
    await new Deno.Command("modprobe", { args: [module], stdin: "null" }).output();
  }
  const code = await test(group);
  const seconds = Math.round((performance.now() - startMs) / 1000);
  say({ kind: "end", group: group.name, code, seconds });
}

/** @returns undefined when the group was stopped, because its time was over */
async function test({ files, flags = [], without, seconds }: Group): Promise<number | undefined> {
  const suite = new URL("../support/runner/suite.ts", import.meta.url);
  const signal = AbortSignal.timeout(seconds * 1000);
  const code = await runIsolated(suite, [...flags, ...files], {
    env: { ...job.env, ...(without === undefined ? {} : { [LACKS]: without.join(" ") }) },
    onOutput: print,
    signal,
  });
  return signal.aborted ? undefined : code;
}

function say(event: Event): void {
  print(new TextEncoder().encode(`${formatEvent(event)}\n`));
}

function print(bytes: Uint8Array): void {
  for (let sent = 0; sent < bytes.length;) sent += Deno.stdout.writeSync(bytes.subarray(sent));
}
