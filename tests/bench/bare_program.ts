/**
 * The floor: `console.log` compiled the way our executables are, on the same base. What a program of
 * ours takes beyond it is our doing.
 */

import { resolveCompileBase, type Target } from "../../deploy/build/compile_base.ts";

const TARGET: Target = Deno.build.arch === "aarch64"
  ? "aarch64-unknown-linux-gnu"
  : "x86_64-unknown-linux-gnu";

/**
 * Compiles it into `dist`, unless this Deno has before.
 *
 * @returns its path
 * @throws {Error} if it cannot be compiled
 */
export async function compileBareProgram(dist: string): Promise<string> {
  const path = `${dist}/.bare-${Deno.version.deno}-${Deno.build.arch}`;
  if (await Deno.stat(path).catch(() => undefined) !== undefined) return path;
  const stage = await Deno.makeTempDir({ dir: dist, prefix: ".bare-stage-" });
  try {
    const base = await resolveCompileBase(TARGET, stage);
    await Deno.writeTextFile(`${stage}/bare.js`, `console.log("bare");\n`);
    await Deno.writeTextFile(`${stage}/deno.json`, `{ "nodeModulesDir": "none" }\n`);
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["compile", "-q", "--no-check", "--no-lock", "--no-npm", "--no-remote"],
        ...["--no-code-cache", "--no-prompt", "-o", `${stage}/bare`, `${stage}/bare.js`],
      ],
      cwd: stage,
      env: base.path === undefined ? {} : { DENORT_BIN: base.path },
      stdin: "null",
    }).output();
    if (!success) throw new Error(`compile: ${new TextDecoder().decode(stderr).trim()}`);
    await Deno.rename(`${stage}/bare`, path);
    return path;
  } finally {
    await Deno.remove(stage, { recursive: true });
  }
}
