/** What the store knows without reading all files, and that it is never wrong. */

import { assertEquals } from "@std/assert";
import { ReservationFolder } from "../../tests/support/plugin/reservation_folder.ts";
import { ReservationStore } from "./store.ts";

const ETH0 = { ifname: "eth0" };

function reserve(folder: ReservationFolder, address: string, containerId: string): void {
  folder.use((it) => assertEquals(it.reserve(address, { containerId, ...ETH0 }, 0), true));
}

/** All reservations, as `address container`. */
function held(folder: ReservationFolder): string[] {
  const lines = folder.use((it) =>
    it.reservations.map(({ address, holder }) => `${address} ${holder?.containerId ?? "?"}`)
  );
  return lines.sort();
}

/** Counts how many address files `f` opens. */
function countReads(f: () => void): number {
  const original = Deno.openSync;
  let count = 0;
  Deno.openSync = (path, options) => {
    if (/\/[0-9.]+$/.test(String(path)) && options === undefined) count++;
    return original(path, options);
  };
  try {
    f();
  } finally {
    Deno.openSync = original;
  }
  return count;
}

Deno.test("ReservationStore reads no address file but the ones concerned", () => {
  using folder = new ReservationFolder();
  for (let index = 2; index < 102; index++) reserve(folder, `10.1.0.${index}`, `c${index}`);
  const work = (): void => {
    reserve(folder, "10.1.0.200", "new");
    folder.use((it) => assertEquals(it.of({ containerId: "c7", ...ETH0 }), ["10.1.0.7"]));
    folder.use((it) => it.release("10.1.0.200", { containerId: "new", ...ETH0 }));
  };
  assertEquals(countReads(work), 1);
  folder.write("10.1.0.250", "theirs\r\neth0");
  assertEquals(countReads(work), 102);
  assertEquals(countReads(work), 1);
});

Deno.test("ReservationStore notices every change that another program makes to the files", () => {
  using folder = new ReservationFolder();
  reserve(folder, "10.1.0.2", "a");
  folder.write("10.1.0.3", "b\r\neth0");
  assertEquals(held(folder), ["10.1.0.2 a", "10.1.0.3 b"]);
  Deno.removeSync(`${folder.path}/10.1.0.2`);
  assertEquals(held(folder), ["10.1.0.3 b"]);
  // The same number of files, the same names.
  Deno.removeSync(`${folder.path}/10.1.0.3`);
  folder.write("10.1.0.3", "c\r\neth0");
  assertEquals(held(folder), ["10.1.0.3 c"]);
  Deno.renameSync(`${folder.path}/10.1.0.3`, `${folder.path}/10.1.0.4`);
  assertEquals(held(folder), ["10.1.0.4 c"]);
});

Deno.test("ReservationStore rebuilds its index when it is missing, cut off, or of another folder", () => {
  using folder = new ReservationFolder();
  reserve(folder, "10.1.0.2", "a");
  const path = `${folder.path}/.calyx`;
  const text = Deno.readTextFileSync(path);
  const time = Deno.statSync(folder.path).mtime ?? new Date();
  const changes: readonly (readonly [string, () => void])[] = [
    ["gone", () => Deno.removeSync(path)],
    ["empty", () => Deno.writeTextFileSync(path, "")],
    ["torn", () => Deno.writeTextFileSync(path, text.slice(0, 100))],
    ["zeros", () => Deno.writeTextFileSync(path, "\0".repeat(text.length))],
    ["version", () => Deno.writeTextFileSync(path, text.replace(" 1\n", " 2\n"))],
    ["junk", () => Deno.writeTextFileSync(path, "junk\0\xff")],
    ["a folder", () => {
      Deno.removeSync(path);
      Deno.mkdirSync(path);
    }],
  ];
  for (const [name, change] of changes) {
    change();
    Deno.utimeSync(folder.path, time, time);
    assertEquals(held(folder), ["10.1.0.2 a"], name);
    if (name !== "a folder") assertEquals(countReads(() => held(folder)), 0, name);
  }
});

Deno.test("ReservationStore frees no address for a container that does not hold it", () => {
  using folder = new ReservationFolder();
  reserve(folder, "10.1.0.2", "a");
  folder.use((it) => {
    assertEquals(it.release("10.1.0.2", { containerId: "b", ...ETH0 }), false);
    assertEquals(it.release("10.1.0.2", { containerId: "a", ifname: "eth1" }), false);
    // Behind our back, while we hold the lock.
    folder.write("10.1.0.2", "c\r\neth0");
    assertEquals(it.release("10.1.0.2", { containerId: "a", ...ETH0 }), false);
    assertEquals(it.reserve("10.1.0.2", { containerId: "d", ...ETH0 }, 0), false);
  });
  assertEquals(folder.addresses, ["10.1.0.2"]);
});

Deno.test("ReservationStore frees after a reboot what was reserved before it", () => {
  using folder = new ReservationFolder();
  reserve(folder, "10.1.0.2", "a");
  folder.write("10.1.0.3", "theirs\r\neth0");
  folder.reboot();
  // Given out in this boot, before we were asked for the first time.
  folder.write("10.1.0.4", "current\r\neth0");
  folder.use((it) => assertEquals([...it.reclaimed].sort(), ["10.1.0.2", "10.1.0.3"]));
  assertEquals(held(folder), ["10.1.0.4 current"]);
  reserve(folder, "10.1.0.5", "b");
  folder.bootMs += 3600_000; // the clock was set since: what is known of this boot stays
  assertEquals(held(folder), ["10.1.0.4 current", "10.1.0.5 b"]);
  folder.reboot();
  assertEquals(held(folder), []);
});

Deno.test("ReservationStore frees by its own notes where files say nothing of time", () => {
  using folder = new ReservationFolder();
  reserve(folder, "10.1.0.2", "a");
  reserve(folder, "10.1.0.3", "b");
  reserve(folder, "10.1.0.4", "c");
  folder.reboot();
  folder.bootMs = 0; // a machine without a clock
  folder.write("10.1.0.3", "new\r\neth0");
  folder.write("10.1.0.5", "unknown\r\neth0");
  assertEquals(held(folder), ["10.1.0.3 new", "10.1.0.5 unknown"]);
});

Deno.test("ReservationStore frees nothing when it does not know the boot", () => {
  using folder = new ReservationFolder();
  reserve(folder, "10.1.0.2", "a");
  folder.bootId = "";
  folder.bootMs = Date.now() + 3600_000;
  assertEquals(held(folder), ["10.1.0.2 a"]);
  // Another source of ids: that they differ means nothing, and a file's age by the kernel's start.
  const kernel = { source: "other", id: "x", startMs: (known: boolean) => known ? Infinity : 0 };
  const open = (): string[] => {
    using store = ReservationStore.open(folder.path, { boot: kernel, nowMs: () => folder.nowMs });
    return store.reservations.map((it) => it.address);
  };
  assertEquals(open(), ["10.1.0.2"]);
});

Deno.test("ReservationStore lets addresses rest that another program freed", () => {
  using folder = new ReservationFolder();
  reserve(folder, "10.1.0.2", "a");
  Deno.removeSync(`${folder.path}/10.1.0.2`);
  assertEquals(folder.use((it) => it.restsSinceMs("10.1.0.2")), folder.nowMs);
  folder.nowMs += 1000;
  assertEquals(folder.use((it) => it.restsSinceMs("10.1.0.2")), folder.nowMs - 1000);
});

Deno.test("ReservationStore.openExisting() makes nothing", () => {
  using folder = new ReservationFolder();
  const boot = { source: "", id: "", startMs: () => undefined };
  const path = `${folder.root}/none`;
  assertEquals(ReservationStore.openExisting(path, { boot, nowMs: () => 0 }), undefined);
  assertEquals([...Deno.readDirSync(folder.root)], []);
});

Deno.test("ReservationStore waits for another process that holds the lock", async () => {
  using folder = new ReservationFolder();
  reserve(folder, "10.1.0.2", "a");
  const script = `flock ${folder.path}/lock sh -c 'echo; sleep 0.3; rm ${folder.path}/10.1.0.2'`;
  const child = new Deno.Command("sh", { args: ["-c", script], stdout: "piped" }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  assertEquals(held(folder), []);
  await reader.cancel();
  await child.status;
});
