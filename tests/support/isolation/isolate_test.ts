import { assertEquals } from "@std/assert";
import { findNamespaces } from "./isolate.ts";
import { sleep, until } from "../until.ts";

const FIXTURE = new URL("isolate_fixture.ts", import.meta.url).href;
const available = await findNamespaces().then(() => true, () => false);

/** Starts the fixture's outside; all that descends from it carries `mark` in its environment. */
function start(mark: string, command: readonly string[], stdout: "piped" | "null" = "piped") {
  const [program = "", ...args] = command;
  const env = { CALYX_TEST_MARK: mark };
  return new Deno.Command(program, { args, env, stdin: "null", stdout, stderr: "null" }).spawn();
}

function outside(...args: string[]): string[] {
  return [Deno.execPath(), "run", "-A", FIXTURE, "outside", ...args];
}

const READER = [Deno.execPath(), "run", "-A", FIXTURE, "reader"];

function kill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has ended
  }
}

/** Processes with `mark` in their environment, zombies left out. */
function findMarked(mark: string): string[] {
  const found = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (!Deno.readTextFileSync(`/proc/${name}/environ`).includes(mark)) continue;
      found.push(Deno.readTextFileSync(`/proc/${name}/cmdline`).replaceAll("\0", " "));
    } catch {
      continue; // it ended while we looked
    }
  }
  return found;
}

/** What the fixture's files would show in, had they been made outside. */
function findFiles(): string[] {
  return ["/run", Deno.env.get("TMPDIR") ?? "/tmp"].flatMap((folder) =>
    [...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`)
      .filter((it) => /linger|netns|\/run\/tmp/.test(it)).sort()
  );
}

/** Waits until nothing carries `mark`. */
async function untilNone(mark: string, what: string): Promise<void> {
  const left = (): string[] => findMarked(mark);
  await until(`nothing is left (${what})`, () => left().length === 0, () => left().join("\n"));
}

async function waitForLine(stream: ReadableStream<Uint8Array>, line: string): Promise<void> {
  let text = "";
  for await (const chunk of stream.values({ preventCancel: true })) {
    text += new TextDecoder().decode(chunk);
    if (text.includes(line)) return;
  }
  throw new Error(`The stream ended before "${line}": ${text}`);
}

Deno.test({
  name: "runIsolated() gives namespaces of its own and hands back the exit code",
  ignore: !available,
  fn: async () => {
    const child = start(crypto.randomUUID(), outside("report", "a b", "--flag"));
    const { code, stdout } = await child.output();
    assertEquals(JSON.parse(new TextDecoder().decode(stdout)), {
      inside: true,
      run: ["netns", "tmp"],
      temporary: true,
      interfaces: ["lo 127.0.0.1", "lo ::1"],
      arguments: ["a b", "--flag"],
    });
    assertEquals(code, 7);
  },
});

const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, SIGKILL: 137 } as const;
for (const [signal, expected] of Object.entries(signals)) {
  Deno.test({
    name: `runIsolated() leaves no process when its caller gets ${signal}`,
    ignore: !available,
    fn: async () => {
      const mark = crypto.randomUUID();
      const before = findFiles();
      const child = start(mark, outside("linger"));
      await waitForLine(child.stdout, "lingering");
      const sleepers = (): string[] => findMarked(mark).filter((it) => it.startsWith("sleep"));
      await until("the fixture's children run", () => sleepers().length >= 2);
      child.kill(signal as keyof typeof signals);
      const { code } = await child.status;
      await untilNone(mark, signal);
      assertEquals(code, expected);
      assertEquals(findFiles(), before);
      await child.stdout.cancel();
    },
  });
}

Deno.test({
  name: "runIsolated() takes a signal that comes again while the inside ends",
  ignore: !available,
  fn: async () => {
    const mark = crypto.randomUUID();
    const child = start(mark, [...READER, "linger"]);
    await waitForLine(child.stdout, "lingering");
    let hasEnded = false;
    const status = child.status.finally(() => hasEnded = true);
    while (!hasEnded) {
      for (let i = 0; i < 100; i++) kill(child, "SIGTERM");
      await sleep(0);
    }
    assertEquals((await status).code, 143);
    await untilNone(mark, "SIGTERM many times");
    await child.stdout.cancel();
  },
});

Deno.test({
  name: "runIsolated() leaves no process whenever its caller is killed",
  ignore: !available,
  fn: async () => {
    for (const delayMs of [0, 20, 40, 60, 80, 100, 120, 140, 160, 200, 250, 300, 400]) {
      const mark = crypto.randomUUID();
      const child = start(mark, outside("linger"), "null");
      await sleep(delayMs);
      child.kill("SIGKILL");
      await child.status;
      await untilNone(mark, `killed after ${delayMs} ms`);
    }
  },
});

Deno.test({
  name: "runIsolated() leaves no process when a program that only started its caller is killed",
  ignore: !available,
  fn: async () => {
    const mark = crypto.randomUUID();
    // Like `npx deno task`: a launcher, a shell that waits, and the caller.
    const command = outside("linger").map((it) => `'${it}'`).join(" ");
    const launch = `const [command] = Deno.args;
      new Deno.Command("sh", { args: ["-c", command + "; exit $?"] }).spawn();
      setInterval(() => {}, 1000);`;
    const file = await Deno.makeTempFile({ suffix: ".ts" });
    await Deno.writeTextFile(file, launch);
    const child = start(mark, [Deno.execPath(), "run", "-A", file, command]);
    await waitForLine(child.stdout, "lingering");
    child.kill("SIGKILL");
    await child.status;
    await untilNone(mark, "its launcher was killed");
    await child.stdout.cancel();
    await Deno.remove(file);
  },
});
