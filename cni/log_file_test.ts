import { assert, assertEquals } from "@std/assert";
import { openLogFile } from "./log_file.ts";

const BOUNDS = { bytesMax: 4096, countMax: 500, ageMsMax: 86_400_000 };

// Log files stay open as long as the process.
const LEAVES_OPEN = { sanitizeResources: false };

Deno.test(
  "openLogFile() goes on with a full file while another renames it",
  LEAVES_OPEN,
  async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/cni.log`;
    const full = "x".repeat(BOUNDS.bytesMax) + "\n";
    await Deno.writeTextFile(path, full);
    {
      using other = await Deno.open(path, { write: true });
      await other.lock(true);
      openLogFile(path, BOUNDS)?.("while it is locked");
    }
    assertEquals(await Deno.readTextFile(path), `${full}while it is locked\n`);
    openLogFile(path, BOUNDS)?.("afterwards");
    assertEquals(await Deno.readTextFile(path), "afterwards\n");
    assertEquals(await Deno.readTextFile(`${path}.1`), `${full}while it is locked\n`);
    await Deno.remove(folder, { recursive: true });
  },
);

Deno.test("openLogFile() keeps every line of many processes, and renames full files only", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/cni.log`;
  const source = new URL("./log_file.ts", import.meta.url).href;
  const lines = 400;
  const code = `
    import { openLogFile } from ${JSON.stringify(source)};
    for (let line = 0; line < ${lines}; line++) {
      openLogFile(${JSON.stringify(path)}, ${JSON.stringify(BOUNDS)})(Deno.pid + " " + line);
    }`;
  const processes = await Promise.all(
    Array.from(
      { length: 4 },
      () => new Deno.Command(Deno.execPath(), { args: ["eval", "--ext=ts", code] }).output(),
    ),
  );
  for (const { success, stderr } of processes) {
    assert(success, new TextDecoder().decode(stderr));
  }
  const texts = new Map<string, string>();
  for await (const { name } of Deno.readDir(folder)) {
    texts.set(name, await Deno.readTextFile(`${folder}/${name}`));
  }
  const written = [...texts.values()].flatMap((it) => it.trimEnd().split("\n"));
  assertEquals(new Set(written).size, processes.length * lines);
  assertEquals(written.length, processes.length * lines);
  const small = [...texts].filter(([name, text]) =>
    name !== "cni.log" && text.length < BOUNDS.bytesMax
  );
  assertEquals(small.map(([name]) => name), []);
  assert(texts.size > 1, "nothing was renamed");
  await Deno.remove(folder, { recursive: true });
});
