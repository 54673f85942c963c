/**
 * V8's code cache for a program that is a classic script: the bytecode of all its functions, made at
 * build time and carried in the executable. Without it a start parses the program and compiles each
 * function when it is first called; a CNI plugin, which calls most of its functions once, spends half
 * of its own time on that.
 *
 * Deno's own cache for compiled programs does the same at the second start, but lies under a
 * predictable name in /tmp, where another user may have put it. This one is inside the executable.
 *
 * V8 takes a cache only from its own version, for a source of the same length and under the same flags;
 * otherwise it says `cachedDataRejected` and compiles as ever, which costs time and nothing else.
 */

import { BuildError } from "./stage.ts";

/**
 * Compiles a program onto the compile base, with the flags of the program that gets the cache and with
 * `v8Flags` besides.
 *
 * @param main path of its first file
 * @returns path of the executable
 */
export type CompileScratch = (
  main: string,
  name: string,
  v8Flags?: readonly string[],
) => Promise<string>;

/*
 * SerializedCodeData, v8/src/snapshot/code-serializer.h: 32-bit words, of them magic number, version
 * hash, source hash, flag hash.
 */
const FLAG_HASH_OFFSET = 12;
const FLAG_HASH_BYTES = 4;

/** Compiles a source and writes what V8 would cache of it. */
const MAKE = `import { Script } from "node:vm";
const [source, output] = Deno.args;
Deno.writeFileSync(output, new Script(Deno.readTextFileSync(source)).createCachedData());
`;

/** Compiles a source by its cache, and says with its exit status whether V8 took it. */
const PROVE = `import { Script } from "node:vm";
const [source, cache] = Deno.args;
const cachedData = Deno.readFileSync(cache);
const script = new Script(Deno.readTextFileSync(source), { cachedData });
Deno.exit(script.cachedDataRejected ? 1 : 0);
`;

/**
 * Makes the cache of the script in the file `source`.
 *
 * A cache has the functions that V8 had compiled when it was made. `--no-lazy` compiles all of them at
 * once, but programs that run without this flag refuse what was made under it; so the hash of the flags
 * in its header is replaced by that of a cache made without.
 *
 * @param stage a folder for what is needed on the way
 * @throws {BuildError} if V8 does not take what was made
 */
export async function makeCodeCache(
  source: string,
  stage: string,
  compile: CompileScratch,
): Promise<Uint8Array> {
  await Deno.writeTextFile(`${stage}/make.js`, MAKE);
  await Deno.writeTextFile(`${stage}/prove.js`, PROVE);
  const make = async (name: string, v8Flags: readonly string[] = []): Promise<Uint8Array> => {
    const program = await compile(`${stage}/make.js`, name, v8Flags);
    await run(program, [source, `${program}.cache`]);
    return await Deno.readFile(`${program}.cache`);
  };
  const plain = await make("make-plain");
  const whole = await make("make-whole", ["--no-lazy"]);
  whole.set(plain.subarray(FLAG_HASH_OFFSET, FLAG_HASH_OFFSET + FLAG_HASH_BYTES), FLAG_HASH_OFFSET);
  const cache = `${stage}/whole.cache`;
  await Deno.writeFile(cache, whole);
  const prove = await compile(`${stage}/prove.js`, "prove");
  await run(prove, [source, cache]);
  return whole;
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, {
    args: [...args],
    clearEnv: true,
    stdin: "null",
  }).output();
  if (success) return;
  const reason = new TextDecoder().decode(stderr).trim();
  throw new BuildError(
    `V8 does not take the code cache that was made for it: ${program}${reason && `: ${reason}`}`,
  );
}
