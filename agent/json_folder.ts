/**
 * A folder of JSON files that only root reads, one for each thing that must survive a restart. A file is
 * written beside its place and renamed, so that a kill leaves the old one or the new one.
 */

import { writeFileAtomic } from "../lib/base/atomic_file.ts";
import type { Logger } from "../lib/base/log.ts";

/** The files of one kind. */
export class JsonFolder {
  readonly #path: string;
  readonly #what: string;
  readonly #logger: Logger;

  /** `what`: the content of one file, for the log (`attachment`). */
  constructor(path: string, what: string, logger: Logger) {
    this.#path = path;
    this.#what = what;
    this.#logger = logger;
  }

  /** Hands the value of each file to `take`; a file that is no JSON, or that it throws over, is reported and left out. */
  async load(take: (value: unknown) => void): Promise<void> {
    await Deno.mkdir(this.#path, { recursive: true, mode: 0o700 });
    for await (const entry of Deno.readDir(this.#path)) {
      if (!entry.isFile) continue;
      const path = `${this.#path}/${entry.name}`;
      if (!entry.name.endsWith(".json")) {
        await Deno.remove(path).catch(() => {}); // left by a kill between write and rename
        continue;
      }
      try {
        take(JSON.parse(await Deno.readTextFile(path)));
      } catch (error) {
        this.#logger.warn(`${this.#what} file ignored`, { path, error });
      }
    }
  }

  /** Writes a file; `name` is without its ending. */
  write(name: string, value: unknown): void {
    writeFileAtomic(this.#pathOf(name), JSON.stringify(value));
  }

  /** Removes a file, also one that is not there. */
  remove(name: string): void {
    try {
      Deno.removeSync(this.#pathOf(name));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  #pathOf(name: string): string {
    return `${this.#path}/${name}.json`;
  }
}
