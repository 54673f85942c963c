/** The compiled executables, run as a user runs them. */

import { until } from "../until.ts";

/** Where `deno task build` puts them. */
export const DIST: string = Deno.env.get("CALYX_DIST") ??
  `${import.meta.dirname}/../../../dist`;

/** What came of a run. */
export interface RunResult {
  readonly code: number;
  /** What ended it; null where it ended by itself. */
  readonly signal: Deno.Signal | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}

/** What an executable gets; nothing else of our own environment reaches it. */
export interface RunOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
}

/** Runs `calyx`, `calyxctl` or `calyx-agent` to its end. */
export function runExecutable(
  name: "calyx" | "calyxctl" | "calyx-agent",
  options: RunOptions = {},
): Promise<RunResult> {
  return runProgram(`${DIST}/${name}`, options);
}

/** Runs the program at `path` to its end, in the same way. */
export async function runProgram(path: string, options: RunOptions = {}): Promise<RunResult> {
  const startMs = performance.now();
  const child = new Deno.Command(path, {
    args: [...options.args ?? []],
    env: { PATH: "/usr/bin:/bin", ...options.env },
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const written = writer.write(new TextEncoder().encode(options.stdin ?? ""))
    .then(() => writer.close()).catch(() => {}); // it may exit without reading
  const { code, signal, stdout, stderr } = await child.output();
  const durationMs = performance.now() - startMs;
  await written;
  const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return { code, signal, stdout: decode(stdout), stderr: decode(stderr), durationMs };
}

/** A running agent. */
export class RunningAgent implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #log: string[] = [];
  readonly #reading: Promise<void>;

  /** @param source a TypeScript program that runs the agent, in place of the executable */
  constructor(options: RunOptions, source?: string) {
    const [command = "", ...args] = source === undefined
      ? [`${DIST}/calyx-agent`]
      : [Deno.execPath(), "run", "-A", "--no-check", source];
    this.#child = new Deno.Command(command, {
      args: [...args, ...options.args ?? []],
      env: { PATH: "/usr/bin:/bin", ...options.env },
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#reading = this.#read();
  }

  /** What it has logged so far. */
  get log(): string {
    return this.#log.join("");
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Resolves when it has ended. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#child.status;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /**
   * Waits until `done` says so; what it throws counts as "not yet".
   *
   * @throws {Error} with the log, if it never does or the agent ends
   */
  async until(what: string, done: () => boolean | Promise<boolean>): Promise<void> {
    let isRunning = true;
    this.#child.status.then(() => isRunning = false);
    let reason: unknown = "";
    const isDone = async (): Promise<boolean> => {
      try {
        return await done();
      } catch (error) {
        reason = error;
        return false;
      }
    };
    await until(
      what,
      async () => {
        if (await isDone()) return true;
        if (!isRunning) throw new Error(`${what}: the agent has ended; its log:\n${this.log}`);
        return false;
      },
      () => `${reason}; the agent's log:\n${this.log}`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // It has ended.
    }
    await this.#child.status;
    await this.#reading;
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stderr) {
      this.#log.push(decoder.decode(chunk, { stream: true }));
    }
  }
}
