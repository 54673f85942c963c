import { assertEquals } from "@std/assert";
import { findNamespaces } from "./isolate.ts";

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

/** Waits until nothing carries `mark`. @returns what still does after five seconds */
async function waitForNone(mark: string): Promise<string[]> {
  for (let i = 0; i < 50; i++) {
    if (findMarked(mark).length === 0) return [];
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return findMarked(mark);
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
      while (findMarked(mark).filter((it) => it.startsWith("sleep")).length < 2) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      child.kill(signal as keyof typeof signals);
      const { code } = await child.status;
      assertEquals(await waitForNone(mark), []);
      assertEquals(code, expected);
      assertEquals(findFiles(), before);
      await child.stdout.cancel();
    },
  });
}

Deno.test({
  name: "runIsolated() leaves no process whenever its caller is killed",
  ignore: !available,
  fn: async () => {
    for (const delayMs of [0, 20, 40, 60, 80, 100, 120, 140, 160, 200, 250, 300, 400]) {
      const mark = crypto.randomUUID();
      const child = start(mark, outside("linger"), "null");
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      child.kill("SIGKILL");
      await child.status;
      assertEquals(await waitForNone(mark), [], `killed after ${delayMs} ms`);
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
    assertEquals(await waitForNone(mark), []);
    await child.stdout.cancel();
    await Deno.remove(file);
  },
});
