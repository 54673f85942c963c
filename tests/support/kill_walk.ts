/**
 * The compiled plugin, killed at each system call that it makes of its own: a first call of it, left
 * alone, says which there are; then, for each name in it, a container is made and the plugin killed at
 * the nth call of that name, for every n until it passes untouched. After each kill comes a retry as
 * runtimes make one, and the node must be as it was.
 *
 * Several walk at once, each in namespaces of its own: this file is also the script that runs in there.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Container, TestContainer } from "./cni_network.ts";
import { validAttachments } from "./cni_node.ts";
import { CniScene } from "./cni_scene.ts";
import { DIST } from "./executable.ts";
import { enterIsolation, runIsolated } from "./isolate.ts";

/** A command that changes something; the second is an ADD that the agent refuses. */
export type WalkedCommand = "ADD" | "ADD, taken back" | "DEL" | "GC";

/** What a walk came by. */
export interface Walk {
  /** How often the untouched plugin makes each call, from its first own one on. */
  readonly calls: Readonly<Record<string, number>>;
  /** How often it was killed. */
  readonly kills: number;
}

/** Which part of a walk one walker has: every so manieth call, beginning with this one. */
interface Part {
  readonly first: number;
  readonly step: number;
}

/** The first call of our own program: it reads its configuration. What is before is the runtime's. */
const FIRST_OWN_CALL = /"\{\\"cniVersion/;
/** The call after which an ADD is all done but for the agent's word. */
const ASKS_AGENT = /"PUT \/v1\/endpoints/;

/** Calls that change something, or open what is to be changed: the main thread alone makes them. */
const CHANGE =
  /\bO_(WRONLY|RDWR|CREAT)\b|^\d+ +(mkdir|unlink|rmdir|rename|link|symlink|ftruncate|send|connect|setns|u?mount)/;

/** Whether every retry comes after every kill, or one in turn. */
const IS_EXHAUSTIVE = Deno.env.get("CALYX_KILL_WALK") === "exhaustive";

/** More walkers than this only wait for each other's links to go. */
const WALKERS_MAX = 4;

/**
 * Walks through `command`, in as many processes as there are processors.
 *
 * @throws {Error} if one of them found something left; it has said what on stderr
 */
export async function killAtEveryCall(command: WalkedCommand): Promise<Walk> {
  const step = Math.min(navigator.hardwareConcurrency, WALKERS_MAX);
  const walkers = await Promise.allSettled(Array.from({ length: step }, async (_, first) => {
    const decoder = new TextDecoder();
    let text = "";
    const code = await runIsolated(import.meta.url, [command, String(first), String(step)], {
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
  return { calls, kills: walks.reduce((sum, it) => sum + it.kills, 0) };
}

/** A call, and what comes before and after it. */
interface Course {
  readonly command: "ADD" | "DEL" | "GC";
  /** The first system call to kill at. */
  readonly from: RegExp;
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
  const [from, answer] = command === "ADD"
    ? [FIRST_OWN_CALL, 200] as const
    : [ASKS_AGENT, 504] as const;
  return { command: "ADD", from, prepare: answerBy(answer), retries: [addAgain, ...retries] };
}

async function walk(walked: WalkedCommand, { first, step }: Part): Promise<Walk> {
  await using scene = await CniScene.open();
  const course = courseOf(walked, scene);
  const { command, prepare, retries } = course;
  const { calls, before } = await listCalls(scene, course);
  let kills = 0;
  for (const name of Object.keys(calls)) {
    const from = (before.get(name) ?? 0) + 1;
    for (let nth = from + first, isKilled = true; isKilled; nth += step) {
      const turn = nth % retries.length;
      for (const retry of IS_EXHAUSTIVE ? retries : retries.slice(turn, turn + 1)) {
        using container = new TestContainer(`${name}-${nth}`.replaceAll("_", "-"));
        await prepare(container);
        const inject = ["-e", `trace=${name}`, "-e", `inject=${name}:signal=KILL:when=${nth}`];
        const { signal } = await trace(scene, command, container, ["-o", "/dev/null", ...inject]);
        isKilled = signal === "SIGKILL";
        if (isKilled) kills++;
        const what = `${walked} killed at ${name} ${nth}, its ${nth - from + 1}th of our own`;
        await retry(container);
        scene.assertClean(what);
        assertEquals(container.links, ["lo"], what);
      }
    }
  }
  return { calls, kills };
}

/** The calls of an untouched run by name: ours, and how many of that name come before those. */
async function listCalls(
  scene: CniScene,
  { command, from, prepare }: Course,
): Promise<{ readonly calls: Record<string, number>; readonly before: Map<string, number> }> {
  using container = new TestContainer("untouched");
  await prepare(container);
  const path = `${scene.network.dataDir}/trace`;
  await trace(scene, command, container, ["-o", path]);
  await scene.call("DEL", container);
  scene.assertClean("untouched");
  // A call that is resumed, because another thread has made one in between, is no second one.
  const lines = (await Deno.readTextFile(path)).split("\n").filter((it) => /^\d+ +\w+\(/.test(it));
  await Deno.remove(path);
  const [main] = lines[0]?.split(" ") ?? [];
  const calls: Record<string, number> = {};
  const before = new Map<string, number>();
  let isOurs = false;
  for (const line of lines) {
    const [, name = ""] = /(\w+)\(/.exec(line) ?? [];
    const isMain = line.startsWith(`${main} `);
    isOurs ||= isMain && from.test(line);
    assert(isMain || !isOurs || !CHANGE.test(line), `Another thread changes something: ${line}`);
    if (!isMain) continue;
    if (isOurs) calls[name] = (calls[name] ?? 0) + 1;
    else before.set(name, (before.get(name) ?? 0) + 1);
  }
  assert(isOurs, `The plugin was not seen to call ${from}`);
  return { calls, before };
}

/** Runs the compiled plugin under strace(1). */
async function trace(
  { network, bystander }: CniScene,
  command: WalkedCommand,
  container: Container,
  options: readonly string[],
): Promise<Deno.CommandStatus> {
  const child = new Deno.Command("strace", {
    args: ["-f", "-qq", ...options, `${DIST}/calyx`],
    env: network.environment(command, container),
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

if (import.meta.main) {
  enterIsolation();
  const [command, first, step] = Deno.args;
  const part = { first: Number(first), step: Number(step) };
  const found = await walk(command as WalkedCommand, part);
  Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(found)));
  Deno.exit(0); // the plugin's thread does not end by itself
}
