import { assertEquals } from "@std/assert";
import { until } from "../tests/support/until.ts";
import { PacedLoop, type PacedLoopOptions } from "./paced_loop.ts";

/** A loop on a clock that moves when the loop sleeps, and what it did. */
class Scene {
  readonly seen: string[] = [];
  readonly loop: PacedLoop;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  nowMs = 0;

  constructor(
    work: (scene: Scene) => void | Promise<void> = () => {},
    options: Partial<PacedLoopOptions> = {},
  ) {
    this.loop = new PacedLoop({
      work: async () => {
        this.loop.settle();
        this.seen.push("work");
        await work(this);
        return 5;
      },
      onFailure: (error, { delayMs, failures }) =>
        void this.seen.push(`${error}: ${failures}, ${delayMs} ms`),
      retry: { delayMsMin: 100, delayMsMax: 1_000 },
      clock: {
        nowMs: () => this.nowMs,
        sleep: (durationMs) => {
          this.nowMs += durationMs;
          return new Promise((resolve) => setTimeout(resolve, 0));
        },
      },
      random: () => 1,
      ...options,
    });
  }

  start(): void {
    this.#running = this.loop.start(this.#stop.signal);
  }

  /** Waits for `count` events, and ends the loop. */
  async after(count: number): Promise<readonly string[]> {
    await until(`${count} events`, () => this.seen.length >= count, () => this.seen.join(", "));
    this.#stop.abort();
    await this.#running;
    return this.seen.slice(0, count);
  }
}

Deno.test("PacedLoop makes one round of many kicks, and another of a kick during it", async () => {
  let rounds = 0;
  const scene = new Scene(({ loop }) => {
    if (++rounds === 1) loop.kick();
  });
  for (let i = 0; i < 10; i++) scene.loop.kick();
  scene.start();
  await until("both rounds", () => rounds === 2);
  await until("it rests", () => scene.nowMs === 10 && !scene.loop.isDirty);
  assertEquals(await scene.after(2), ["work", "work"]);
  assertEquals(rounds, 2);
});

Deno.test("PacedLoop tries again what failed, later each time, and from the start after a success", async () => {
  let rounds = 0;
  const scene = new Scene(({ loop }) => {
    if (++rounds === 3) loop.kick();
    else throw new Error("no");
  });
  scene.start();
  assertEquals(await scene.after(7), [
    ...["work", "Error: no: 1, 100 ms", "work", "Error: no: 2, 200 ms"],
    ...["work", "work", "Error: no: 1, 100 ms"],
  ]);
});

Deno.test("PacedLoop works without a kick when it is due, and then not again", async () => {
  const scene = new Scene(({ loop, seen, nowMs }) => {
    if (!loop.isDue) return;
    seen.push(`due at ${loop.dueAtMs}, ${nowMs}`);
    loop.repeatAfter(seen.length < 5 ? 1_000 : 0);
  });
  scene.loop.repeatAfter(1_000);
  scene.start();
  assertEquals(
    await scene.after(5),
    ["work", "work", "due at 1000, 1000", "work", "due at 2000, 2000"],
  );
  assertEquals(scene.loop.dueAtMs, Infinity);
});

Deno.test("PacedLoop takes what came during a turn before the next turn", async () => {
  let waiting = 3;
  const scene = new Scene(({ loop, seen }) => {
    if (seen.filter((it) => it === "turn").length === 1) loop.kick();
  }, {
    takeTurn: () => {
      if (waiting-- <= 0) return false;
      scene.seen.push("turn");
      return true;
    },
  });
  scene.start();
  assertEquals(
    await scene.after(8),
    ["work", "turn", "work", "work", "turn", "work", "turn", "work"],
  );
});

Deno.test("PacedLoop ends while it sleeps for good", async () => {
  const scene = new Scene();
  scene.start();
  await until("it sleeps", () => scene.nowMs === 5);
  assertEquals(await scene.after(1), ["work"]);
});
