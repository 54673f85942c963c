/**
 * A long random sequence of what a node lives through: ADD, DEL, CHECK and GC, in this process and by
 * the compiled plugin; kills in the middle of a call; an agent that refuses; the reference plugin
 * host-local on the same files; damage to our index; pods replaced by new ones of
 * their name; reboots. After each step the node has exactly what it should.
 *
 * `CALYX_SEED` repeats a sequence. Kills are at a system call of the plugin's own that chance picks;
 * without strace(1) they are at a moment that no seed repeats.
 */

import { assert, assertEquals } from "@std/assert";
import { interfaceNameOf } from "../../../lib/model/interface_name.ts";
import { deleteLink, dumpLinks, parseLink } from "../../../lib/netlink/link/link.ts";
import { isNotFound } from "../../../lib/netlink/error.ts";
import { NETLINK_ROUTE, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import { Chance } from "../../support/chance.ts";
import {
  addressesOf,
  callPlugin,
  type CniAnswer,
  type CniOutcome,
  type Fields,
} from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { type Container, TestContainer } from "../../support/plugin/container.ts";
import { callHere } from "../../support/plugin/call_here.ts";
import { validAttachments } from "../../support/plugin/cni_network.ts";
import { expectedOf, readNode } from "../../support/plugin/cni_node.ts";
import { StubAgent } from "../../support/plugin/stub_agent.ts";
import { DIST } from "../../support/program/executable.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { findProgram } from "../../support/program/program.ts";
import { callReference } from "../../support/plugin/reservation_folder.ts";
import { type PluginCall } from "../../support/plugin/call.ts";
import {
  type CallList,
  FIRST_OWN_CALL,
  killPlugin,
  listCalls,
  type SystemCall,
} from "../../support/plugin/traced_plugin.ts";

const STEPS = 1000;
const PODS = 12;
/** Small, so that they are full at times. */
const SUBNETS = ["10.244.0.0/28", "fd00:10:244::/124"];
const CAPACITY = 13;
/** One in so many steps is like this. */
const ONE_IN = { compiled: 12, killed: 10, refused: 10, reboot: 60, reference: 10, spoilt: 50 };

type Outcome = Pick<CniOutcome, "code" | "answer">;

/** What should be there of a container. */
interface Attached {
  readonly container: Container & { readonly pod: string };
  readonly answer: CniAnswer;
  /**
   * "replaced": a newer sandbox of the same pod has its name now, so that only the addresses are left;
   * "uncertain": an ADD that would have done this was killed.
   */
  link: "there" | "replaced" | "uncertain";
}

/** The node, and what it should have. */
class Model implements AsyncDisposable {
  readonly chance = new Chance();
  readonly agent = new StubAgent();
  readonly bootIdFile: string = `${this.agent.path}.boot`;
  readonly network: CniNetwork;
  readonly counts = new Map<string, number>();
  readonly #ipam: Fields;
  #attached: Attached[] = [];
  /** Of the reference plugin: addresses alone. */
  #foreign = new Map<string, CniAnswer>();
  /** Killed in the middle: what is there of them is anybody's guess, until DEL or GC. */
  #limbo: (Container & { readonly pod: string })[] = [];
  /** Every namespace of this boot. */
  #namespaces = new DisposableStack();
  #made = 0;
  /** The plugin has not read the files since the boot. */
  #isFresh = false;
  /** Where the plugin can be killed, by command. */
  readonly #killPoints = new Map<string, readonly SystemCall[]>();
  /** How long a call takes (ms); kills are timed by it where strace(1) is missing. */
  #callMs = 0;

  constructor() {
    this.network = new CniNetwork({ agent_socket: this.agent.path, mtu: 1400 });
    this.#ipam = { ...this.network.hostLocal(...SUBNETS), bootIdFile: this.bootIdFile };
    Deno.writeTextFileSync(this.bootIdFile, "boot 0");
  }

  /** Finds out where the plugin can be killed. */
  async learn(): Promise<void> {
    const container = this.#makeContainer();
    const startMs = performance.now();
    const commands = ["ADD", "DEL", "ADD", "GC"]; // each finds what the one before left to do
    for (const command of commands) {
      const call = this.#tracedCall(command, container, validAttachments());
      if (findProgram("strace") === undefined) await callPlugin(undefined, call);
      else this.#killPoints.set(command, pointsOf(await listCalls(call, FIRST_OWN_CALL)));
    }
    this.#callMs = (performance.now() - startMs) / commands.length;
    this.#compare("before the first step");
  }

  /** One step, and the comparison. */
  async step(index: number): Promise<void> {
    const { chance } = this;
    const what = await this.#take(chance.below(100));
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
    if (!this.#isFresh) this.#compare(`seed ${chance.seed}, step ${index}: ${what}`);
  }

  async #take(dice: number): Promise<string> {
    const { chance } = this;
    if (chance.below(ONE_IN.reboot) === 0) return this.#reboot();
    if (chance.below(ONE_IN.reference) === 0) return await this.#reference();
    if (chance.below(ONE_IN.spoilt) === 0) return await this.#spoil();
    if (this.#limbo.length > 1 || chance.below(3) === 0) {
      const container = this.#limbo[0];
      if (container !== undefined) return await this.#settle(container);
    }
    if (dice < 50) return await this.#add();
    const attached = chance.pick(this.#attached);
    if (dice < 85) return await this.#delete(attached?.container ?? this.#makeContainer());
    if (dice < 95) return await this.#check(attached);
    return await this.#collect();
  }

  async #add(): Promise<string> {
    const container = this.#makeContainer();
    const held = this.#attached.length + this.#foreign.size;
    const isRefused = this.chance.below(ONE_IN.refused) === 0;
    if (isRefused) this.agent.answer = this.chance.pick([504, "breaks off"] as const) ?? 504;
    const outcome = await this.#call("ADD", container);
    this.agent.answer = 200;
    const previous = this.#attached.filter((it) =>
      it.container.pod === container.pod && it.link !== "replaced"
    );
    if (outcome === undefined) {
      this.#limbo.push(container);
      for (const it of previous) it.link = "uncertain";
      return "ADD, killed";
    }
    if (outcome.answer.code === 11) {
      assert(isRefused, JSON.stringify(outcome.answer));
      for (const it of previous) it.link = "replaced"; // before anybody was asked
      return "ADD, refused";
    }
    if (outcome.code !== 0) {
      const isFull = held + this.#limbo.length >= CAPACITY;
      assert(isFull && outcome.answer.code === 100, JSON.stringify(outcome.answer));
      return "ADD, full";
    }
    assert(held < CAPACITY, "an address was given out twice");
    assert(!isRefused, "a pod without policy");
    for (const it of previous) it.link = "replaced";
    this.#attached.push({ container, answer: outcome.answer, link: "there" });
    return "ADD";
  }

  async #delete(container: Container & { readonly pod: string }): Promise<string> {
    const outcome = await this.#call("DEL", container);
    this.#attached = this.#attached.filter((it) => it.container !== container);
    if (outcome === undefined) {
      this.#limbo.push(container);
      return "DEL, killed";
    }
    assertEquals(outcome.code, 0, JSON.stringify(outcome.answer));
    return "DEL";
  }

  /** What a runtime does with a container whose call did not come back. */
  async #settle(container: Container & { readonly pod: string }): Promise<string> {
    if (this.chance.below(4) === 0) return await this.#collect();
    this.#limbo = this.#limbo.filter((it) => it !== container);
    const outcome = await this.#run("DEL", container);
    assertEquals(outcome.code, 0, JSON.stringify(outcome.answer));
    return "DEL after a kill";
  }

  async #check(attached: Attached | undefined): Promise<string> {
    const container = attached?.container ?? this.#makeContainer();
    const fields = { prevResult: attached?.answer ?? { cniVersion: "1.1.0", ips: [] } };
    const { code, answer } = await this.#run("CHECK", container, fields);
    if (attached?.link === "uncertain") return "CHECK of who knows";
    const expected = attached?.link === "there" ? [0, undefined] : [1, 102];
    assertEquals([code, answer.code], expected, JSON.stringify(answer));
    return code === 0 ? "CHECK" : "CHECK, refused";
  }

  /** GC; of some containers the runtime knows nothing any more. */
  async #collect(): Promise<string> {
    const lost = this.#attached.filter(() => this.chance.below(4) === 0);
    const kept = this.#attached.filter((it) => !lost.includes(it));
    const foreign = Array.from(this.#foreign.keys(), (containerId) => ({ containerId, path: "" }));
    const valid = validAttachments(...kept.map((it) => it.container), ...foreign);
    const outcome = await this.#call("GC", { containerId: "x", path: "", pod: "x" }, valid);
    this.#attached = kept;
    if (outcome === undefined) {
      this.#limbo.push(...lost.map((it) => it.container));
      return "GC, killed";
    }
    assertEquals(outcome.code, 0, JSON.stringify(outcome.answer));
    this.#limbo = [];
    return "GC";
  }

  /** The reference plugin gives out an address, or takes one back, behind our back. */
  async #reference(): Promise<string> {
    if (findProgram("host-local") === undefined) return "no reference plugin";
    const folder = { root: this.network.dataDir };
    const ranges = SUBNETS.map((subnet) => [{ subnet }]);
    const old = this.chance.pick([...this.#foreign.keys(), ""]) ?? "";
    if (old !== "") {
      await callReference(folder, "DEL", old, ranges);
      this.#foreign.delete(old);
      return "DEL of the reference plugin";
    }
    const containerId = `theirs-${this.#made++}`;
    const answer = await callReference(folder, "ADD", containerId, ranges);
    if (answer.ips === undefined) return "ADD of the reference plugin, full";
    this.#foreign.set(containerId, { ips: answer.ips });
    return "ADD of the reference plugin";
  }

  /** Damages or deletes the index beside the address files. */
  async #spoil(): Promise<string> {
    const path = `${this.network.dataDir}/net1/.calyx`;
    await this.#run("DEL", this.#makeContainer());
    if (this.chance.below(2) === 0) await Deno.writeTextFile(path, "junk");
    else await Deno.remove(path).catch(() => {});
    // Between a reboot and the first look at the index it is all that tells the boots apart.
    await this.#run("DEL", this.#makeContainer());
    return "index spoilt";
  }

  /** All containers, links and processes go; files stay. */
  #reboot(): string {
    using socket = openNetlinkSocket(NETLINK_ROUTE);
    for (const { index, name } of socket.dump(dumpLinks()).map(parseLink)) {
      if (!name.startsWith("cali")) continue;
      try {
        socket.request(deleteLink({ index }));
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
    this.#namespaces.dispose();
    this.#namespaces = new DisposableStack();
    this.#attached = [];
    this.#foreign.clear();
    this.#limbo = [];
    this.agent.known.clear();
    this.#isFresh = true;
    waitMs(15); // files are stamped by a clock that ticks every 4 ms
    Deno.writeTextFileSync(this.bootIdFile, `boot ${this.#made++}`);
    waitMs(15);
    return "reboot";
  }

  #makeContainer(): TestContainer {
    const name = `c${this.#made++}`;
    return this.#namespaces.use(new TestContainer(name, `pod-${this.chance.below(PODS)}`));
  }

  /** Calls the plugin in one way or another; `undefined`: it was killed. */
  async #call(command: string, container: Container, more?: Fields): Promise<Outcome | undefined> {
    if (this.chance.below(ONE_IN.killed) !== 0) return await this.#run(command, container, more);
    const call = this.#tracedCall(command, container, more);
    const point = this.chance.pick(this.#killPoints.get(command) ?? []);
    const outcome = point === undefined
      ? await killAfter(call, this.chance.below(Math.ceil(this.#callMs)))
      : await killPlugin(call, point);
    if (outcome !== undefined) this.#isFresh = false;
    return outcome;
  }

  #tracedCall(command: string, container: Container, more?: Fields): PluginCall {
    return {
      env: this.network.environment(command, container),
      stdin: JSON.stringify(this.network.configuration({ ipam: this.#ipam, ...more })),
    };
  }

  async #run(command: string, container: Container, more?: Fields): Promise<Outcome> {
    this.#isFresh = false;
    const fields = { ipam: this.#ipam, ...more };
    return this.chance.below(ONE_IN.compiled) === 0
      ? await this.network.call(command, container, { fields })
      : await callHere(this.network, command, container, fields);
  }

  #compare(what: string): void {
    const expected = [
      ...this.#attached.flatMap(({ container, answer, link }) =>
        expectedOf(container, answer).filter((it) => link !== "replaced" || it.startsWith("file "))
      ),
      ...Array.from(
        this.#foreign,
        ([containerId, answer]) =>
          addressesOf(answer).map((it) => `file ${it} ${containerId}/eth0`),
      ).flat(),
    ].sort();
    const actual = readNode(this.network);
    const isUncertain = this.#uncertainty(actual);
    assertEquals(
      actual.filter((it) => !isUncertain(it)),
      expected.filter((it) => !isUncertain(it)),
      what,
    );
    const limbo = this.#limbo.map((it) => it.containerId);
    const uncertain = this.#idsOf("uncertain");
    const known = [...this.agent.known].filter((it) => ![...limbo, ...uncertain].includes(it));
    assertEquals(known.sort(), this.#idsOf("there").sort(), what);
  }

  #idsOf(link: Attached["link"]): string[] {
    return this.#attached.filter((it) => it.link === link).map((it) => it.container.containerId);
  }

  /** Tells lines that may be there or not, because of kills. */
  #uncertainty(actual: readonly string[]): (line: string) => boolean {
    const limbo = new Set(this.#limbo.map((it) => it.containerId));
    const pods = [
      ...this.#attached.filter((it) => it.link === "uncertain").map((it) => it.container.pod),
      ...this.#limbo.map((it) => it.pod),
    ];
    const owned = this.#attached.filter((it) => it.link === "there").map((it) => it.container.pod);
    const names = pods.filter((it) => !owned.includes(it))
      .map((it) => interfaceNameOf("default", it));
    const isEmpty = (line: string): boolean => limbo.size > 0 && actual.includes(line);
    return (line) => {
      const [kind, first = "", second = ""] = line.split(" ");
      if (kind !== "file") return names.includes(kind === "link" ? first : second);
      return second === "" ? isEmpty(line) : limbo.has(second.split("/")[0] ?? "");
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reboot();
    this.#namespaces.dispose();
    this.network[Symbol.dispose]();
    await this.agent[Symbol.asyncDispose]();
  }
}

/** Every system call of a list. */
function pointsOf({ calls, before }: CallList): readonly SystemCall[] {
  return Object.entries(calls).flatMap(([name, count]) =>
    Array.from(
      { length: count },
      (_, index) => ({ name, nth: (before.get(name) ?? 0) + index + 1 }),
    )
  );
}

/** Calls the plugin and kills it after a while; `undefined`, unless it has ended before. */
async function killAfter({ env, stdin }: PluginCall, ms: number): Promise<Outcome | undefined> {
  const child = new Deno.Command(`${DIST}/calyx`, {
    env,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const timer = setTimeout(() => kill(child), ms);
  const writer = child.stdin.getWriter();
  const bytes = new TextEncoder().encode(stdin);
  await writer.write(bytes).then(() => writer.close()).catch(() => {}); // it may be dead by now
  const { signal, code, stdout } = await child.output();
  clearTimeout(timer);
  if (signal !== null) return undefined;
  const text = new TextDecoder().decode(stdout);
  return { code, answer: text === "" ? {} : JSON.parse(text) };
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has ended by itself
  }
}

function waitMs(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

Deno.test(`calyx keeps the node as it should be, over ${STEPS} random steps`, async () => {
  requireIsolation();
  await using model = new Model();
  const say = (text: string): void => {
    Deno.stderr.writeSync(new TextEncoder().encode(text + "\n"));
  };
  say(`seed ${model.chance.seed}`);
  await model.learn();
  for (let index = 0; index < STEPS; index++) await model.step(index);
  const counts = [...model.counts].sort(([a], [b]) => a < b ? -1 : 1);
  say(counts.map(([what, count]) => `${count} ${what}`).join(", "));
});
