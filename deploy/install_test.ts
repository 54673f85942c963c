import { assertEquals, assertStringIncludes } from "@std/assert";

const ROOT = await Deno.realPath(`${import.meta.dirname}/..`);
const SCRIPT = `${ROOT}/deploy/install.sh`;
const CONFLIST = "etc/cni/net.d/10-calyx.conflist";

/** A root to install into and a folder of things that pass for executables. */
async function withFolders(
  fn: (dest: string, from: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const name of ["calyx", "calyx-agent", "calyxctl"]) {
      await writeProgram(folder, name, "old");
    }
    await fn(`${folder}/root`, `${folder}/from`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function writeProgram(folder: string, name: string, word: string): Promise<void> {
  await Deno.mkdir(`${folder}/from`, { recursive: true });
  await Deno.writeTextFile(`${folder}/from/${name}`, `#!/bin/sh\necho ${name} ${word}\n`);
}

async function install(
  dest: string,
  from: string,
  words: readonly string[],
  env: Record<string, string> = {},
  script = SCRIPT,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const command = new Deno.Command("sh", {
    args: [script, ...words],
    env: { DESTDIR: dest, CALYX_FROM: from, ...env },
  });
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Every file under `folder`, with its mode. */
async function list(folder: string, prefix = ""): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await list(path, `${prefix}${name}/`));
    else {
      const mode = ((await Deno.stat(path)).mode ?? 0) & 0o777;
      found.push(`${mode.toString(8)} ${prefix}${name}`);
    }
  }
  return found.sort();
}

const EVERYTHING = [
  "600 etc/default/calyx-agent",
  `644 ${CONFLIST}`,
  "644 etc/systemd/system/calyx-agent.service",
  "755 opt/cni/bin/calyx",
  "755 usr/local/bin/calyx-agent",
  "755 usr/local/bin/calyxctl",
];

Deno.test("install.sh installs everything, and again the same", async () => {
  await withFolders(async (dest, from) => {
    for (let i = 0; i < 2; i++) {
      const { code, stderr } = await install(dest, from, []);
      assertEquals([code, stderr], [0, ""]);
      assertEquals(await list(dest), EVERYTHING);
    }
  });
});

Deno.test("install.sh installs the parts that are named", async () => {
  await withFolders(async (dest, from) => {
    const { stdout } = await install(dest, from, ["plugin", "ctl"]);
    assertEquals(
      stdout,
      [
        `${dest}/opt/cni/bin/calyx`,
        `${dest}/${CONFLIST}`,
        `${dest}/usr/local/bin/calyxctl\n`,
      ].join("\n"),
    );
  });
});

Deno.test("install.sh replaces executables but not an administrator's files", async () => {
  await withFolders(async (dest, from) => {
    await install(dest, from, []);
    await Deno.writeTextFile(`${dest}/${CONFLIST}`, "mine");
    await Deno.writeTextFile(`${dest}/etc/default/calyx-agent`, "mine");
    await writeProgram(`${from}/..`, "calyx", "new");
    await install(dest, from, []);
    assertEquals(await Deno.readTextFile(`${dest}/${CONFLIST}`), "mine");
    assertEquals(await Deno.readTextFile(`${dest}/etc/default/calyx-agent`), "mine");
    assertStringIncludes(await Deno.readTextFile(`${dest}/opt/cni/bin/calyx`), "calyx new");
  });
});

Deno.test("install.sh takes the configuration that it is given, always", async () => {
  await withFolders(async (dest, from) => {
    await install(dest, from, ["plugin"]);
    const given = `${from}/given`;
    await Deno.writeTextFile(given, "given");
    await install(dest, from, ["plugin"], { CALYX_CNI_CONFIG: given });
    assertEquals(await Deno.readTextFile(`${dest}/${CONFLIST}`), "given");
  });
});

Deno.test("install.sh configures no plugin that it could not copy", async () => {
  await withFolders(async (dest, from) => {
    await Deno.remove(`${from}/calyx`);
    const { code, stderr } = await install(dest, from, ["plugin"], {
      CALYX_CNI_CONFIG: `${from}/calyxctl`,
    });
    assertEquals(code, 1);
    assertStringIncludes(stderr, "is missing: run `deno task build` first, or set CALYX_FROM");
    assertEquals(await Deno.stat(`${dest}/${CONFLIST}`).catch(() => "none"), "none");
  });
});

Deno.test("install.sh in the image finds the plugin and its configuration beside itself", async () => {
  await withFolders(async (dest, from) => {
    const image = `${from}/../image`;
    await copyIntoImage(image, from);
    const { code, stderr } = await install(
      dest,
      "",
      ["plugin"],
      {},
      `${image}/opt/calyx/install.sh`,
    );
    assertEquals([code, stderr], [0, ""]);
    assertEquals(await list(dest), [`644 ${CONFLIST}`, "755 opt/cni/bin/calyx"]);
  });
});

/** What the lines `COPY FILE… FOLDER/` of the Dockerfile do; executables come from `dist`. */
async function copyIntoImage(image: string, dist: string): Promise<void> {
  const dockerfile = await Deno.readTextFile(`${ROOT}/deploy/image/Dockerfile`);
  for (const [, files = "", folder] of dockerfile.matchAll(/^COPY (.*) (\S+\/)$/gm)) {
    await Deno.mkdir(`${image}${folder}`, { recursive: true });
    for (const file of files.split(" ")) {
      const name = file.slice(file.lastIndexOf("/") + 1);
      const source = file.startsWith("dist/") ? dist : `${ROOT}/${file.slice(0, -name.length)}`;
      await Deno.copyFile(`${source}/${name}`, `${image}${folder}${name}`);
    }
  }
}

Deno.test("install.sh replaces a plugin that is running", async () => {
  await withFolders(async (dest, from) => {
    await Deno.copyFile("/bin/sleep", `${from}/calyx`);
    await install(dest, from, ["plugin"]);
    const child = new Deno.Command(`${dest}/opt/cni/bin/calyx`, { args: ["60"] }).spawn();
    try {
      assertEquals((await install(dest, from, ["plugin"])).code, 0);
    } finally {
      child.kill("SIGKILL");
      await child.status;
    }
  });
});

Deno.test("install.sh remove takes away all but settings", async () => {
  await withFolders(async (dest, from) => {
    await install(dest, from, []);
    assertEquals((await install(dest, from, ["remove"])).code, 0);
    assertEquals(await list(dest), ["600 etc/default/calyx-agent"]);
  });
});

for (const words of [["agents"], ["plugin", "remove"]]) {
  Deno.test(`install.sh ${words.join(" ")} does nothing and says why`, async () => {
    await withFolders(async (dest, from) => {
      const { code, stderr } = await install(dest, from, words);
      assertEquals(code, 1);
      assertStringIncludes(stderr, "install.sh: ");
      assertEquals(await Deno.stat(dest).catch(() => "none"), "none");
    });
  });
}
