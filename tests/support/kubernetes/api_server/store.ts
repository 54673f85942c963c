/**
 * The state of the small API server: kinds, their objects, one resourceVersion counter for all.
 *
 * Its own methods are for tests in the same process. They fill in metadata and defaults but check
 * nothing, so that a test can plant objects that no server would accept. What a request over HTTP
 * may do is decided in `writer.ts`.
 */

import { type Change, Collection } from "./collection.ts";
import { BUILT_IN_KINDS } from "./built_in_kinds.ts";
import { type ApiKind, dottedName } from "./kind.ts";
import { asObject, keyOf, type KubernetesObject, type PartialObject } from "./object.ts";
import { mergePatch } from "./patch.ts";
import { StatusError } from "./status.ts";

/** Namespaces that a cluster always has. */
const INITIAL_NAMESPACES = ["default", "kube-node-lease", "kube-public", "kube-system"];

/** State of one API server. */
export class Store {
  readonly #collections = new Map<string, Collection>();
  readonly #historyMax: number;
  #resourceVersion = 0;

  /** @param historyMax how many changes of each kind a watch can resume over, at least */
  constructor(historyMax: number) {
    this.#historyMax = historyMax;
    for (const kind of BUILT_IN_KINDS) this.register(kind);
    for (const name of INITIAL_NAMESPACES) this.create("namespaces", { metadata: { name } });
  }

  /** The resourceVersion of the last change of any object. */
  get resourceVersion(): number {
    return this.#resourceVersion;
  }

  /** The oldest that {@link Store.restore} can go back to. */
  get oldestVersion(): number {
    return Math.max(...this.collections.map((it) => it.floor));
  }

  /** All kinds that are served, in the order of their registration. */
  get collections(): readonly Collection[] {
    return [...this.#collections.values()];
  }

  /** Serves one more kind from now on, or one more version of a kind: that has the same objects. */
  register(kind: ApiKind): void {
    const key = `${dottedName(kind)}/${kind.version}`;
    if (this.#collections.has(key)) return;
    const [sibling] = this.#versionsOf(kind);
    this.#collections.set(key, sibling?.copyFor(kind) ?? new Collection(kind, this.#historyMax));
  }

  /**
   * Serves a kind in these versions and in no other, with the objects that it has, as when its
   * CustomResourceDefinition changes. Running watches go on: {@link SmallApiServer.serve} ends them.
   *
   * @throws {RangeError} if the kind is in no version
   */
  serve(kind: Pick<ApiKind, "group" | "plural">, versions: readonly string[]): void {
    const before = this.#versionsOf(kind);
    const [first] = before;
    if (first === undefined) throw new RangeError(`${dottedName(kind)} is not registered`);
    for (const version of versions) this.register({ ...first.kind, version });
    for (const { kind } of before) if (!versions.includes(kind.version)) this.unregister(kind);
  }

  /** The collections of all versions of a kind. */
  #versionsOf(kind: Pick<ApiKind, "group" | "plural">): readonly Collection[] {
    return this.collections.filter((it) => dottedName(it.kind) === dottedName(kind));
  }

  /** Serves a version of a kind no more; with the last one its objects go, without an event. */
  unregister(kind: Pick<ApiKind, "group" | "plural" | "version">): void {
    this.#collections.delete(`${dottedName(kind)}/${kind.version}`);
  }

  /** The collection that a path names. */
  find(group: string, version: string, plural: string): Collection | undefined {
    return this.#collections.get(`${dottedName({ group, plural })}/${version}`);
  }

  /**
   * The collection by `plural` or, where two groups share one, `plural.group`.
   *
   * @throws {RangeError} if there is none
   */
  collection(name: string): Collection {
    for (const it of this.#collections.values()) {
      if (it.kind.plural === name || dottedName(it.kind) === name) return it;
    }
    throw new RangeError(`The small API server has no kind "${name}": register it first`);
  }

  /** The object under `namespace/name` (or `name`), or `undefined`. */
  get(kind: string, key: string): KubernetesObject | undefined {
    return this.collection(kind).get(key);
  }

  /** All objects of a kind, by namespace and name. */
  list(kind: string): readonly KubernetesObject[] {
    return this.collection(kind).snapshot();
  }

  /**
   * Creates an object, status included. Its namespace need not exist.
   *
   * @throws {StatusError} if it exists already
   */
  create(kind: string, object: PartialObject): KubernetesObject {
    const collection = this.collection(kind);
    const next = this.draft(collection, object);
    if (next.status === undefined) collection.kind.rules?.prepare?.(next);
    if (collection.get(keyOf(next)) !== undefined) {
      const { group, plural } = collection.kind;
      const name = next.metadata.name ?? "";
      throw new StatusError(
        "AlreadyExists",
        `${dottedName(collection.kind)} "${name}" already exists`,
        { name, group, kind: plural },
      );
    }
    return this.commit(collection, "ADDED", next);
  }

  /**
   * Replaces an object whole, status included, whatever its resourceVersion.
   *
   * @throws {StatusError} if it does not exist
   */
  update(kind: string, object: PartialObject): KubernetesObject {
    const collection = this.collection(kind);
    const next = this.draft(collection, object);
    const stored = this.stored(collection, keyOf(next));
    next.metadata = { ...next.metadata, ...identityOf(stored) };
    return this.commit(collection, "MODIFIED", next);
  }

  /**
   * Applies a JSON merge patch to an object, status included.
   *
   * @throws {StatusError} if it does not exist
   */
  patch(kind: string, key: string, patch: unknown): KubernetesObject {
    const stored = this.stored(this.collection(kind), key);
    return this.update(kind, mergePatch(stored, patch) as KubernetesObject);
  }

  /** Applies a JSON merge patch to an object's status alone. */
  patchStatus(kind: string, key: string, status: unknown): KubernetesObject {
    return this.patch(kind, key, { status });
  }

  /**
   * Deletes an object at once; a namespace with all that is in it.
   *
   * @throws {StatusError} if it does not exist
   */
  delete(kind: string, key: string): KubernetesObject {
    const collection = this.collection(kind);
    const stored = this.stored(collection, key);
    if (collection.kind.plural !== "namespaces") return this.commit(collection, "DELETED", stored);
    const terminating = this.commit(collection, "MODIFIED", {
      ...stored,
      metadata: { ...stored.metadata, deletionTimestamp: timestamp() },
      status: { ...asObject(stored.status), phase: "Terminating" },
    });
    for (const other of this.collections) {
      for (const object of other.snapshot()) {
        if (object.metadata.namespace === key) this.commit(other, "DELETED", object);
      }
    }
    return this.commit(collection, "DELETED", terminating);
  }

  /** Moves the counter on and forgets all history: every resumed watch is too old. */
  expire(): void {
    this.#resourceVersion += 1;
    for (const collection of this.collections) collection.forget(this.#resourceVersion);
  }

  /**
   * Goes back to the state that it had at `resourceVersion`, as an etcd that is restored from a backup.
   * {@link Faults.restore} ends what runs, too.
   *
   * @throws {RangeError} if the history does not go so far back
   */
  restore(resourceVersion: number): void {
    for (const collection of this.collections) collection.goBack(resourceVersion);
    this.#resourceVersion = resourceVersion;
  }

  /** A copy of `object` that carries what a new object of the kind has. */
  draft(collection: Collection, object: PartialObject): KubernetesObject {
    const { apiVersion, kind } = collection;
    const { metadata, apiVersion: _apiVersion, kind: _kind, ...rest } = structuredClone(object);
    const { generateName, namespace } = metadata;
    const name = metadata.name ??
      (generateName === undefined ? undefined : generateName + randomSuffix());
    const next: KubernetesObject = {
      kind: kind.kind,
      apiVersion,
      metadata: {
        ...metadata,
        ...(name === undefined ? {} : { name }),
        ...(kind.namespaced ? { namespace: namespace ?? "default" } : {}),
        uid: crypto.randomUUID(),
        creationTimestamp: timestamp(),
        ...(kind.hasGeneration === false ? {} : { generation: 1 }),
      },
      ...rest,
    };
    kind.rules?.default?.(next);
    return next;
  }

  /**
   * The object under `key`.
   *
   * @throws {StatusError} 404 if there is none
   */
  stored(collection: Collection, key: string): KubernetesObject {
    const object = collection.get(key);
    if (object !== undefined) return object;
    const { group, plural } = collection.kind;
    const name = key.slice(key.indexOf("/") + 1);
    throw new StatusError("NotFound", `${dottedName(collection.kind)} "${name}" not found`, {
      name,
      group,
      kind: plural,
    });
  }

  /** Stores `object` under the next resourceVersion and tells the watches. */
  commit(
    collection: Collection,
    type: Change["type"],
    object: KubernetesObject,
  ): KubernetesObject {
    const resourceVersion = ++this.#resourceVersion;
    const next = {
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(resourceVersion) },
    };
    const previous = collection.get(keyOf(object));
    const change = { type, object: next, previous, resourceVersion };
    for (const version of this.#versionsOf(collection.kind)) {
      version.commit(version === collection ? change : version.convertChange(change));
    }
    return next;
  }
}

/** What no update changes. */
export function identityOf({ metadata }: KubernetesObject): Partial<KubernetesObject["metadata"]> {
  const { uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds } = metadata;
  const fields = { uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** Now, as `metav1.Time`: whole seconds, UTC. */
export function timestamp(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, "Z");
}

function randomSuffix(): string {
  const letters = "bcdfghjklmnpqrstvwxz2456789";
  return Array.from(
    crypto.getRandomValues(new Uint8Array(5)),
    (byte) => letters[byte % letters.length],
  ).join("");
}
