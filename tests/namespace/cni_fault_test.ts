/**
 * The compiled plugin when things go wrong: killed before every single change that it makes, with a
 * disk that is full, read-only or corrupted, with a namespace or an agent that goes away, and with
 * others at the same time. After a retry nothing is left, and nothing of another pod is lost.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  addressesOf,
  type CniAnswer,
  CniNetwork,
  type CniOutcome,
  type Container,
  type Fields,
  TestContainer,
} from "../support/cni_network.ts";
import {
  callHere,
  expectedOf,
  readNode,
  StubAgent,
  validAttachments,
} from "../support/cni_node.ts";
import { cString } from "../../lib/kernel/descriptor.ts";
import { check } from "../../lib/kernel/errno.ts";
import { unmount } from "../../lib/kernel/mount.ts";
import { createNamespace, deleteNamespace } from "../../lib/kernel/namespace.ts";
import { libc } from "../../lib/kernel/symbols.ts";
import { DIST } from "../support/executable.ts";
import { requireIsolation } from "../support/isolation.ts";
import { programTest } from "../support/program.ts";

/** Calls to the kernel that change something, or find out what to change. */
const CHANGES = [
  ...["openat", "write", "ftruncate", "utimensat", "mkdir", "unlink", "rmdir"],
  ...["socket", "connect", "sendto", "sendmsg", "setns"],
].join(",");

/** A network with an agent, and one pod that must not be harmed. */
class Scene implements AsyncDisposable {
  readonly agent = new StubAgent();
  readonly network = new CniNetwork({ agent_socket: this.agent.path, mtu: 1400 });
  readonly bystander = new TestContainer("bystander");
  #expected: readonly string[] = [];

  static async open(): Promise<Scene> {
    const scene = new Scene();
    scene.#expected = expectedOf(scene.bystander, await scene.add(scene.bystander)).sort();
    scene.assertClean("the scene");
    return scene;
  }

  /** ADD within this process, which must succeed. */
  async add(container: Container): Promise<CniAnswer> {
    const { code, answer } = await this.call("ADD", container);
    assertEquals(code, 0, JSON.stringify(answer));
    return answer;
  }

  async call(
    command: string,
    container: Container,
    fields?: Fields,
  ): Promise<{ readonly code: number; readonly answer: CniAnswer }> {
    return await callHere(this.network, command, container, fields);
  }

  /** GC that knows of nobody but the bystander. */
  async collect(): Promise<void> {
    const { code, answer } = await this.call(
      "GC",
      this.bystander,
      validAttachments(this.bystander),
    );
    assertEquals(code, 0, JSON.stringify(answer));
  }

  /** Asserts that there is the bystander, whole, and nothing else. */
  assertClean(what: string): void {
    assertEquals(readNode(this.network), this.#expected, what);
    assertEquals([...this.agent.known], [this.bystander.containerId], what);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.call("GC", this.bystander, validAttachments());
    this.bystander[Symbol.dispose]();
    this.network[Symbol.dispose]();
    await this.agent[Symbol.asyncDispose]();
  }
}

/** Runs the compiled plugin under strace(1). */
async function trace(
  { network, bystander }: Scene,
  command: string,
  container: Container,
  options: readonly string[],
): Promise<Deno.CommandStatus> {
  const child = new Deno.Command("strace", {
    args: ["-f", "-qq", "-e", `trace=${CHANGES}`, ...options, `${DIST}/calyx`],
    env: { ...network.environment(command, container) },
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  const fields = command === "GC" ? validAttachments(bystander) : {};
  const bytes = new TextEncoder().encode(JSON.stringify(network.configuration(fields)));
  await writer.write(bytes).then(() => writer.close()).catch(() => {}); // killed before it read
  return await child.status;
}

/** One change of a call: the nth call of this name to the kernel, as strace counts. */
interface Change {
  readonly name: string;
  readonly nth: number;
}

/** The changes of a call, without those that the runtime makes before it comes to our program. */
async function listChanges(
  scene: Scene,
  command: string,
  container: Container,
): Promise<readonly Change[]> {
  const path = `${scene.network.dataDir}/trace`;
  await trace(scene, command, container, ["-o", path]);
  const lines = (await Deno.readTextFile(path)).split("\n").filter((it) => /^\d+ +\w+\(/.test(it));
  const [main] = lines[0]?.split(" ") ?? []; // all of ours are on the main thread
  const counts = new Map<string, number>();
  const changes: Change[] = [];
  let isOurs = false;
  for (const line of lines.filter((it) => it.startsWith(`${main} `))) {
    const [, name = ""] = /(\w+)\(/.exec(line) ?? [];
    const nth = (counts.get(name) ?? 0) + 1;
    counts.set(name, nth);
    isOurs ||= line.includes("NETLINK_ROUTE");
    if (isOurs) changes.push({ name, nth });
  }
  return changes;
}

/** One command, killed before its every change. */
interface Walk {
  readonly command: "ADD" | "DEL" | "GC";
  /** What comes before the call. */
  readonly prepare?: (container: Container) => Promise<void>;
  /** What comes after the kill, in turn. */
  readonly retries: readonly ((container: Container) => Promise<void>)[];
}

/** Returns how often it was killed, of how many changes. */
async function walk(
  scene: Scene,
  { command, prepare, retries }: Walk,
): Promise<{ readonly killed: number; readonly changes: number }> {
  using first = new TestContainer(`${command.toLowerCase()}-untouched`);
  await prepare?.(first);
  const changes = await listChanges(scene, command, first);
  await scene.call("DEL", first);
  scene.assertClean("untouched");
  let killed = 0;
  for (const [index, { name, nth }] of changes.entries()) {
    using container = new TestContainer(`${command.toLowerCase()}-${index}`);
    await prepare?.(container);
    const inject = `inject=${name}:signal=KILL:when=${nth}`;
    const { signal } = await trace(scene, command, container, ["-o", "/dev/null", "-e", inject]);
    if (signal === "SIGKILL") killed++;
    const what = `${command} killed at change ${index} of ${changes.length}: ${name} ${nth}`;
    const retry = retries[index % retries.length];
    await retry?.(container);
    scene.assertClean(what);
    assertEquals(container.links, ["lo"], what);
  }
  return { killed, changes: changes.length };
}

programTest("calyx ADD, killed before any change, leaves nothing", ["strace"], async () => {
  requireIsolation();
  await using scene = await Scene.open();
  const del = async (container: Container): Promise<void> => {
    assertEquals((await scene.call("DEL", container)).code, 0);
  };
  const { killed, changes } = await walk(scene, {
    command: "ADD",
    // The agent refuses, so that what is undone is interrupted too.
    prepare: () => {
      scene.agent.answer = 504;
      return Promise.resolve();
    },
    retries: [
      del,
      async (container) => {
        scene.agent.answer = 200;
        const { code, answer } = await scene.call("ADD", container);
        if (code !== 0) assertMatch(answer.msg ?? "", /duplicate allocation|eth0 exists/);
        await del(container);
      },
      () => scene.collect(),
    ],
  });
  assert(changes > 60 && killed > changes * 0.9, `${killed} kills at ${changes} changes`);
});

programTest(
  "calyx DEL and GC, killed before any change, are done by the next",
  ["strace"],
  async () => {
    requireIsolation();
    await using scene = await Scene.open();
    const prepare = async (container: Container): Promise<void> => {
      await scene.add(container);
    };
    const retries = [
      async (container: Container): Promise<void> => {
        assertEquals((await scene.call("DEL", container)).code, 0);
      },
      () => scene.collect(),
    ];
    for (const command of ["DEL", "GC"] as const) {
      const { killed, changes } = await walk(scene, { command, prepare, retries });
      assert(changes > 12 && killed > changes * 0.9, `${killed} kills at ${changes} changes`);
    }
  },
);

/** <linux/mount.h>. */
const MS_RDONLY = 1n;
const MS_REMOUNT = 32n;

/** A disk of its own for a network's reservations: a small tmpfs. */
class SmallDisk implements Disposable {
  readonly #path: string;
  readonly #options: string;

  constructor({ dataDir }: CniNetwork, options: string) {
    this.#path = dataDir;
    this.#options = options;
    this.#mount(0n);
  }

  makeReadOnly(): void {
    this.#mount(MS_REMOUNT | MS_RDONLY);
  }

  makeWritable(): void {
    this.#mount(MS_REMOUNT);
  }

  #mount(flags: bigint): void {
    const [type, path, options] = ["tmpfs", this.#path, this.#options].map(cString);
    if (type === undefined || path === undefined || options === undefined) return;
    check("mount a small disk", libc().mount(type, path, type, flags, options));
  }

  [Symbol.dispose](): void {
    unmount(this.#path);
  }
}

function failureOf({ code, answer, stderr }: CniOutcome): string {
  return `${code} ${answer.code} ${answer.msg} ${stderr}`;
}

Deno.test("calyx ADD takes all back when the disk is full, and DEL works there", async () => {
  requireIsolation();
  let refused = 0;
  for (const size of [1, 2, 3, 4, 5, 6, 7, 8, 9]) {
    using network = new CniNetwork();
    // Each file takes one inode, and a page when something is in it.
    using _disk = new SmallDisk(
      network,
      size % 2 === 0 ? `size=${size * 4}k` : `nr_inodes=${size}`,
    );
    using containers = new DisposableStack();
    const added: Container[] = [];
    let expected: string[] = [];
    for (let index = 0; index < 5; index++) {
      const container = containers.use(new TestContainer(`full-${size}-${index}`));
      const outcome = await network.call("ADD", container);
      if (outcome.code === 0) {
        added.push(container);
        expected = [...expected, ...expectedOf(container, outcome.answer)].sort();
      } else {
        refused++;
        assertMatch(failureOf(outcome), /^1 5 Cannot keep reservations in .*No space left/);
        assertEquals(container.links, ["lo"]);
      }
      assertEquals(readNode(network), expected, `size ${size}, ADD ${index}`);
      if (outcome.code !== 0) break;
    }
    for (const container of added) {
      const outcome = await network.call("DEL", container);
      assertEquals(outcome.code, 0, failureOf(outcome));
    }
    assertEquals(readNode(network), []);
  }
  assert(refused >= 5, `${refused} refused`);
});

Deno.test("calyx says that the disk is read-only, and DEL finishes when it is no more", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using disk = new SmallDisk(network, "size=1m");
  using a = new TestContainer("a");
  using b = new TestContainer("b");
  await network.add(a);
  const before = readNode(network);
  disk.makeReadOnly();
  const added = await network.call("ADD", b);
  assertMatch(failureOf(added), /^1 5 Cannot keep reservations in .*Read-only file system/);
  assertEquals(readNode(network), before);
  assertEquals((await network.call("DEL", b)).code, 0); // it has nothing
  const deleted = await network.call("DEL", a);
  assertMatch(failureOf(deleted), /^1 5 Cannot keep reservations in .*Read-only file system/);
  disk.makeWritable();
  assertEquals((await network.call("DEL", a)).code, 0);
  assertEquals(readNode(network), []);
});

Deno.test("calyx works in a folder that somebody spoilt", async () => {
  requireIsolation();
  const junk = "\0\xff junk\n".repeat(1000);
  const spoils: readonly (readonly [string, (folder: string) => void])[] = [
    ["junk in address files", (it) => {
      Deno.writeTextFileSync(`${it}/10.244.0.3`, junk);
      Deno.writeTextFileSync(`${it}/fd00:10:244::3`, "");
    }],
    ["folders in place of address files", (it) => {
      Deno.mkdirSync(`${it}/10.244.0.3/full`, { recursive: true });
      Deno.mkdirSync(`${it}/fd00:10:244::3`);
    }],
    ["junk in place of hints", (it) => {
      Deno.writeTextFileSync(`${it}/last_reserved_ip.0`, junk);
      Deno.writeTextFileSync(`${it}/.calyx`, junk);
    }],
    ["folders in place of hints", (it) => {
      for (const name of ["last_reserved_ip.0", "last_reserved_ip.1", ".calyx"]) {
        Deno.removeSync(`${it}/${name}`, { recursive: true });
        Deno.mkdirSync(`${it}/${name}`);
      }
    }],
    ["a folder in place of the lock", (it) => {
      Deno.removeSync(`${it}/lock`);
      Deno.mkdirSync(`${it}/lock`);
    }],
  ];
  for (const [name, spoil] of spoils) {
    using network = new CniNetwork();
    using before = new TestContainer("before");
    using after = new TestContainer("after");
    const expected = expectedOf(before, await network.add(before));
    spoil(`${network.dataDir}/net1`);
    const answer = await network.add(after);
    expected.push(...expectedOf(after, answer));
    const state = readNode(network);
    assertEquals(expected.filter((it) => !state.includes(it)), [], name);
    for (const container of [before, after]) {
      const outcome = await network.call("DEL", container);
      assertEquals(outcome.code, 0, `${name}: ${failureOf(outcome)}`);
    }
    const left = readNode(network).filter((it) => /10\.244\.0\.2|::2| (before|after)\b/.test(it));
    assertEquals(left, [], name);
    const collected = await network.call("GC", before, { fields: validAttachments() });
    assertEquals(collected.code, 0, `${name}: ${failureOf(collected)}`);
    const stubborn = name.startsWith("folders in place of address") ? ["no file 10.244.0.3"] : [];
    assertEquals(readNode(network), stubborn, name);
  }
});

Deno.test("calyx says what is wrong when a file is where its folder should be", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using container = new TestContainer("c1");
  await Deno.writeTextFile(`${network.dataDir}/net1`, "");
  assertMatch(
    failureOf(await network.call("ADD", container)),
    /^1 5 Cannot keep .*Not a directory/,
  );
  assertEquals(container.links, ["lo"]);
});

Deno.test("calyx leaves nothing when the namespace goes in the middle of ADD", async () => {
  requireIsolation();
  await using scene = await Scene.open();
  const container = { containerId: "gone", pod: "gone", path: "/run/netns/gone" };
  for (const answer of [200, 504] as const) {
    createNamespace(container.path);
    scene.agent.answer = answer;
    scene.agent.onPut = () => deleteNamespace(container.path);
    await scene.network.call("ADD", container); // it may succeed: it holds the namespace open
    scene.agent.onPut = () => {};
    assertEquals((await scene.network.call("DEL", container)).code, 0);
    scene.assertClean(`agent answers ${answer}`);
  }
});

Deno.test("calyx ADD takes all back when the agent breaks off, or vanishes", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using container = new TestContainer("c1");
  for (const vanishes of [false, true]) {
    await using agent = new StubAgent();
    agent.answer = "breaks off";
    if (vanishes) agent.onPut = () => Deno.removeSync(agent.path);
    const fields = { agent_socket: agent.path, mtu: 1400 };
    const outcome = await network.call("ADD", container, { fields });
    assertMatch(failureOf(outcome), /^1 11 calyx-agent broke off/);
    assertEquals([readNode(network), container.links], [[], ["lo"]]);
    if (!vanishes) assertEquals([...agent.known], []);
  }
});

Deno.test("calyx lets one of two ADDs of one container win, and it stays whole", async () => {
  requireIsolation();
  await using scene = await Scene.open();
  for (let round = 0; round < 5; round++) {
    using container = new TestContainer(`twice-${round}`);
    const outcomes = await Promise.all([1, 2].map(() => scene.network.call("ADD", container)));
    const [winner, ...others] = outcomes.filter((it) => it.code === 0);
    assertEquals([winner?.code, others.length], [0, 0], outcomes.map(failureOf).join("\n"));
    const state = readNode(scene.network);
    const expected = expectedOf(container, winner?.answer ?? {});
    assertEquals(expected.filter((it) => !state.includes(it)), []);
    const checked = await scene.call("CHECK", container, { prevResult: winner?.answer });
    assertEquals(checked.code, 0, JSON.stringify(checked.answer));
    await scene.call("DEL", container);
    scene.assertClean("after both");
  }
});

const CROWD = 50;

Deno.test(`calyx serves ${CROWD} ADDs at once, and ${CROWD} DELs`, async () => {
  requireIsolation();
  await using scene = await Scene.open();
  using stack = new DisposableStack();
  const containers = Array.from(
    { length: CROWD },
    (_, index) => stack.use(new TestContainer(`crowd-${index}`)),
  );
  const lines: string[] = [];
  for (const command of ["ADD", "DEL"]) {
    const outcomes = await Promise.all(containers.map((it) => scene.network.call(command, it)));
    assertEquals(outcomes.filter((it) => it.code !== 0).map(failureOf), []);
    if (command === "ADD") {
      assertEquals(new Set(outcomes.flatMap((it) => addressesOf(it.answer))).size, 2 * CROWD);
    }
    const sorted = outcomes.map((it) => it.durationMs).sort((a, b) => a - b);
    const at = (part: number): string => (sorted[Math.ceil(part * CROWD) - 1] ?? 0).toFixed(0);
    lines.push(`${CROWD} times ${command} at once: median ${at(0.5)} ms, p99 ${at(0.99)} ms`);
  }
  await Deno.stderr.write(new TextEncoder().encode(lines.join("\n") + "\n"));
  scene.assertClean("after the crowd");
});
