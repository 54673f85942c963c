/**
 * One watch: a stream of events, one JSON object a line. A reader that does not keep up is cut off
 * once `queueMax` events wait for it; it then resumes or lists again.
 */

import type { Change, Collection } from "./collection.ts";
import { type JsonObject, type KubernetesObject, textOf } from "./object.ts";
import type { Match } from "./selector.ts";
import { StatusError } from "./status.ts";

/** What to watch and how. */
export interface WatchOptions {
  readonly collection: Collection;
  /** The resourceVersion of the last change of any kind, now. */
  readonly currentVersion: () => number;
  readonly namespace: string | undefined;
  readonly match: Match | undefined;
  /** Events after this one; `undefined` for the current state first, as ADDED events. */
  readonly since: number | undefined;
  /** The current state, which must not be older, ends with a bookmark that says so: a streamed list. */
  readonly notOlderThan: number | undefined;
  readonly bookmarks: boolean;
  readonly bookmarkIntervalMs: number;
  /** The watch ends by itself after this; 0 for never. */
  readonly timeoutMs: number;
  readonly queueMax: number;
  readonly onEnded: (watch: Watch) => void;
}

/** The annotation of the bookmark after the last object of a streamed list. */
const INITIAL_EVENTS_END = { annotations: { "k8s.io/initial-events-end": "true" } };

/** Bookmarks come at an interval, and this long before a watch ends by itself. */
const BOOKMARK_BEFORE_END_MS = 2000;

const encoder = new TextEncoder();

/** A running watch. */
export class Watch {
  readonly collection: Collection;
  /** The body of the response. */
  readonly body: ReadableStream<Uint8Array>;
  /** While true, events are lost: the connection is open but dead. */
  silent = false;
  readonly #options: WatchOptions;
  readonly #timers: number[] = [];
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #queue: string[] = [];
  #isReaderWaiting = false;
  /** The state and the history that a watch starts with do not count against its bound. */
  #queueMax = Infinity;
  #unsubscribe: (() => void) | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.collection = options.collection;
    this.body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
        this.#start();
      },
      pull: () => {
        this.#isReaderWaiting = true;
        this.#flush();
      },
      cancel: () => void this.#stop(),
    }, { highWaterMark: 0 });
  }

  /** Whether events can still come. */
  get isOpen(): boolean {
    return this.#controller !== undefined;
  }

  /** Ends the stream as a server does that stops or times a watch out. */
  end(): void {
    const controller = this.#stop();
    if (controller === undefined) return;
    if (this.#queue.length > 0) controller.enqueue(encoder.encode(this.#queue.join("")));
    controller.close();
  }

  /** Breaks the connection in the middle of the stream. */
  reset(): void {
    this.#stop()?.error(new Error("The watch was broken on purpose"));
  }

  /** Sends any text into the stream: half a line, a line that is no JSON. */
  sendText(text: string): void {
    if (this.#controller === undefined) return;
    this.#queue.push(text);
    if (this.#queue.length > this.#queueMax) {
      this.#queue = [];
      this.end();
    } else {
      this.#flush();
    }
  }

  /** Sends a bookmark now, whether or not any is due. */
  sendBookmark(): void {
    if (!this.silent) this.#sendBookmark({});
  }

  #sendBookmark(more: JsonObject): void {
    const { collection: { kind, apiVersion }, currentVersion } = this.#options;
    const resourceVersion = String(currentVersion());
    const metadata = { resourceVersion, creationTimestamp: null, ...more };
    this.#send("BOOKMARK", JSON.stringify({ kind: kind.kind, apiVersion, metadata }));
  }

  #start(): void {
    const { collection, since, notOlderThan, timeoutMs, bookmarks, bookmarkIntervalMs } =
      this.#options;
    const { currentVersion } = this.#options;
    if (notOlderThan !== undefined && notOlderThan > currentVersion()) {
      const error = new StatusError("Timeout", `Too large resource version: ${notOlderThan}`);
      this.#send("ERROR", JSON.stringify(error.toStatus()));
      return this.end();
    }
    if (since === undefined) {
      for (const object of collection.snapshot()) {
        if (this.#wants(object)) this.#send("ADDED", textOf(object));
      }
      if (notOlderThan !== undefined && bookmarks) this.#sendBookmark(INITIAL_EVENTS_END);
    } else {
      const missed = collection.changesSince(since);
      if (missed === undefined) {
        const error = new StatusError("Expired", `too old resource version: ${since}`);
        this.#send("ERROR", JSON.stringify(error.toStatus()));
        return this.end();
      }
      for (const change of missed) this.#forward(change);
    }
    this.#queueMax = this.#queue.length + this.#options.queueMax;
    this.#unsubscribe = collection.subscribe((change) => {
      // A watch may start at a version that is still to come.
      if (since === undefined || change.resourceVersion > since) this.#forward(change);
    });
    if (timeoutMs > 0) this.#timers.push(setTimeout(() => this.end(), timeoutMs));
    if (!bookmarks) return;
    const known = since ?? currentVersion();
    const sendNew = (): void => currentVersion() > known ? this.sendBookmark() : undefined;
    this.#timers.push(setInterval(sendNew, bookmarkIntervalMs));
    if (timeoutMs > BOOKMARK_BEFORE_END_MS) {
      const delayMs = timeoutMs - BOOKMARK_BEFORE_END_MS;
      this.#timers.push(setTimeout(sendNew, delayMs));
    }
  }

  /** An object that starts or stops being selected is added or deleted for this watch. */
  #forward({ type, object, previous }: Change): void {
    if (this.silent) return;
    const wanted = type !== "DELETED" && this.#wants(object);
    const had = previous !== undefined && this.#wants(previous);
    if (wanted) return this.#send(had ? "MODIFIED" : "ADDED", textOf(object));
    if (!had) return;
    // The last state that was selected, under the version of the event.
    const { resourceVersion = "" } = object.metadata;
    const last = { ...previous, metadata: { ...previous.metadata, resourceVersion } };
    this.#send("DELETED", textOf(type === "DELETED" ? object : last));
  }

  #wants(object: KubernetesObject): boolean {
    const { namespace, match } = this.#options;
    return (namespace === undefined || object.metadata.namespace === namespace) &&
      (match === undefined || match(object));
  }

  #send(type: string, objectText: string): void {
    this.sendText(`{"type":"${type}","object":${objectText}}\n`);
  }

  #flush(): void {
    if (!this.#isReaderWaiting || this.#queue.length === 0) return;
    this.#isReaderWaiting = false;
    const text = this.#queue.join("");
    this.#queue = [];
    this.#controller?.enqueue(encoder.encode(text));
  }

  #stop(): ReadableStreamDefaultController<Uint8Array> | undefined {
    const controller = this.#controller;
    this.#controller = undefined;
    this.#unsubscribe?.();
    for (const timer of this.#timers) clearTimeout(timer);
    if (controller !== undefined) this.#options.onEnded(this);
    return controller;
  }
}
