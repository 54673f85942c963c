/**
 * The program that is in force, in a file, for an agent that starts without a table in the kernel and
 * without an API server. It lies in the state folder, which a reboot empties as it does the interfaces;
 * root's alone, written whole or not at all, and of this very version. The first line says when it was
 * written and what the rest hashes to.
 */

import { createHash } from "node:crypto";
import type { Logger } from "../lib/base/log.ts";
import { Turns } from "../lib/base/turns.ts";
import { version } from "../lib/base/version.ts";
import type { Desired } from "../lib/model/desired.ts";
import { formatProgram, parseProgram } from "./program_text.ts";

/** The desired state of this node that was in force last, as read from the file. */
export interface RememberedProgram {
  readonly desired: Desired;
  /** When it was written, in milliseconds since the epoch. */
  readonly savedAtMs: number;
}

/** Grows with each change of what `program_text.ts` writes. */
const FORMAT = 1;
/** The folder is in memory. A program of 10,000 pods and 1,000 policies has a few megabytes. */
const BYTES_MAX = 32 << 20;
/** A change of what governs this node's pods is written soon, one of sets' members alone later. */
const SOON_MS = 500;
const LATER_MS = 30_000;
/** Between two writes, in durations of the last one: writing takes a fiftieth of the time at most. */
const REST_DURATIONS = 50;

/** Options that only tests set. */
export interface ProgramFileOptions {
  readonly bytesMax?: number;
  readonly nowMs?: () => number;
}

/** The file. */
export class ProgramFile {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #bytesMax: number;
  readonly #nowMs: () => number;
  /** The desired state that is in force and not written yet. */
  #unsaved: Desired | undefined;
  #saved: Desired | undefined;
  #saving: Promise<void> | undefined;
  #timer: number | undefined;
  #dueAtMs = Infinity;
  #notBeforeMs = -Infinity;

  constructor(path: string, logger: Logger, options: ProgramFileOptions = {}) {
    this.#path = path;
    this.#logger = logger;
    this.#bytesMax = options.bytesMax ?? BYTES_MAX;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /** Reads the file; `undefined` if there is none, or (with one log line) if it cannot be trusted. */
  load(): RememberedProgram | undefined {
    try {
      return this.#read();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      this.#logger.warn("remembered program refused", { path: this.#path, error });
      return undefined;
    }
  }

  /** Takes the desired state that is now in force; it is written soon, with a bound on how often. */
  take(desired: Desired): void {
    this.#unsaved = desired;
    if (this.#saving !== undefined) return;
    const now = performance.now();
    const delayMs = desired === this.#saved ? LATER_MS : SOON_MS;
    const dueAtMs = Math.max(now + delayMs, this.#notBeforeMs);
    if (dueAtMs >= this.#dueAtMs) return;
    clearTimeout(this.#timer);
    this.#dueAtMs = dueAtMs;
    this.#timer = setTimeout(() => this.save(), dueAtMs - now);
  }

  /** Writes the pending state now. */
  async save(): Promise<void> {
    clearTimeout(this.#timer);
    this.#dueAtMs = Infinity;
    await this.#saving;
    const desired = this.#unsaved;
    if (desired === undefined) return;
    this.#unsaved = undefined;
    const startMs = performance.now();
    this.#saving = this.#write(desired).catch((error) =>
      this.#logger.warn("cannot write the remembered program", { path: this.#path, error })
    );
    await this.#saving;
    this.#saving = undefined;
    this.#saved = desired;
    const endMs = performance.now();
    this.#notBeforeMs = endMs + REST_DURATIONS * (endMs - startMs);
    if (this.#unsaved !== undefined) this.take(this.#unsaved);
  }

  /** Removes it. */
  async remove(): Promise<void> {
    await Deno.remove(this.#path).catch(() => {});
  }

  /** @throws {Error} with the reason, in one sentence */
  #read(): RememberedProgram {
    const { isFile, mode, size } = Deno.lstatSync(this.#path);
    if (!isFile || ((mode ?? 0) & 0o077) !== 0) {
      throw new RangeError("It is not a file that is root's alone");
    }
    if (size > this.#bytesMax) throw new RangeError(`It is larger than ${this.#bytesMax} bytes`);
    const text = Deno.readTextFileSync(this.#path);
    const end = text.indexOf("\n");
    const header = parseHeader(text.slice(0, end));
    if (header.format !== FORMAT || header.version !== version) {
      throw new RangeError("Another version of calyx-agent has written it");
    }
    const body = text.slice(end + 1);
    if (createHash("sha256").update(body).digest("hex") !== header.sha256) {
      throw new SyntaxError("It is damaged");
    }
    return { desired: parseProgram(body), savedAtMs: header.savedAtMs };
  }

  /** The sets may change while they are written: each member that is written is current, or was a moment ago. */
  async #write(desired: Desired): Promise<void> {
    const hash = createHash("sha256");
    const turns = new Turns();
    const lines: string[] = [];
    let length = 0;
    for (const line of formatProgram(desired)) {
      hash.update(line);
      lines.push(line);
      length += line.length;
      if (length > this.#bytesMax) {
        await this.remove(); // what it says would no longer be so
        throw new RangeError(`It would be larger than ${this.#bytesMax} bytes`);
      }
      await turns.pass();
    }
    const header = {
      format: FORMAT,
      version,
      savedAtMs: this.#nowMs(),
      sha256: hash.digest("hex"),
    };
    lines.unshift(`${JSON.stringify(header)}\n`);
    // A fixed name, so that a file left by a kill is overwritten; only root can write to the folder.
    const temporary = `${this.#path}.new`;
    await Deno.remove(temporary).catch(() => {});
    await Deno.writeTextFile(temporary, lines.join(""), { mode: 0o600, createNew: true });
    await Deno.rename(temporary, this.#path);
  }
}

/** @throws {SyntaxError} if it is none */
function parseHeader(text: string): Readonly<Record<string, unknown>> & {
  readonly savedAtMs: number;
} {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch {
    throw new SyntaxError("It is damaged");
  }
  if (
    typeof header !== "object" || header === null || !("savedAtMs" in header) ||
    typeof header.savedAtMs !== "number"
  ) throw new SyntaxError("It is damaged");
  return { ...header, savedAtMs: header.savedAtMs };
}
