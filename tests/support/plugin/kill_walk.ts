/**
 * The compiled plugin, killed at system calls that it makes of its own: a first call of it, left alone,
 * says which there are; then a container is made and the plugin killed at the nth call of a name. After
 * each kill comes a retry as runtimes make one, and the node must be as it was.
 *
 * A walk takes a sample of the calls, by chance with a seed that it prints, and one retry after each. With
 * `CALYX_KILL_WALK=exhaustive` it takes the nth call of every name, for every n until the plugin passes
 * untouched, and every retry after each kill.
 *
 * Several walk at once, each in namespaces of its own: this file is also the script that runs in there.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { Chance } from "../chance.ts";
import { type Container, TestContainer } from "./container.ts";
import { CniScene } from "./cni_scene.ts";
import { enterIsolation, runIsolated } from "../isolation/isolate.ts";
import { type PluginCall } from "./call.ts";
import {
  type CallList,
  FIRST_OWN_CALL,
  killPlugin,
  listCalls,
  type SystemCall,
} from "./traced_plugin.ts";

/** A command that changes something, or a part of one that has another course. */
export type WalkedCommand =
  | "ADD"
  /** Until its addresses are reserved, where there is no folder for them yet. */
  | "ADD, the first of its network"
  /** From the question to the agent on, which refuses. */
  | "ADD, taken back"
  | "DEL"
  | "GC";

/** What a walk came by. */
export interface Walk {
  /** How often the untouched plugin makes each call, from its first own one on. */
  readonly calls: Readonly<Record<string, number>>;
  /** How often it was to be killed. */
  readonly tries: number;
  /** How often it was killed: calls for memory and between threads come at times and at times do not. */
  readonly kills: number;
}

/** Which part of a walk one walker has: every so manieth call, beginning with this one. */
interface Part {
  readonly first: number;
  readonly step: number;
  /** Of the sample. */
  readonly seed: number;
}

/** The call after which an ADD is all done but for the agent's word. */
const ASKS_AGENT = /"PUT \/v1\/endpoints/;

/** The call with which ADD goes from the address files to the kernel. */
const LEAVES_FILES = /\bRTM_GETADDR\b/;

/** How many calls a sample has, over all walkers. */
const SAMPLE_SIZE = 24;

/** Whether a walk takes every call and every retry, or a sample. */
const IS_EXHAUSTIVE = Deno.env.get("CALYX_KILL_WALK") === "exhaustive";

/** More walkers than this only wait for each other's links to go. */
const WALKERS_MAX = 4;

/**
 * Walks through `command`, in as many processes as there are processors.
 *
 * @throws {Error} if one of them found something left; it has said what on stderr
 */
export async function walkKills(command: WalkedCommand): Promise<Walk> {
  const step = Math.min(navigator.hardwareConcurrency, WALKERS_MAX);
  const { seed } = new Chance();
  if (!IS_EXHAUSTIVE) say(`${command}: a sample; CALYX_SEED=${seed} repeats it`);
  const walkers = await Promise.allSettled(Array.from({ length: step }, async (_, first) => {
    const decoder = new TextDecoder();
    let text = "";
    const code = await runIsolated(import.meta.url, [command, ...[first, step, seed].map(String)], {
      onOutput: (chunk) => text += decoder.decode(chunk, { stream: true }),
    });
    if (code !== 0) throw new Error(`${command}: walker ${first} of ${step} ends with ${code}`);
    const walk: Walk = JSON.parse(text);
    return walk;
  }));
  const walks = walkers.map((it) => {
    if (it.status === "rejected") throw it.reason;
    return it.value;
  });
  const [{ calls } = { calls: {} }] = walks;
  const sum = (what: "tries" | "kills"): number => walks.reduce((sum, it) => sum + it[what], 0);
  return { calls, tries: sum("tries"), kills: sum("kills") };
}

function say(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(line + "\n"));
}

/** A call, and what comes before and after it. */
interface Course {
  readonly command: "ADD" | "DEL" | "GC";
  /** The first system call to kill at. */
  readonly from: RegExp;
  /** The first one not to kill at any more. @default {none: to its end} */
  readonly until?: RegExp;
  readonly prepare: (container: Container) => Promise<void>;
  /** Taken in turn. */
  readonly retries: readonly ((container: Container) => Promise<void>)[];
}

function courseOf(command: WalkedCommand, scene: CniScene): Course {
  const del = async (container: Container): Promise<void> => {
    assertEquals((await scene.call("DEL", container)).code, 0);
  };
  const collect = (): Promise<void> => scene.collect();
  const answerBy = (answer: 200 | 504) => (): Promise<void> => {
    scene.agent.answer = answer;
    return Promise.resolve();
  };
  const addAgain = async (container: Container): Promise<void> => {
    scene.agent.answer = 200;
    const { code, answer } = await scene.call("ADD", container);
    if (code !== 0) assertMatch(answer.msg ?? "", /duplicate allocation|eth0 exists/);
    await del(container);
  };
  const retries = [del, collect];
  if (command === "DEL" || command === "GC") {
    const prepare = async (container: Container): Promise<void> => void await scene.add(container);
    return { command, from: FIRST_OWN_CALL, prepare, retries };
  }
  const course = { command: "ADD", from: FIRST_OWN_CALL, retries: [addAgain, ...retries] } as const;
  switch (command) {
    case "ADD":
      return { ...course, prepare: answerBy(200) };
    case "ADD, taken back":
      return { ...course, from: ASKS_AGENT, prepare: answerBy(504) };
    case "ADD, the first of its network":
      return { ...course, until: LEAVES_FILES, prepare: () => scene.network.forget() };
  }
}

async function walk(walked: WalkedCommand, part: Part): Promise<Walk> {
  await using scene = await CniScene.open({ isNew: walked === "ADD, the first of its network" });
  const course = courseOf(walked, scene);
  const { command, prepare, retries } = course;
  const list = await listUntouched(scene, course);
  let tries = 0;
  let kills = 0;
  /** Kills the plugin at one call, once for each retry; whether it came there. */
  const tryAt = async (name: string, nth: number): Promise<boolean> => {
    let isKilled = true;
    const turn = nth % retries.length;
    for (const retry of IS_EXHAUSTIVE ? retries : retries.slice(turn, turn + 1)) {
      using container = new TestContainer(`${name}-${nth}`.replaceAll("_", "-"));
      await prepare(container);
      isKilled = await killPlugin(callOf(scene, command, container), { name, nth }) === undefined;
      // Beyond the calls of the untouched plugin a walk only looks whether there are more.
      if (nth <= (list.before.get(name) ?? 0) + (list.calls[name] ?? 0)) tries++;
      if (isKilled) kills++;
      const what = `${walked} killed at ${name} ${nth}`;
      await retry(container);
      scene.assertClean(what);
      assertEquals(container.links, ["lo"], what);
    }
    return isKilled;
  };
  if (IS_EXHAUSTIVE) {
    for (const [name, count] of Object.entries(list.calls)) {
      const from = (list.before.get(name) ?? 0) + 1;
      const end = course.until === undefined ? Infinity : from + count;
      let nth = from + part.first;
      while (nth < end && await tryAt(name, nth)) nth += part.step;
    }
  } else {
    for (const { name, nth } of sampleOf(list, part)) await tryAt(name, nth);
  }
  return { calls: list.calls, tries, kills };
}

/** A walker's share of a sample: calls by chance, of as many names as there can be. */
function sampleOf({ calls, before }: CallList, { first, step, seed }: Part): SystemCall[] {
  const chance = new Chance(seed);
  const sample: SystemCall[] = [];
  let names: string[] = [];
  while (sample.length < SAMPLE_SIZE && Object.keys(calls).length > 0) {
    if (names.length === 0) names = Object.keys(calls).sort();
    const [name = ""] = names.splice(chance.below(names.length), 1);
    sample.push({ name, nth: (before.get(name) ?? 0) + 1 + chance.below(calls[name] ?? 1) });
  }
  return sample.filter((_, index) => index % step === first);
}

async function listUntouched(
  scene: CniScene,
  { command, from, until, prepare }: Course,
): Promise<CallList> {
  using container = new TestContainer("untouched");
  await prepare(container);
  const list = await listCalls(callOf(scene, command, container), from, until);
  await scene.call("DEL", container);
  scene.assertClean("untouched");
  return list;
}

function callOf(
  { network, valid }: CniScene,
  command: string,
  container: Container,
): PluginCall {
  const fields = command === "GC" ? valid : {};
  return {
    env: network.environment(command, container),
    stdin: JSON.stringify(network.configuration(fields)),
  };
}

if (import.meta.main) {
  enterIsolation();
  const [command, ...numbers] = Deno.args;
  const [first = 0, step = 1, seed = 1] = numbers.map(Number);
  const part = { first, step, seed };
  const found = await walk(command as WalkedCommand, part);
  Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(found)));
  Deno.exit(0); // the plugin's thread does not end by itself
}
