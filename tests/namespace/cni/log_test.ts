/**
 * The plugin's log: one JSON line an event, in the file that is configured and on stderr, never on
 * stdout, bounded, whole with many plugins at once, and never a reason for a call to fail.
 */

import { assert, assertEquals } from "@std/assert";
import { libc } from "../../../lib/kernel/symbols.ts";
import { addressesOf, callPlugin, type Fields } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { type Container, TestContainer } from "../../support/plugin/container.ts";
import { DIST } from "../../support/program/executable.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";
const TRACEPARENT = `00-${TRACE}-${SPAN}-01`;
const NO_CONTAINER: Container = { containerId: "c1", path: "/run/netns/none" };
const MEBIBYTE = 1 << 20;

/** A folder for a log, until it is disposed of. */
class LogFolder implements Disposable {
  readonly folder: string = Deno.makeTempDirSync({ dir: "/run" });
  readonly path: string = `${this.folder}/deep/cni.log`;

  [Symbol.dispose](): void {
    Deno.removeSync(this.folder, { recursive: true });
  }

  /** The log's files, by name. */
  get files(): string[] {
    return [...Deno.readDirSync(`${this.folder}/deep`)].map((it) => it.name).sort();
  }

  /** Permissions of the file that is written. */
  get mode(): number {
    return (Deno.statSync(this.path).mode ?? 0) & 0o777;
  }

  /** The events of one of the files. */
  events(suffix = ""): Fields[] {
    return parseLines(Deno.readTextFileSync(this.path + suffix));
  }

  /** Fills one of the files. */
  write(text: string, suffix = ""): void {
    Deno.mkdirSync(`${this.folder}/deep`, { recursive: true });
    Deno.writeTextFileSync(this.path + suffix, text);
  }
}

function parseLines(text: string): Fields[] {
  if (text === "") return [];
  assertEquals(text.at(-1), "\n", "the last line is whole");
  return text.trimEnd().split("\n").map((it) => JSON.parse(it));
}

/** An event without what differs from run to run. */
function stable({ time, durationMs, ...fields }: Fields): Fields {
  assert(typeof time === "string" && !Number.isNaN(Date.parse(time)));
  assert(durationMs === undefined || typeof durationMs === "number");
  return fields;
}

Deno.test("calyx logs every call to the file, and on stderr what went wrong", async () => {
  requireIsolation();
  using log = new LogFolder();
  using network = new CniNetwork({ log_file_path: log.path });
  using container = new TestContainer("c1");
  const call = { containerId: "c1", ifname: "eth0", traceId: TRACE, spanId: SPAN, network: "net1" };
  const env = { TRACEPARENT };
  const added = await network.call("ADD", container, { env });
  const failed = await network.call("ADD", container, { env });
  const deleted = await network.call("DEL", container, { env });
  assertEquals([added.stderr, deleted.stderr], ["", ""]);
  const failure = {
    level: "error",
    message: "call failed",
    command: "ADD",
    ...call,
    code: 101,
    error: "Interface eth0 exists in the container already",
    details: "CNI_IFNAME has to be free; DEL comes before a second ADD",
  };
  assertEquals(parseLines(failed.stderr).map(stable), [failure]);
  assertEquals(log.events().map(stable), [
    { level: "info", message: "call served", command: "ADD", ...call },
    failure,
    { level: "info", message: "call served", command: "DEL", ...call },
  ]);
  assertEquals(log.mode, 0o600);
  assertEquals(added.stdout, JSON.stringify(added.answer, undefined, 4) + "\n");
});

Deno.test("calyx logs as much as log_level says, in both places, and only proper traces", async () => {
  requireIsolation();
  const expected: Readonly<Record<string, readonly string[]>> = {
    debug: ["info call served", "warn call failed"],
    info: ["info call served", "warn call failed"],
    Warning: ["warn call failed"],
    ERROR: [],
  };
  for (const [log_level, lines] of Object.entries(expected)) {
    using log = new LogFolder();
    using network = new CniNetwork({ log_file_path: log.path, log_level });
    const env = { TRACEPARENT: TRACEPARENT.toUpperCase() };
    const results = [
      await network.call("STATUS", NO_CONTAINER, { env }),
      await network.call("STATUS", NO_CONTAINER, {
        env,
        fields: { agent_socket: "/run/none.sock" },
      }),
    ];
    assertEquals(results.map((it) => it.code), [0, 1]);
    const stderr = results.map((it) => it.stderr).join("");
    assertEquals(parseLines(stderr).map(stable), log.events().map(stable));
    assertEquals(log.events().map((it) => `${it.level} ${it.message}`), lines, log_level);
    assertEquals(log.events().filter((it) => "traceId" in it || "spanId" in it), []);
  }
});

Deno.test("calyx renames a full log, keeps so many, and none that is too old", async () => {
  requireIsolation();
  using log = new LogFolder();
  const bounds = { log_file_max_size: 1, log_file_max_count: 3, log_file_max_age: 2 };
  using network = new CniNetwork({ log_file_path: log.path, ...bounds });
  const line = JSON.stringify({ old: "x".repeat(1000) }) + "\n";
  const full = line.repeat(Math.ceil(MEBIBYTE / line.length));
  log.write(line);
  await network.call("STATUS", NO_CONTAINER);
  assertEquals([log.files, log.events().length], [["cni.log"], 2], "room is left");
  for (let round = 1; round <= 5; round++) {
    log.write(full + JSON.stringify({ round }) + "\n");
    await network.call("STATUS", NO_CONTAINER);
    assertEquals(log.events().map((it) => it.message), ["call served"], `round ${round}`);
    assertEquals(log.events(".1").at(-1), { round });
    assertEquals(log.mode, 0o600);
  }
  assertEquals(log.files, ["cni.log", "cni.log.1", "cni.log.2", "cni.log.3"]);
  assertEquals([2, 3].map((it) => log.events(`.${it}`).at(-1)), [{ round: 4 }, { round: 3 }]);
  const threeDaysAgo = Date.now() / 1000 - 3 * 86_400;
  for (const suffix of [".1", ".2"]) {
    await Deno.utime(log.path + suffix, threeDaysAgo, threeDaysAgo);
  }
  log.write(full);
  await network.call("STATUS", NO_CONTAINER);
  assertEquals(log.files, ["cni.log", "cni.log.1", "cni.log.3"], "3 is the one from before");
  log.write(full);
  // 0 is Calico's word for its own number, and a large one costs nothing.
  const unsaid = { log_file_max_count: 0, log_file_max_age: 0 };
  await network.call("STATUS", NO_CONTAINER, { fields: unsaid });
  assertEquals(log.files, ["cni.log", "cni.log.1", "cni.log.2", "cni.log.3"]);
  log.write(full);
  await network.call("STATUS", NO_CONTAINER, {
    fields: { log_file_max_count: Number.MAX_SAFE_INTEGER },
  });
  assertEquals(log.files, ["cni.log", ...[1, 2, 3, 4].map((it) => `cni.log.${it}`)]);
  assertEquals(log.events().map((it) => it.message), ["call served"]);
});

Deno.test("calyx loses no line when many calls find the log full", async () => {
  requireIsolation();
  using log = new LogFolder();
  const bounds = { log_file_max_size: 1, log_file_max_count: 3 };
  using network = new CniNetwork({ log_file_path: log.path, ...bounds });
  const line = JSON.stringify({ old: "x".repeat(1000) }) + "\n";
  const count = Math.ceil(MEBIBYTE / line.length);
  log.write(line.repeat(count));
  const ids = Array.from({ length: 16 }, (_, index) => `c${index}`);
  const results = await Promise.all(
    ids.map((containerId) => network.call("DEL", { ...NO_CONTAINER, containerId })),
  );
  assertEquals(results.map((it) => it.code), ids.map(() => 0));
  const events = log.files.flatMap((it) => log.events(it.slice("cni.log".length)));
  assertEquals(log.files.slice(0, 2), ["cni.log", "cni.log.1"]);
  assertEquals(events.filter((it) => "old" in it).length, count);
  assertEquals(
    events.filter((it) => it.message === "call served").map((it) => it.containerId).sort(),
    [...ids].sort(),
  );
});

Deno.test("calyx serves calls whose log cannot be written, and says so on stderr", async () => {
  requireIsolation();
  using log = new LogFolder();
  log.write("");
  await Deno.mkdir(`${log.folder}/folder`);
  await new Deno.Command("mkfifo", { args: [`${log.folder}/pipe`] }).output();
  await Deno.symlink(`${log.folder}/loop`, `${log.folder}/loop`);
  const paths = ["folder", "pipe", "loop", "deep/cni.log/below"].map((it) => `${log.folder}/${it}`)
    .concat("/proc/self/nothing", "/dev/full", "/dev/stdout", "/proc/self/fd/1");
  for (const log_file_path of paths) {
    using network = new CniNetwork({ log_file_path });
    using container = new TestContainer("c1");
    const { code, answer, stderr } = await network.call("ADD", container);
    assertEquals([code, addressesOf(answer).length], [0, 2], log_file_path);
    const warnings = parseLines(stderr).map((it) => [it.level, it.message, it.path]);
    assertEquals(warnings, [["warn", "log file cannot be written", log_file_path]]);
    assertEquals((await network.call("DEL", container)).code, 0);
  }
  // A path that is nonsense counts as none where only something is taken away.
  using network = new CniNetwork({ log_file_path: 1, log_level: ["x"] });
  const { code, stdout, stderr } = await network.call("DEL", NO_CONTAINER);
  assertEquals([code, stdout, stderr], [0, "", ""]);
});

Deno.test("calyx writes its log to no file of another user, and follows no link of another user", async () => {
  requireIsolation();
  using log = new LogFolder();
  const victim = `${log.folder}/victim`;
  const [file, link, own] = ["file", "link", "own"].map((it) => `${log.folder}/${it}`);
  await Deno.writeTextFile(victim, "");
  await Deno.writeTextFile(`${file}`, "");
  for (const it of [link, own]) await Deno.symlink(victim, `${it}`);
  const chown = new Deno.Command("chown", { args: ["-h", "1:1", `${file}`, `${link}`] });
  const cases: (readonly [string | undefined, boolean])[] = [[own, true]];
  // In the user namespace of an ordinary user there is no other user to chown(1) to.
  if ((await chown.output()).success) cases.push([file, false], [link, false]);
  for (const [log_file_path, isWritten] of cases) {
    await Deno.writeTextFile(victim, "");
    using network = new CniNetwork({ log_file_path });
    const { code, stderr } = await network.call("STATUS", NO_CONTAINER);
    assertEquals([code, stderr.includes("log file cannot be written")], [0, !isWritten]);
    assertEquals((await Deno.readTextFile(`${log_file_path}`)).length > 0, isWritten);
  }
});

Deno.test("calyx serves calls whose stderr is closed or full", async () => {
  requireIsolation();
  using network = new CniNetwork({ log_level: "debug", agent_socket: "/run/none.sock" });
  for (const redirection of ["2>&-", "2>/dev/full"]) {
    const command = network.environment("STATUS", NO_CONTAINER);
    const child = new Deno.Command("sh", {
      args: ["-c", `exec "$0" ${redirection}`, `${DIST}/calyx`],
      env: command,
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(JSON.stringify(network.configuration())));
    await writer.close();
    const { code, stdout } = await child.output();
    assertEquals(code, 1, redirection);
    assertEquals(JSON.parse(new TextDecoder().decode(stdout)).code, 50, redirection);
  }
  const about = await callPlugin(undefined, { env: {}, stdin: "" });
  assertEquals([about.code, about.stdout], [0, ""]);
});
