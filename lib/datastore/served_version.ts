/**
 * Which version of a kind is read from a server, while its versions come and go: it stands between the
 * reflection and its handler, and takes objects away only when the server says that there are none. A
 * version that goes, or that cannot be read, leaves everything as it was.
 */

import type { Logger } from "../base/log.ts";
import type { ApiServer } from "../credentials/api_server.ts";
import { DatastoreError } from "./error.ts";
import type { Decoded, ResourceKind, VersionedKind } from "./kind.ts";
import type { ReflectHandler } from "./reflect_handler.ts";
import { describeUnknown, discover, hasNoObjects, type Served } from "./served.ts";

/**
 * How often in a row a server must say that it has no such kind before objects that it had are gone: one
 * of several servers, or one that has just started, may not know it yet.
 */
const ABSENCES_MIN = 3;

/** The version in which one kind of one server is read. */
export class ServedVersion<T> implements Pick<ReflectHandler<T>, "onReplace" | "onUpdate"> {
  /** The version that is read now. */
  kind: ResourceKind<T> | undefined;
  readonly #api: ApiServer;
  readonly #versioned: VersionedKind<T>;
  readonly #handler: ReflectHandler<T>;
  readonly #options: { readonly signal: AbortSignal; readonly logger: Logger };
  /** Keys of the objects that the handler has. */
  #known: Set<string> | undefined;
  #absences = 0;
  /** The last logged state: it is checked often, and logged once. */
  #said = "";

  constructor(
    api: ApiServer,
    versioned: VersionedKind<T>,
    handler: ReflectHandler<T>,
    options: { readonly signal: AbortSignal; readonly logger: Logger },
  ) {
    this.#api = api;
    this.#versioned = versioned;
    this.#handler = handler;
    this.#options = options;
  }

  onReplace(items: ReadonlyMap<string, Decoded<T>>): void {
    this.#known = new Set(items.keys());
    this.#handler.onReplace(items);
  }

  onUpdate(key: string, item: Decoded<T> | undefined): void {
    if (item === undefined) this.#known?.delete(key);
    else this.#known?.add(key);
    this.#handler.onUpdate(key, item);
  }

  /** Call after a 404: discovery decides which version is served now. */
  leave(): void {
    this.kind = undefined;
  }

  /**
   * The kind in the version to read now; `undefined` while there is none.
   *
   * @throws {DatastoreError} if the server does not say, unless a version is being read
   */
  async choose(): Promise<ResourceKind<T> | undefined> {
    const served = await this.#ask();
    if (served.state !== "absent") this.#absences = 0;
    switch (served.state) {
      case "served":
        if (this.kind?.path !== served.kind.path) {
          this.#say(
            "info",
            "version of the kind chosen",
            `${this.#versioned.group}/${served.version}`,
          );
          this.#handler.onVersion?.(served.version);
        }
        this.kind = served.kind;
        break;
      case "absent":
        this.kind = undefined;
        this.#absences++;
        this.#onAbsent();
        break;
      case "unknown":
        this.kind = undefined;
        await this.#onUnknown(served.versions);
        break;
    }
    return this.kind;
  }

  async #ask(): Promise<Served<T>> {
    try {
      return await discover(this.#api, this.#versioned, this.#options.signal);
    } catch (error) {
      // Then the watch decides whether the current version is still served.
      if (this.kind === undefined || !(error instanceof DatastoreError)) throw error;
      return { state: "served", version: "", kind: this.kind };
    }
  }

  #onAbsent(): void {
    if (this.#hasObjects && this.#absences < ABSENCES_MIN) {
      this.#handler.onState?.(
        "failed",
        `The API server serves no ${this.#versioned.kind} any more: asking again`,
      );
      return;
    }
    if (this.#known === undefined || this.#hasObjects) this.onReplace(new Map());
    this.#handler.onState?.("absent", undefined);
    this.#say("info", "kind not served", this.#versioned.group);
  }

  async #onUnknown(versions: readonly string[]): Promise<void> {
    const detail = describeUnknown(this.#versioned, versions);
    if (await this.#isEmptyIn(versions)) {
      if (this.#known === undefined || this.#hasObjects) this.onReplace(new Map());
      this.#handler.onState?.("absent", `${detail}. It has none of them`);
      this.#say("warn", "kind not readable, and without objects", detail);
      return;
    }
    this.#handler.onState?.("unreadable", detail);
    this.#say("error", "kind not readable; what was read last stays", detail);
  }

  /** If one version has no objects, no version has: all versions show the same objects. */
  async #isEmptyIn([version]: readonly string[]): Promise<boolean> {
    if (version === undefined) return false;
    try {
      return await hasNoObjects(this.#api, this.#versioned, version, this.#options.signal);
    } catch (error) {
      if (!(error instanceof DatastoreError)) throw error;
      return false;
    }
  }

  get #hasObjects(): boolean {
    return this.#known !== undefined && this.#known.size > 0;
  }

  #say(level: "info" | "warn" | "error", event: string, reason: string): void {
    const text = `${event} ${reason}`;
    if (text !== this.#said) this.#options.logger[level](event, { reason });
    this.#said = text;
  }
}
