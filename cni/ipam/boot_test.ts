import { assert, assertEquals } from "@std/assert";
import { libc } from "../../lib/kernel/symbols.ts";
import { readBoot } from "./boot.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

Deno.test("readBoot() reads the kernel's id, and a time before every file of this boot", async () => {
  const boot = readBoot(undefined);
  const id = await Deno.readTextFile("/proc/sys/kernel/random/boot_id");
  assertEquals([boot.source, boot.id], ["/proc/sys/kernel/random/boot_id", id.trim()]);
  const uptimeMs = parseFloat(await Deno.readTextFile("/proc/uptime")) * 1000;
  const startMs = boot.startMs(true) ?? NaN;
  assertEquals(boot.startMs(false), startMs);
  assert(startMs <= Date.now() - uptimeMs, `${new Date(startMs)}`);
});

Deno.test("readBoot() reads a file of its own, and trusts its age when it is known", async () => {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, "start 7\n");
  await Deno.utime(path, 1_700_000_000, 1_700_000_000);
  const boot = readBoot(path);
  assertEquals([boot.source, boot.id], [path, "start_7"]);
  assertEquals(boot.startMs(true), 1_700_000_000_000);
  assertEquals(boot.startMs(false), readBoot(undefined).startMs(false));
  await Deno.remove(path);
  assertEquals([readBoot(path).id, boot.startMs(true)], ["", undefined]);
});
