import { assertEquals } from "@std/assert";
import { createLogger } from "../lib/base/log.ts";
import type { Applied } from "../lib/dataplane/apply.ts";
import { type Desired, NOTHING_DESIRED } from "../lib/model/desired.ts";
import { turns, until } from "../tests/support/until.ts";
import { EnforcementLoop } from "./loop.ts";

const OPTIONS = {};
const APPLIED: Applied = { requests: 1, chains: 0, sets: 0, elements: 0 };

/** A loop over a dataplane that does what `apply` says. */
function loopOver(
  apply: () => Promise<Applied>,
  resyncIntervalMs = 0,
  takeTurn: () => boolean = () => false,
): {
  readonly loop: EnforcementLoop;
  readonly seen: string[];
  readonly log: Record<string, unknown>[];
  readonly setDesired: (desired: Desired) => void;
} {
  const seen: string[] = [];
  const log: Record<string, unknown>[] = [];
  let desired = NOTHING_DESIRED;
  const loop = new EnforcementLoop({
    flush: () => {
      seen.push("flush");
      return desired;
    },
    dataplane: {
      apply: () => {
        seen.push("apply");
        return apply();
      },
      invalidate: () => seen.push("invalidate"),
      doubt: () => seen.push("doubt"),
    },
    compileOptions: () => OPTIONS,
    resyncIntervalMs,
    takeTurn: () => {
      const isTaken = takeTurn();
      if (isTaken) seen.push("turn");
      return isTaken;
    },
    logger: createLogger({ write: (line) => log.push(JSON.parse(line)) }),
    clock: {
      nowMs: () => Date.now(),
      sleep: (durationMs) => new Promise((resolve) => setTimeout(resolve, Math.min(durationMs, 5))),
    },
    random: () => 0,
  });
  return { loop, seen, log, setDesired: (it) => desired = it };
}

/** Long enough for what a loop does by itself, whose waits are of 5 ms at most. */
function rest(): Promise<void> {
  return turns(10, 6);
}

Deno.test("EnforcementLoop writes nothing before it is started", async () => {
  const { loop, seen } = loopOver(() => Promise.resolve(APPLIED));
  loop.kick();
  await rest();
  assertEquals(seen, []);
});

Deno.test("EnforcementLoop makes one apply of many kicks, and then rests", async () => {
  const { loop, seen } = loopOver(() => Promise.resolve(APPLIED));
  const stop = new AbortController();
  for (let i = 0; i < 10; i++) loop.kick();
  const running = loop.start(stop.signal);
  await rest();
  assertEquals(seen, ["flush", "apply"]);
  assertEquals([loop.enforcedEpoch, loop.counts.applied], [10, 1]);
  loop.kick();
  await rest();
  assertEquals(seen, ["flush", "apply", "flush", "apply"]);
  stop.abort();
  await running;
});

Deno.test("EnforcementLoop tries again what failed, after reading the kernel", async () => {
  let failures = 2;
  const { loop, seen } = loopOver(() =>
    failures-- > 0 ? Promise.reject(new Error("no")) : Promise.resolve(APPLIED)
  );
  const stop = new AbortController();
  const running = loop.start(stop.signal);
  await rest();
  assertEquals(seen, [
    ...["flush", "apply", "invalidate", "flush", "apply", "invalidate", "flush", "apply"],
  ]);
  assertEquals([loop.counts.failed, loop.counts.applied, loop.failingSinceMs], [2, 1, undefined]);
  stop.abort();
  await running;
});

Deno.test("EnforcementLoop counts a kick during an apply for the next one", async () => {
  const first = Promise.withResolvers<Applied>();
  let calls = 0;
  const { loop } = loopOver(() => ++calls === 1 ? first.promise : Promise.resolve(APPLIED));
  const stop = new AbortController();
  const running = loop.start(stop.signal);
  await rest();
  const epoch = loop.kick();
  let isWoken = false;
  loop.nextApply(stop.signal).then(() => isWoken = true);
  first.resolve(APPLIED);
  await Promise.resolve();
  assertEquals(loop.enforcedEpoch < epoch, true);
  await rest();
  assertEquals([loop.enforcedEpoch, isWoken, calls], [epoch, true, 2]);
  stop.abort();
  await running;
});

Deno.test("EnforcementLoop gives each fact that waits a flush of its own", async () => {
  let waiting = 3;
  const turn = (): boolean => waiting-- > 0;
  const { loop, seen } = loopOver(() => Promise.resolve(APPLIED), 0, turn);
  const stop = new AbortController();
  const running = loop.start(stop.signal);
  await until("all had turns", () => loop.counts.applied === 4);
  await rest();
  const flush = ["flush", "apply"];
  assertEquals(seen, [flush, "turn", flush, "turn", flush, "turn", flush].flat());
  stop.abort();
  await running;
});

Deno.test("EnforcementLoop takes what came during a turn before the next turn, and then goes on", async () => {
  let waiting = 3;
  const { loop, seen } = loopOver(
    () => {
      // In the flush of the first turn, and in the one behind it, something else changes.
      const turns = seen.filter((it) => it === "turn").length;
      if (turns === 1) {
        seen.push("change");
        loop.kick();
      }
      return Promise.resolve(APPLIED);
    },
    0,
    () => waiting-- > 0,
  );
  const stop = new AbortController();
  const running = loop.start(stop.signal);
  await until("all had turns", () => seen.filter((it) => it === "turn").length === 3);
  await rest();
  assertEquals(
    seen.slice(0, 10),
    ["flush", "apply", "turn", "flush", "apply", "change", "flush", "apply", "change", "turn"],
  );
  stop.abort();
  await running;
});

Deno.test("EnforcementLoop reports pods that claim one interface when that changes", async () => {
  const { loop, log, setDesired } = loopOver(() => Promise.resolve(APPLIED));
  const stop = new AbortController();
  const running = loop.start(stop.signal);
  const conflicts = new Map([["cali1", ["x/a", "x/b"]]]);
  for (
    const desired of [NOTHING_DESIRED, { ...NOTHING_DESIRED, conflicts }, {
      ...NOTHING_DESIRED,
      conflicts,
    }, NOTHING_DESIRED]
  ) {
    setDesired(desired);
    loop.kick();
    await rest();
  }
  stop.abort();
  await running;
  assertEquals(
    log.filter((it) => /^interface (claimed|conflicts)/.test(String(it.message))).map((it) =>
      it.conflicts
    ),
    ["Interface cali1 is claimed by x/a and x/b: open for one of them at most", undefined],
  );
});

Deno.test("EnforcementLoop compares with the kernel now and then", async () => {
  const { loop, seen } = loopOver(() => Promise.resolve(APPLIED), 10);
  const stop = new AbortController();
  const running = loop.start(stop.signal);
  await rest();
  stop.abort();
  await running;
  await rest(); // for the timer of a wait that was given up
  assertEquals(seen.filter((it) => it === "doubt").length >= 2, true);
});
