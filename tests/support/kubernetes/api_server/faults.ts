/**
 * What goes wrong on purpose: refusals, delays, slow, cut and garbled answers, none at all, broken or dead
 * watches, expired history, data from a backup.
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
  /** What is answered instead, with status 200. */
  readonly garbage: string | undefined;
  /** The answer comes in pieces of so many bytes, with a pause between. */
  readonly drip: Drip | undefined;
  /** There is no answer until this is resolved, and then the connection breaks. */
  readonly silence: Promise<void> | undefined;
}

/** How slowly an answer comes. */
export interface Drip {
  readonly bytes: number;
  readonly pauseMs: number;
}

interface Fault {
  readonly match: FaultMatch;
  readonly delayMs?: number;
  readonly error?: StatusError;
  readonly isCut?: boolean;
  readonly garbage?: string;
  readonly drip?: Drip;
  readonly silence?: PromiseWithResolvers<void>;
  left: number;
}

/** What the faults work on. */
export interface FaultTargets {
  readonly watches: ReadonlySet<Watch>;
  /** Forgets history and unfinished lists. */
  readonly expire: () => void;
  /** Goes back to an older state. */
  readonly restore: (resourceVersion: number) => void;
}

/** The faults of one server. */
export class Faults {
  readonly #targets: FaultTargets;
  #faults: Fault[] = [];

  constructor(targets: FaultTargets) {
    this.#targets = targets;
  }

  get #watches(): ReadonlySet<Watch> {
    return this.#targets.watches;
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

  /** Answers `text` with status 200, be it asked for a list or a watch. */
  garble(text: string, match: FaultMatch = {}): void {
    this.#add({ match, garbage: text });
  }

  /** Answers slowly: so many bytes, a pause, and so on. */
  slow(drip: Drip, match: FaultMatch = {}): void {
    this.#add({ match, drip });
  }

  /** Takes requests and does not answer; {@link Faults.clear} breaks their connections. */
  silence(match: FaultMatch = {}): void {
    this.#add({ match, silence: Promise.withResolvers<void>() });
  }

  /**
   * Goes back to the state at `resourceVersion`, as from a backup of etcd, and breaks all watches.
   *
   * @throws {RangeError} if the history does not go so far back
   */
  restore(resourceVersion: number): void {
    this.#targets.restore(resourceVersion);
    this.closeWatches("reset");
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
    this.#targets.expire();
  }

  /** No more faults; what already happened stays. */
  clear(): void {
    for (const { silence } of this.#faults) silence?.resolve();
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
      garbage: struck.find((it) => it.garbage !== undefined)?.garbage,
      drip: struck.find((it) => it.drip !== undefined)?.drip,
      silence: struck.find((it) => it.silence !== undefined)?.silence?.promise,
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
