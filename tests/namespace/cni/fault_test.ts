/**
 * The compiled plugin when things go wrong: killed at system calls that it makes, with a disk that
 * is full, read-only or corrupted, with a namespace or an agent that goes away, and with others at the
 * same time. After a retry nothing is left, and nothing of another pod is lost.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { addressesOf, type CniOutcome } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { type Container, TestContainer } from "../../support/plugin/container.ts";
import { CniScene } from "../../support/plugin/cni_scene.ts";
import { validAttachments } from "../../support/plugin/cni_network.ts";
import { expectedOf, readNode } from "../../support/plugin/cni_node.ts";
import { StubAgent } from "../../support/plugin/stub_agent.ts";
import { cString } from "../../../lib/kernel/descriptor.ts";
import { check } from "../../../lib/kernel/errno.ts";
import { unmount } from "../../../lib/kernel/mount.ts";
import { createNamespace, deleteNamespace } from "../../../lib/kernel/namespace.ts";
import { libc } from "../../../lib/kernel/symbols.ts";
import { writeSysctl } from "../../../lib/kernel/sysctl.ts";
import { DIST, runProgram } from "../../support/program/executable.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { type WalkedCommand, walkKills } from "../../support/plugin/kill_walk.ts";
import { probeAll } from "../../support/packet/probe.ts";
import { programTest } from "../../support/program/program.ts";

/** How many system calls each makes at least. */
const CALLS_MIN: Readonly<Record<WalkedCommand, number>> = {
  "ADD": 60,
  "ADD, the first of its network": 30,
  "ADD, taken back": 20,
  "DEL": 20,
  "GC": 30,
};

for (const [command, callsMin] of Object.entries(CALLS_MIN) as [WalkedCommand, number][]) {
  programTest(
    `calyx ${command}, killed at a system call, leaves nothing that a retry does not take`,
    ["strace"],
    async () => {
      requireIsolation();
      const { calls, tries, kills } = await walkKills(command);
      const counts = Object.entries(calls).map(([name, count]) => `${count} ${name}`).join(", ");
      const total = Object.values(calls).reduce((sum, it) => sum + it, 0);
      const line = `${command}: ${kills} kills in ${tries} at ${total} system calls: ${counts}\n`;
      await Deno.stderr.write(new TextEncoder().encode(line));
      assert(total >= callsMin && kills > tries / 2, line);
    },
  );
}

/** <linux/mount.h>. */
const MS_RDONLY = 1n;
const MS_REMOUNT = 32n;
const MS_BIND = 4096n;

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

/** What the plugin logged. */
function messagesOf({ stderr }: CniOutcome): string[] {
  return stderr.split("\n").filter((it) => it !== "").map((it) => JSON.parse(it).message);
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
      if (outcome.code !== 0) {
        const status = await network.call("STATUS", container);
        assertMatch(failureOf(status), /^1 50 Cannot keep .*No space left/, `size ${size}`);
        break;
      }
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
  const status = await network.call("STATUS", b);
  assertMatch(failureOf(status), /^1 50 Cannot keep reservations in .*Read-only file system/);
  assertEquals(readNode(network), before);
  assertEquals((await network.call("DEL", b)).code, 0); // it has nothing
  const deleted = await network.call("DEL", a);
  assertMatch(failureOf(deleted), /^1 5 Cannot keep reservations in .*Read-only file system/);
  const collected = await network.call("GC", a, { fields: validAttachments() });
  assertMatch(
    failureOf(collected),
    /^1 5 .* not be freed: (?=.*10\.244\.0\.2)(?=.*fd00:10:244::2).*Read-only file system/,
  );
  disk.makeWritable();
  assertEquals((await network.call("STATUS", b)).code, 0);
  assertEquals((await network.call("DEL", a)).code, 0);
  assertEquals(readNode(network), []);
});

programTest("calyx says that it has to run as root, and leaves nothing", ["setpriv"], async () => {
  requireIsolation();
  using network = new CniNetwork();
  using container = new TestContainer("c1");
  const withoutCapabilities = ["--bounding-set=-all", "--inh-caps=-all", `${DIST}/calyx`];
  const { code, stdout } = await runProgram("setpriv", {
    args: withoutCapabilities,
    env: network.environment("ADD", container),
    stdin: JSON.stringify(network.configuration()),
  });
  assertEquals(code, 1);
  const { code: reason, msg, details } = JSON.parse(stdout);
  assertEquals(reason, 8, msg);
  assertMatch(`${msg}: ${details}`, /Cannot work in CNI_NETNS .*EPERM: .* run as root/);
  assertEquals([readNode(network), container.links], [[], ["lo"]]);
});

/** A file that links lead to, and that must not change. */
const VICTIM = "/run/victim";

Deno.test("calyx works in a folder with damaged files", async () => {
  requireIsolation();
  await Deno.writeTextFile(VICTIM, "another user's");
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
    ["links in place of hints", (it) => {
      for (const name of ["last_reserved_ip.0", "last_reserved_ip.1", ".calyx"]) {
        Deno.removeSync(`${it}/${name}`);
        Deno.symlinkSync(VICTIM, `${it}/${name}`);
      }
      Deno.symlinkSync(VICTIM, `${it}/10.244.0.3`);
    }],
    ["pipes without a writer, in place of hints and an address file", (it) => {
      for (const name of ["last_reserved_ip.0", ".calyx", "10.244.0.3"]) {
        new Deno.Command("rm", { args: ["-f", `${it}/${name}`] }).outputSync();
        new Deno.Command("mkfifo", { args: [`${it}/${name}`] }).outputSync();
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
    if (name.startsWith("folders in place of address")) {
      assertMatch(failureOf(collected), /^1 5 .* not be freed: 10\.244\.0\.3 /, name);
      assertEquals(readNode(network), ["no file 10.244.0.3"], name);
    } else {
      assertEquals(collected.code, 0, `${name}: ${failureOf(collected)}`);
      assertEquals(readNode(network), [], name);
    }
    assertEquals(await Deno.readTextFile(VICTIM), "another user's", name);
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
  await using scene = await CniScene.open();
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

Deno.test("calyx ADD says to try again when a DEL was faster than its policy", async () => {
  requireIsolation();
  await using scene = await CniScene.open();
  using container = new TestContainer("overtaken");
  scene.agent.answer = 409;
  for (const policy_setup_timeout_action of ["fail", "closed"]) {
    const outcome = await scene.network.call("ADD", container, {
      fields: { policy_setup_timeout_action },
    });
    assertMatch(failureOf(outcome), /^1 11 calyx-agent refused \(409\)/);
    scene.assertClean(policy_setup_timeout_action);
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

Deno.test("calyx ADD has nothing to undo with an agent that refused, or never heard of it", async () => {
  requireIsolation();
  await using scene = await CniScene.open();
  using container = new TestContainer("refused");
  const fields = { log_level: "warn" };
  const asked: string[] = [];
  scene.agent.onDelete = (containerId) => void asked.push(containerId);
  for (const answer of [400, 409] as const) {
    scene.agent.answer = answer;
    const outcome = await scene.network.call("ADD", container, { fields });
    assertMatch(failureOf(outcome), /^1 \d+ calyx-agent refused/);
    assertEquals([messagesOf(outcome), asked], [["call failed"], []], `${answer}`);
    scene.assertClean(`${answer}`);
  }
  const nowhere = { ...fields, agent_socket: "/run/no.sock" };
  const outcome = await scene.network.call("ADD", container, { fields: nowhere });
  assertMatch(failureOf(outcome), /^1 11 calyx-agent does not answer/);
  assertEquals(messagesOf(outcome), ["call failed"]);
  scene.assertClean("no agent");
  // It may have kept what it took and did not refuse.
  scene.agent.answer = 504;
  const late = await scene.network.call("ADD", container, { fields });
  assertMatch(failureOf(late), /^1 11 .*not yet/);
  assertEquals([asked, container.links], [["refused"], ["lo"]]);
  scene.assertClean("504");
});

/** `/proc/sys`, which cannot be written to as long as it lives. */
class ReadOnlySysctls implements Disposable {
  constructor() {
    const path = cString("/proc/sys");
    for (const flags of [MS_BIND, MS_BIND | MS_REMOUNT | MS_RDONLY]) {
      check("mount /proc/sys read-only", libc().mount(path, path, path, flags, path));
    }
  }

  [Symbol.dispose](): void {
    unmount("/proc/sys");
  }
}

Deno.test("calyx ADD needs no writable /proc/sys where everything is set, and says what is not", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using peer = new TestContainer("peer");
  using container = new TestContainer("c1");
  await network.add(peer); // sets what is the node's
  const before = readNode(network);
  {
    using _readOnly = new ReadOnlySysctls();
    const answer = await network.add(container);
    const probes = addressesOf(answer).map((address) => ({
      namespace: peer.namespace,
      protocol: "TCP" as const,
      address,
      port: 9,
    }));
    assertEquals(await probeAll(probes, 10_000), probes.map(() => "ECONNREFUSED"));
    const fields = { prevResult: answer };
    assertEquals((await network.call("CHECK", container, { fields })).code, 0);
    assertEquals((await network.call("DEL", container)).code, 0);
    assertEquals(readNode(network), before);
  }
  for (const key of ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"]) {
    writeSysctl(key, "0");
    {
      using _readOnly = new ReadOnlySysctls();
      const outcome = await network.call("ADD", container);
      assertMatch(
        failureOf(outcome),
        new RegExp(`^1 101 /proc/sys/${key} is 0 on the node, has to be 1, and .*EROFS`),
      );
      assertEquals([readNode(network), container.links], [before, ["lo"]]);
    }
    writeSysctl(key, "1");
  }
});

Deno.test("calyx lets one of two ADDs of one container win, and it stays whole", async () => {
  requireIsolation();
  await using scene = await CniScene.open();
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
  await using scene = await CniScene.open();
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
