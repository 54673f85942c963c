import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { AssertionError } from "../base/assert.ts";
import { sleep } from "../base/async.ts";
import { Descriptor } from "./descriptor.ts";
import { check } from "./errno.ts";
import { Poller } from "./poller.ts";
import { libc } from "./symbols.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

/** A counter of the kernel: readable while it is not 0. */
class Counter extends Descriptor {
  constructor() {
    super(check("open eventfd", libc().eventfd(0, 0o4000)));
  }
  add(): void {
    const one = new Uint8Array(8);
    one[0] = 1;
    libc().write(this.fd, one, 8n);
  }
  read(): void {
    libc().read(this.fd, new Uint8Array(8), 8n);
  }
}

/** Resolves at the next call of its function. */
class Event {
  #resolve: () => void = () => {};
  happened: Promise<void> = new Promise((resolve) => this.#resolve = resolve);
  fire(): void {
    this.#resolve();
    this.happened = new Promise((resolve) => this.#resolve = resolve);
  }
}

Deno.test("Poller tells each reader of its own descriptor", async () => {
  using a = new Counter();
  using b = new Counter();
  const seen: string[] = [];
  const event = new Event();
  const onReadable = (name: string, counter: Counter) => () => {
    counter.read();
    seen.push(name);
    event.fire();
  };
  const poller = new Poller();
  poller.watch(a.fd, onReadable("a", a));
  poller.watch(b.fd, onReadable("b", b));
  for (const counter of [b, a, b]) {
    const { happened } = event;
    counter.add();
    await happened;
  }
  assertEquals(seen, ["b", "a", "b"]);
  poller[Symbol.dispose]();
  await poller.done;
});

Deno.test("Poller tells again until all is read", async () => {
  using counter = new Counter();
  const poller = new Poller();
  const event = new Event();
  let calls = 0;
  counter.add();
  poller.watch(counter.fd, () => {
    if (++calls < 3) return;
    counter.read();
    event.fire();
  });
  await event.happened;
  poller[Symbol.dispose]();
  await poller.done;
  assertEquals(calls, 3);
});

Deno.test("Poller forgets a watch that is disposed, though its turn was next", async () => {
  using a = new Counter();
  using b = new Counter();
  const poller = new Poller();
  const event = new Event();
  let calls = 0;
  a.add();
  b.add(); // the same poll(2) reports both
  poller.watch(a.fd, () => {
    a.read();
    watch[Symbol.dispose]();
    watch[Symbol.dispose](); // twice is once
    event.fire();
  });
  const watch = poller.watch(b.fd, () => calls++);
  await event.happened;
  const { happened } = event;
  poller.watch(b.fd, () => event.fire()); // another watch of the same descriptor is told
  await happened;
  assertEquals(calls, 0);
  poller[Symbol.dispose]();
  await poller.done;
});

Deno.test("Poller calls no callback after it is disposed", async () => {
  using counter = new Counter();
  const poller = new Poller();
  let calls = 0;
  poller.watch(counter.fd, () => calls++);
  counter.add();
  poller[Symbol.dispose]();
  poller[Symbol.dispose]();
  await poller.done;
  assertEquals(calls, 0);
  assertThrows(() => poller.watch(counter.fd, () => {}), AssertionError, "closed");
});

Deno.test("Poller closes when a reader throws, and says what", async () => {
  using counter = new Counter();
  const poller = new Poller();
  const watch = poller.watch(counter.fd, () => {
    throw new SyntaxError("on purpose");
  });
  counter.add();
  await assertRejects(() => poller.done, SyntaxError, "on purpose");
  watch[Symbol.dispose]();
  poller[Symbol.dispose]();
});

Deno.test("Poller closes when a descriptor is closed that it watches", async () => {
  const counter = new Counter();
  const poller = new Poller();
  counter[Symbol.dispose]();
  poller.watch(counter.fd, () => {});
  await assertRejects(() => poller.done, AssertionError, "was closed while it was watched");
});

Deno.test("Poller outlives garbage collection while it waits", async () => {
  using counter = new Counter();
  const poller = new Poller();
  const event = new Event();
  poller.watch(counter.fd, () => {
    counter.read();
    event.fire();
  });
  for (let round = 0; round < 5; round++) {
    const { happened } = event;
    await sleep(1); // poll(2) is under way
    for (let i = 0; i < 200; i++) new Uint8Array(100_000).fill(0xff);
    counter.add();
    await happened;
  }
  poller[Symbol.dispose]();
  await poller.done;
});

function countDescriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

Deno.test("Poller leaves no descriptor open", async () => {
  const before = countDescriptors();
  const poller = new Poller();
  poller[Symbol.dispose]();
  await poller.done;
  assertEquals(countDescriptors(), before);
});
