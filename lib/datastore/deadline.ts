/** How long an answer may take, as a signal: it aborts when the time is over, or with its parent. */

export class Deadline implements Disposable {
  /** Whether it aborted because the time was over. */
  isOver = false;
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal | undefined;
  readonly #onParentAbort = (): void => this.#controller.abort(this.#parent?.reason);
  #timer: number | undefined;

  constructor(durationMs: number, parent: AbortSignal | undefined) {
    this.#parent = parent;
    if (parent?.aborted) this.#onParentAbort();
    parent?.addEventListener("abort", this.#onParentAbort, { once: true });
    this.extend(durationMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Restarts the timer: the deadline is `durationMs` from now. */
  extend(durationMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.isOver = true;
      this.#controller.abort(new DOMException("The time is over", "TimeoutError"));
    }, durationMs);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#parent?.removeEventListener("abort", this.#onParentAbort);
  }
}
