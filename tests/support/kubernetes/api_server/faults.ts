/**
 * What goes wrong on purpose: refusals, delays, cut answers, broken or dead watches, expired history.
 * Every fault says which requests it is for and how often it strikes.
 */

import { CODES, StatusError, type StatusReason } from "./status.ts";
import type { Watch } from "./watch.ts";

/** Which requests a fault is for; all that is left out matches. */
export interface FaultMatch {
  readonly method?: string;
  /** Held against path and query. */
  readonly path?: RegExp;
  /** Only watches, or only what is no watch. */
  readonly watch?: boolean;
  /** How many requests it strikes. @default {Infinity} */
  readonly times?: number;
}

/** One request as the server saw it. */
export interface RequestRecord {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  readonly isWatch: boolean;
  /** Status code of the answer; 0 while it is being made. */
  status: number;
}

/** What strikes one request. */
export interface Strike {
  readonly delayMs: number;
  readonly error: StatusError | undefined;
  /** The answer breaks off in the middle. */
  readonly isCut: boolean;
}

interface Fault {
  readonly match: FaultMatch;
  readonly delayMs?: number;
  readonly error?: StatusError;
  readonly isCut?: boolean;
  left: number;
}

/** The faults of one server. */
export class Faults {
  readonly #watches: ReadonlySet<Watch>;
  readonly #expire: () => void;
  #faults: Fault[] = [];

  constructor(watches: ReadonlySet<Watch>, expire: () => void) {
    this.#watches = watches;
    this.#expire = expire;
  }

  /** Answers with `status`: 401, 403, 429, 500, … */
  refuse(
    options: FaultMatch & {
      readonly status: number;
      readonly retryAfterSeconds?: number;
      readonly message?: string;
    },
  ): void {
    const { status, retryAfterSeconds, message = "refused on purpose" } = options;
    const reason = (Object.keys(CODES) as StatusReason[]).find((it) => CODES[it] === status);
    if (reason === undefined) throw new RangeError(`No reason is known for status ${status}`);
    const details = retryAfterSeconds === undefined ? undefined : { retryAfterSeconds };
    this.#add({ match: options, error: new StatusError(reason, message, details) });
  }

  /** Waits before it answers. */
  delay(delayMs: number, match: FaultMatch = {}): void {
    this.#add({ match, delayMs });
  }

  /** Breaks the connection in the middle of the answer; watches have {@link Faults.closeWatches}. */
  cut(match: FaultMatch = {}): void {
    this.#add({ match, isCut: true });
  }

  /** Ends all running watches, properly or by breaking the connection. */
  closeWatches(how: "end" | "reset" = "end"): void {
    for (const watch of [...this.#watches]) {
      if (how === "end") watch.end();
      else watch.reset();
    }
  }

  /** Running watches stay open and say nothing any more: a connection that died unnoticed. */
  silenceWatches(): void {
    for (const watch of this.#watches) watch.silent = true;
  }

  /** Writes any text into all running watches. */
  sendText(text: string): void {
    for (const watch of this.#watches) watch.sendText(text);
  }

  /** Sends a bookmark on all running watches, asked for or not. */
  sendBookmarks(): void {
    for (const watch of this.#watches) watch.sendBookmark();
  }

  /** Forgets history and unfinished lists: the next resume and the next page get 410. */
  expire(): void {
    this.#expire();
  }

  /** No more faults; what already happened stays. */
  clear(): void {
    this.#faults = [];
  }

  /** What strikes this request; counts it. */
  strike(request: RequestRecord): Strike {
    const struck = this.#faults.filter((it) => it.left > 0 && matches(it.match, request));
    const error = struck.find((it) => it.error !== undefined)?.error;
    for (const fault of struck) {
      // Of several refusals one is used up at a time.
      if (fault.error === undefined || fault.error === error) fault.left -= 1;
    }
    return {
      delayMs: struck.reduce((sum, it) => sum + (it.delayMs ?? 0), 0),
      error,
      isCut: struck.some((it) => it.isCut === true),
    };
  }

  #add(fault: Omit<Fault, "left">): void {
    this.#faults.push({ ...fault, left: fault.match.times ?? Infinity });
  }
}

function matches({ method, path, watch }: FaultMatch, request: RequestRecord): boolean {
  return (method === undefined || method === request.method) &&
    (path === undefined || path.test(`${request.path}?${request.query}`)) &&
    (watch === undefined || watch === request.isWatch);
}
