import { assertEquals, assertMatch } from "@std/assert";
import { skippableTest } from "../../tests/support/program/program.ts";

const dist = Deno.env.get("CALYX_DIST");
const reason = dist === undefined
  ? "CALYX_DIST names no build (`deno task test` sets it)"
  : undefined;
const version: string =
  JSON.parse(Deno.readTextFileSync(new URL("../../deno.json", import.meta.url))).version;

for (const name of ["calyx", "calyx-agent", "calyxctl"]) {
  skippableTest(`${name} knows its version and leaves nothing in TMPDIR`, reason, async () => {
    const folder = await Deno.makeTempDir();
    const { code, stdout, stderr } = await new Deno.Command(`${dist}/${name}`, {
      args: ["--version"],
      clearEnv: true,
      env: { TMPDIR: folder },
    }).output();
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assertMatch(text, new RegExp(`^\\S+ ${version} \\(commit \\S+, deno \\S+\\)`, "m"));
    assertEquals(code, 0);
    await Deno.remove(folder); // which fails where it is not empty
  });
}

const refusals = [
  {
    what: "deno as the compile base",
    env: { DENORT_BIN: Deno.execPath() },
    args: [],
    message: "is refused because it is `deno` itself",
  },
  {
    what: "a compile base that is not there",
    env: { DENORT_BIN: "/nowhere/denort" },
    args: [],
    message: 'DENORT_BIN="/nowhere/denort" cannot be read',
  },
  {
    what: "an unknown target",
    env: {},
    args: ["--target", "riscv64"],
    message: "Target must be x86_64-unknown-linux-gnu or aarch64-unknown-linux-gnu",
  },
  {
    what: "an unknown executable",
    env: {},
    args: ["calyxd"],
    message: 'Executable must be one of calyx, calyx-agent, calyxctl: got "calyxd"',
  },
];

for (const { what, env, args, message } of refusals) {
  Deno.test(`build refuses ${what} in one sentence`, async () => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", new URL("build.ts", import.meta.url).href, ...args],
      env,
    }).output();
    const text = new TextDecoder().decode(stdout);
    assertEquals([code, new TextDecoder().decode(stderr)], [1, ""]);
    assertEquals(text.split("\n").length, 2, text);
    assertEquals(text.includes(message), true, text);
  });
}
