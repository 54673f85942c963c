/** A server program that a test runs: its log in a file, a wait for it, an end to it. */

import { PATIENCE_MS, sleep } from "../until.ts";

/** A running program. */
export interface TestServer {
  /**
   * Waits until `isReady` resolves to true; what it throws counts as "not yet".
   *
   * @throws {Error} if the program ends first, or it never does, with the end of its log
   */
  waitUntil(isReady: () => Promise<boolean>): Promise<void>;
  /**
   * Ends the program: politely, then by force.
   *
   * @throws {Error} if it had ended by itself, with the end of its log
   */
  stop(): Promise<void>;
}

const POLL_MS = 50;
const STOP_MS_MAX = 5000;
const LOG_LINES_SHOWN = 15;

/** Starts `command` in `directory`; what it prints is appended to `<name>.log` there. */
export function startServer(
  name: string,
  directory: string,
  command: readonly string[],
): TestServer {
  const log = `${directory}/${name}.log`;
  const child = new Deno.Command("sh", {
    args: ["-c", 'log=$1; shift; exec "$@" >>"$log" 2>&1', "sh", log, ...command],
    cwd: directory,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let code: number | undefined;
  const ended = child.status.then((status) => {
    code = status.code;
  });
  const failure = async (why: string): Promise<Error> => {
    const text = await Deno.readTextFile(log).catch(() => "");
    const tail = text.trimEnd().split("\n").slice(-LOG_LINES_SHOWN).join("\n");
    return new Error(`${name} ${why}; its log ends:\n${tail}`);
  };
  return {
    async waitUntil(isReady) {
      const deadlineMs = performance.now() + PATIENCE_MS;
      while (!await isReady().catch(() => false)) {
        if (code !== undefined) throw await failure(`ended with code ${code}`);
        if (performance.now() > deadlineMs) {
          throw await failure(`was not ready after ${PATIENCE_MS} ms`);
        }
        await sleep(POLL_MS);
      }
    },
    async stop() {
      if (code !== undefined) throw await failure(`had ended by itself with code ${code}`);
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
      await ended;
      clearTimeout(timer);
    },
  };
}
