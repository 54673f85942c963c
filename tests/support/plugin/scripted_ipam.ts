/**
 * An IPAM plugin for tests, as a shell script: it notes how it is called and does what it is told to.
 * For what a delegating plugin owes its delegate, which no real one would show.
 */

/** One such plugin in a folder of its own, deleted when it is disposed of. */
export class ScriptedIpam implements Disposable {
  /** Its folder, for CNI_PATH. */
  readonly folder: string = Deno.makeTempDirSync({ dir: "/run" });
  /** Its type. */
  readonly type = "scripted";

  /** @param result what it prints for ADD */
  constructor(result: unknown) {
    Deno.writeTextFileSync(`${this.folder}/result`, JSON.stringify(result));
    Deno.writeTextFileSync(
      `${this.folder}/${this.type}`,
      `#!/bin/sh
cd "$(dirname "$0")"
cat >"stdin.$CNI_COMMAND"
env | grep -e ^CNI_ -e ^TRACEPARENT= >"env.$CNI_COMMAND"
echo "$CNI_COMMAND" >>calls
echo "scripted $CNI_COMMAND" >&2
if [ -e "fail.$CNI_COMMAND" ]; then cat "fail.$CNI_COMMAND"; exit 1; fi
if [ "$CNI_COMMAND" = ADD ]; then cat result; fi
`,
      { mode: 0o755 },
    );
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.folder, { recursive: true });
  }

  /** Lets it fail `command`, with this on stdout. */
  fail(command: string, stdout: string): void {
    Deno.writeTextFileSync(`${this.folder}/fail.${command}`, stdout);
  }

  /** The commands so far, in their order; they are forgotten then. */
  takeCalls(): string[] {
    const text = this.#read("calls");
    Deno.writeTextFileSync(`${this.folder}/calls`, "");
    return text.split("\n").filter((it) => it !== "");
  }

  /** What it found on stdin at its last call of `command`. */
  stdinOf(command: string): string {
    return this.#read(`stdin.${command}`);
  }

  /** The variables of its last call of `command`. */
  environmentOf(command: string): Record<string, string> {
    const lines = this.#read(`env.${command}`).split("\n").filter((it) => it !== "");
    return Object.fromEntries(lines.map((it) => {
      const at = it.indexOf("=");
      return [it.slice(0, at), it.slice(at + 1)];
    }));
  }

  #read(name: string): string {
    try {
      return Deno.readTextFileSync(`${this.folder}/${name}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "";
      throw error;
    }
  }
}
