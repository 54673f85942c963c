/**
 * All objects of one kind: their current state, a bounded history of changes from which watches
 * resume, and who wants to hear of the next change.
 */

import { type ApiKind, apiVersionOf } from "./kind.ts";
import { keyOf, type KubernetesObject } from "./object.ts";

/** One change of one object; `previous` is what it was before, `object` what it is or last was. */
export interface Change {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: KubernetesObject;
  readonly previous: KubernetesObject | undefined;
  readonly resourceVersion: number;
}

/** The objects of one kind. */
export class Collection {
  readonly kind: ApiKind;
  readonly apiVersion: string;
  readonly #objects = new Map<string, KubernetesObject>();
  readonly #listeners = new Set<(change: Change) => void>();
  readonly #historyMax: number;
  #sorted: readonly KubernetesObject[] | undefined;
  #changes: Change[] = [];
  #floor = 0;

  /** Every change after this resourceVersion is in the history. */
  get floor(): number {
    return this.#floor;
  }

  constructor(kind: ApiKind, historyMax: number) {
    this.kind = kind;
    this.apiVersion = apiVersionOf(kind);
    this.#historyMax = historyMax;
  }

  /** The same objects and history, of another version of the kind. */
  copyFor(kind: ApiKind): Collection {
    const copy = new Collection(kind, this.#historyMax);
    for (const [key, object] of this.#objects) copy.#objects.set(key, copy.convert(object));
    copy.#changes = this.#changes.map((it) => copy.convertChange(it));
    copy.#floor = this.#floor;
    return copy;
  }

  /** An object of another version as this one has it: only their `apiVersion` differs. */
  convert(object: KubernetesObject): KubernetesObject {
    return { ...object, apiVersion: this.apiVersion };
  }

  /** A change of another version as this one has it. */
  convertChange(change: Change): Change {
    const { object, previous } = change;
    return {
      ...change,
      object: this.convert(object),
      previous: previous === undefined ? undefined : this.convert(previous),
    };
  }

  /** The object under `namespace/name`, or `name` for a kind without namespaces. */
  get(key: string): KubernetesObject | undefined {
    return this.#objects.get(key);
  }

  /** All objects in the order of their keys; never changed afterwards, so pages can share it. */
  snapshot(): readonly KubernetesObject[] {
    this.#sorted ??= [...this.#objects].sort(([a], [b]) => a < b ? -1 : 1).map(([, it]) => it);
    return this.#sorted;
  }

  /** Takes a change into state and history and tells the listeners. */
  commit(change: Change): void {
    const key = keyOf(change.object);
    if (change.type === "DELETED") this.#objects.delete(key);
    else this.#objects.set(key, change.object);
    this.#sorted = undefined;
    this.#changes.push(change);
    // Cut in blocks, so that a long history costs nothing per change.
    if (this.#changes.length >= 2 * this.#historyMax) {
      const kept = this.#changes.slice(-this.#historyMax);
      this.#floor = this.#changes.at(-this.#historyMax - 1)?.resourceVersion ?? this.#floor;
      this.#changes = kept;
    }
    for (const listener of this.#listeners) listener(change);
  }

  /** The changes after `resourceVersion`, or `undefined` when some of them are forgotten. */
  changesSince(resourceVersion: number): readonly Change[] | undefined {
    if (resourceVersion < this.#floor) return undefined;
    return this.#changes.filter((it) => it.resourceVersion > resourceVersion);
  }

  /** Forgets the history up to `resourceVersion`. */
  forget(resourceVersion: number): void {
    this.#floor = resourceVersion;
    this.#changes = this.#changes.filter((it) => it.resourceVersion > resourceVersion);
  }

  /**
   * Takes back every change after `resourceVersion`, without an event, and forgets the history.
   *
   * @throws {RangeError} if some of them are forgotten
   */
  goBack(resourceVersion: number): void {
    const changes = this.changesSince(resourceVersion);
    if (changes === undefined) {
      throw new RangeError(`The history of ${this.kind.plural} begins after ${resourceVersion}`);
    }
    for (const { object, previous } of changes.toReversed()) {
      if (previous === undefined) this.#objects.delete(keyOf(object));
      else this.#objects.set(keyOf(object), previous);
    }
    this.#sorted = undefined;
    this.#changes = [];
    this.#floor = resourceVersion;
  }

  /** Calls `listener` at every change from now on, until the returned function is called. */
  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
