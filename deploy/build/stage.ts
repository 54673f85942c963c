/**
 * The folder in which a build happens, and how Deno is called in it. It lies beside the results, so
 * that these are renamed into their place; nothing in it outlives the build.
 */

/** The build cannot go on; the message says why. */
export class BuildError extends Error {
  override readonly name = "BuildError";
}

const PREFIX = ".stage-";

/**
 * Makes a stage in `dist`, and removes those that killed builds left there. A signal that ends this
 * process takes the stage with it.
 *
 * @param config the stage's own deno.json: what lies above it (node_modules!) is then not looked at
 */
export async function openStage(dist: string, config: unknown): Promise<string> {
  for await (const { name } of Deno.readDir(dist)) {
    if (name.startsWith(PREFIX)) await Deno.remove(`${dist}/${name}`, { recursive: true });
  }
  const stage = await Deno.makeTempDir({ dir: dist, prefix: PREFIX });
  await Deno.writeTextFile(`${stage}/deno.json`, JSON.stringify(config));
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    Deno.addSignalListener(signal, () => {
      Deno.removeSync(stage, { recursive: true });
      Deno.exit(code);
    });
  }
  return stage;
}

/**
 * Runs `deno` in `cwd`.
 *
 * @throws {BuildError} with what it says when it fails
 */
export async function runDeno(
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd,
    env: { ...env, NO_COLOR: "1", DENO_TLS_CA_STORE: "system,mozilla" },
    stdin: "null",
  }).output();
  if (success) return;
  throw new BuildError(`deno ${args[0]}: ${new TextDecoder().decode(stderr).trim()}`);
}

/** Writes a file dated 1970: `deno compile` embeds the time, and builds are to be comparable. */
export async function writeUndated(path: string, content: string | Uint8Array): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  await Deno.writeFile(path, bytes);
  await Deno.utime(path, 0, 0);
}
