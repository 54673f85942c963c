/**
 * The soak: one change of the cluster after the other, each with a fault by chance, while packets go on
 * every way between the pods. Where a change leaves a packet's verdict as it is, the packet must come to
 * it at every moment; the others as soon as the change is in force.
 */

import { assertEquals } from "@std/assert";
import type { Chance } from "../support/chance.ts";
import { DeadRelay } from "../support/kubernetes/dead_relay.ts";
import { TestNode } from "../support/node/node.ts";
import { PATIENCE_MS } from "../support/until.ts";
import { usageOf } from "./agent_usage.ts";
import { keepFlowsKnown, pickFault } from "./fault.ts";
import { type FaultScene, type SoakFault, startAgent } from "./fault_scene.ts";
import { type Expected, SoakTraffic } from "./traffic.ts";
import { SoakWorld, type Way } from "./world.ts";

/** How long, with what chance, and who hears of it now and then. */
export interface SoakOptions {
  readonly durationMs: number;
  readonly chance: Chance;
  readonly say: (line: string) => void;
}

/** What was done; no packet leaked or was lost. */
export interface SoakResult {
  readonly changes: number;
  readonly faults: number;
  readonly sent: number;
  readonly judged: number;
}

/** How often it says how far it is, and how many of the last steps a failure names. */
const SAY_MS = 10_000;
const STEPS_TOLD = 5;
/** Rounds of packets while a fault lasts, and when all is well again. */
const ROUNDS_MEANWHILE = 3;
const ROUNDS_AFTER = 3;
/** Rounds in a row that show a change in force. */
const ROUNDS_IN_FORCE = 2;
/** One change in so many replaces a pod. */
const CHANGES_PER_POD = 8;
/** What an agent may hold at its end beyond what it held at its start. */
const DESCRIPTORS_MORE_MAX = 8;
const MEMORY_MORE_MEGABYTES_MAX = 128;

/**
 * Runs it for `durationMs` at least.
 *
 * @throws {Error} naming the packets that leaked or were lost, or what else is not as it must be
 */
export async function soak({ durationMs, chance, say }: SoakOptions): Promise<SoakResult> {
  await using node = await TestNode.start({ agent: false });
  await using relay = new DeadRelay(node.api.port);
  await startAgent({ node, relay });
  using traffic = new SoakTraffic();
  const world = new SoakWorld(node, chance);
  await world.fill();
  keepFlowsKnown();
  traffic.serve(world.pods);
  await becomeInForce(node, world, traffic);
  const atStart = usageOf(node.agent.pid);
  const endMs = performance.now() + durationMs;
  const counts = { changes: 0, faults: 0 };
  const steps: string[] = [];
  let saidAtMs = performance.now();
  while (performance.now() < endMs) {
    const fault = pickFault(chance);
    counts.changes++;
    if (fault.name !== "nothing") counts.faults++;
    try {
      steps.push(
        `${counts.changes}: ${fault.name}; ${await step(
          { node, world, relay, traffic, chance },
          fault,
        )}`,
      );
      failOnMistakes(traffic);
    } catch (error) {
      const before = steps.slice(-STEPS_TOLD).map((it) => `\n  ${it}`).join("");
      throw new Error(`At change ${counts.changes} (${fault.name}), after${before}`, {
        cause: error,
      });
    }
    if (performance.now() < saidAtMs + SAY_MS) continue;
    saidAtMs = performance.now();
    say(
      `${counts.changes} changes, ${counts.faults} faults, ${traffic.counts.judged} packets judged`,
    );
  }
  const atEnd = usageOf(node.agent.pid);
  const text = JSON.stringify({ atStart, atEnd });
  if (atEnd.descriptors > atStart.descriptors + DESCRIPTORS_MORE_MAX) {
    throw new Error(`The agent keeps descriptors: ${text}`);
  }
  if (atEnd.megabytes > atStart.megabytes + MEMORY_MORE_MEGABYTES_MAX) {
    throw new Error(`The agent keeps memory: ${text}`);
  }
  say(`The agent at the start and at the end: ${text}`);
  await assertKernelIsDesired({ node, relay });
  return { ...counts, ...traffic.counts };
}

interface Scene extends FaultScene {
  readonly traffic: SoakTraffic;
}

/** One fault and one change. @returns what the change was */
async function step(scene: Scene, fault: SoakFault): Promise<string> {
  const { node, world, traffic, chance } = scene;
  if (fault.name === "nothing" && chance.below(CHANGES_PER_POD) === 0) {
    const change = await world.replacePod();
    traffic.serve(world.pods);
    await becomeInForce(node, world, traffic);
    return change;
  }
  const before = world.verdicts();
  await fault.strike(scene);
  const change = world.change();
  const after = world.verdicts();
  const meanwhile = (way: Way): Expected => {
    const verdict = before.get(way.name);
    if (verdict !== after.get(way.name) || fault.spares === "nothing") return undefined;
    return fault.spares === "every packet" || verdict ? verdict : undefined;
  };
  for (let round = 0; round < ROUNDS_MEANWHILE; round++) {
    await traffic.round(world.ways(), meanwhile);
  }
  await fault.heal?.(scene);
  await becomeInForce(node, world, traffic, meanwhile);
  for (let round = 0; round < ROUNDS_AFTER; round++) {
    await traffic.round(world.ways(), (way) => after.get(way.name));
  }
  return change;
}

/** Sends packets until all come to what the cluster says; `meanwhile` is known of some before that. */
async function becomeInForce(
  node: TestNode,
  world: SoakWorld,
  traffic: SoakTraffic,
  meanwhile: (way: Way) => Expected = () => undefined,
): Promise<void> {
  const verdicts = world.verdicts();
  const ways = world.ways();
  const wanted = ways.filter((it) => verdicts.get(it.name))
    .flatMap(({ name }) => [`new ${name}`, `flow ${name}`]);
  const endMs = performance.now() + PATIENCE_MS;
  for (let rounds = 0; rounds < ROUNDS_IN_FORCE;) {
    const arrived = await traffic.round(ways, meanwhile);
    const isRight = arrived.size === wanted.length && wanted.every((it) => arrived.has(it));
    rounds = isRight ? rounds + 1 : 0;
    if (performance.now() > endMs) {
      const closed = wanted.filter((it) => !arrived.has(it));
      const open = [...arrived].filter((it) => !wanted.includes(it));
      throw new Error(
        `Not in force after ${PATIENCE_MS / 1000} s: closed are ${some(closed)}; open are ` +
          `${some(open)}; the agent's log:\n${node.agent.log}`,
      );
    }
  }
}

function failOnMistakes({ mistakes }: SoakTraffic): void {
  if (mistakes.length === 0) return;
  const texts = mistakes.map(({ kind, way }) => `${kind}: ${way}`);
  throw new Error(`${mistakes.length} packets went wrong: ${some(texts)}`);
}

function some(texts: readonly string[]): string {
  return texts.length === 0 ? "none" : texts.slice(0, 5).join(", ") +
    (texts.length > 5 ? ` and ${texts.length - 5} more` : "");
}

/** An agent that starts over finds nothing to change. */
async function assertKernelIsDesired(scene: Pick<Scene, "node" | "relay">): Promise<void> {
  await scene.node.agent[Symbol.asyncDispose]();
  const agent = await startAgent(scene);
  const requests = [...agent.log.matchAll(/"ruleset applied","requests":(\d+)/g)].map((it) =>
    it[1]
  );
  assertEquals(requests.filter((it) => it !== "0"), []);
}
