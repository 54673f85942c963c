/**
 * What a request may change and how: creation, replacement, patches, deletion, each with the checks
 * that the real server makes, and nothing stored when one fails or the request is a dry run.
 */

import type { Collection } from "./collection.ts";
import { dottedName } from "./kind.ts";
import { checkMetadata } from "./metadata_rules.ts";
import {
  asList,
  asObject,
  equalJson,
  formatKey,
  isObject,
  type JsonObject,
  keyOf,
  type KubernetesObject,
} from "./object.ts";
import { refuseInvalid, StatusError, successStatus } from "./status.ts";
import { identityOf, type Store, timestamp } from "./store.ts";
import type { Target } from "./target.ts";

/** How writes behave. */
export interface WriteOptions {
  readonly isDryRun: boolean;
  /** Whether a scheduled pod stays, terminating, until it is deleted with a grace period of 0. */
  readonly gracefulDeletion: boolean;
}

/** Makes the changes that requests ask for. */
export class Writer {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /**
   * Creates the object of a POST.
   *
   * @throws {StatusError} 400, 404 (no such namespace), 409, 422
   */
  create(target: Target, body: unknown, options: WriteOptions): KubernetesObject {
    const { collection } = target;
    const object = readObject(target, body);
    const { name = "", generateName, resourceVersion } = object.metadata;
    if (resourceVersion !== undefined && resourceVersion !== "") {
      throw new StatusError("BadRequest", "a new object may not have a resourceVersion");
    }
    const { deletionTimestamp: _, ...metadata } = object.metadata;
    const next = this.#store.draft(collection, { ...object, metadata });
    if (collection.kind.hasStatus === true && collection.kind.custom === true) delete next.status;
    collection.kind.rules?.prepare?.(next);
    if (target.namespace !== undefined) {
      this.#store.stored(this.#store.collection("namespaces"), target.namespace);
    }
    if (name === "" && generateName === undefined) {
      refuseInvalid([{
        field: "metadata.name",
        reason: "FieldValueRequired",
        message: "Required value: name or generateName is required",
      }], about(collection, ""));
    }
    validate(collection, next, undefined);
    if (collection.get(keyOf(next)) !== undefined) {
      throw new StatusError(
        "AlreadyExists",
        `${dottedName(collection.kind)} "${next.metadata.name}" already exists`,
        detailsOf(collection, next),
      );
    }
    return options.isDryRun ? next : this.#store.commit(collection, "ADDED", next);
  }

  /**
   * Replaces the object of a PUT; with a subresource, only its status.
   *
   * @throws {StatusError} 400, 404, 409, 422
   */
  replace(target: Target, body: unknown, options: WriteOptions): KubernetesObject {
    const { collection, name = "" } = target;
    const given = readObject(target, body);
    if (given.metadata.name !== name) {
      throw new StatusError("BadRequest", "the name of the object does not match that of the URL");
    }
    const stored = this.#store.stored(collection, formatKey(target.namespace, name));
    return this.#update(target, stored, given, options);
  }

  /**
   * Applies a patch with `apply`; with a subresource, only what it does to the status counts.
   *
   * @throws {StatusError} 400, 404, 409, 422
   */
  patch(
    target: Target,
    apply: (object: unknown) => unknown,
    options: WriteOptions,
  ): KubernetesObject {
    const { collection, namespace, name = "" } = target;
    const stored = this.#store.stored(collection, formatKey(namespace, name));
    const { resourceVersion: _, ...metadata } = stored.metadata;
    // Without a version of its own, a patch applies to whatever is there.
    const patched = apply(structuredClone({ ...stored, metadata }));
    const given = readObject(target, patched);
    if (given.metadata.name !== name) {
      throw new StatusError("BadRequest", "a patch may not change the name of the object");
    }
    if (given.metadata.resourceVersion === undefined) {
      given.metadata.resourceVersion = stored.metadata.resourceVersion ?? "";
    }
    return this.#update(target, stored, given, options);
  }

  /**
   * Deletes one object, or marks it as about to go.
   *
   * @returns the object, or a `Status` for kinds that answer so
   * @throws {StatusError} 404, 409 when a precondition does not hold
   */
  delete(target: Target, request: JsonObject, options: WriteOptions): JsonObject {
    const { collection, namespace, name = "" } = target;
    const stored = this.#store.stored(collection, formatKey(namespace, name));
    checkPreconditions(collection, stored, asObject(request.preconditions));
    const last = this.#remove(collection, stored, request, options);
    const isHeld = !options.isDryRun && collection.get(keyOf(stored)) !== undefined;
    if (collection.kind.returnsDeleted === true || isHeld) return last;
    const { uid = "" } = stored.metadata;
    return successStatus({ ...detailsOf(collection, stored), uid });
  }

  /** Deletes all of `objects`; answers with them as they were. */
  deleteAll(
    collection: Collection,
    objects: readonly KubernetesObject[],
    request: JsonObject,
    options: WriteOptions,
  ): readonly KubernetesObject[] {
    return objects.map((stored) => this.#remove(collection, stored, request, options));
  }

  #remove(
    collection: Collection,
    stored: KubernetesObject,
    request: JsonObject,
    options: WriteOptions,
  ): KubernetesObject {
    const graceSeconds = graceOf(collection, stored, request, options);
    const isHeld = asList(stored.metadata.finalizers).length > 0;
    if (options.isDryRun) return stored;
    if (graceSeconds === 0 && !isHeld) {
      return this.#store.delete(dottedName(collection.kind), keyOf(stored));
    }
    const { deletionTimestamp, deletionGracePeriodSeconds = Infinity } = stored.metadata;
    if (deletionTimestamp !== undefined && deletionGracePeriodSeconds <= graceSeconds) {
      return stored;
    }
    return this.#store.commit(collection, "MODIFIED", {
      ...stored,
      metadata: {
        ...stored.metadata,
        deletionTimestamp: deletionTimestamp ?? timestamp(),
        deletionGracePeriodSeconds: graceSeconds,
      },
    });
  }

  #update(
    target: Target,
    stored: KubernetesObject,
    given: KubernetesObject,
    options: WriteOptions,
  ): KubernetesObject {
    const { collection, subresource } = target;
    const { kind } = collection;
    const { uid, resourceVersion = "" } = given.metadata;
    if (resourceVersion === "" && kind.custom === true) {
      refuseInvalid([{
        field: "metadata.resourceVersion",
        reason: "FieldValueInvalid",
        message: "Invalid value: 0x0: must be specified for an update",
      }], about(collection, stored.metadata.name ?? ""));
    }
    const isStale = resourceVersion !== "" && resourceVersion !== stored.metadata.resourceVersion;
    if (isStale || (uid !== undefined && uid !== "" && uid !== stored.metadata.uid)) {
      throw conflict(collection, stored, "the object has been modified; use the latest version");
    }
    const next = compose(target, stored, given);
    if (subresource === undefined) {
      kind.rules?.default?.(next);
      kind.rules?.keep?.(next, stored);
    }
    validate(collection, next, stored);
    if (equalJson(next, stored)) return stored;
    const isDesired = ({ metadata: _m, status: _s, ...rest }: KubernetesObject): JsonObject => rest;
    if (kind.hasGeneration !== false && !equalJson(isDesired(next), isDesired(stored))) {
      next.metadata.generation = (stored.metadata.generation ?? 0) + 1;
    }
    if (options.isDryRun) return next;
    const isReleased = asList(stored.metadata.finalizers).length > 0 &&
      asList(next.metadata.finalizers).length === 0 &&
      next.metadata.deletionTimestamp !== undefined &&
      (next.metadata.deletionGracePeriodSeconds ?? 0) === 0;
    return this.#store.commit(collection, isReleased ? "DELETED" : "MODIFIED", next);
  }
}

/** The object that an update makes: every subresource changes its own part only. */
function compose(
  { collection, subresource }: Target,
  stored: KubernetesObject,
  given: KubernetesObject,
): KubernetesObject {
  const { custom, hasStatus } = collection.kind;
  const { generation, resourceVersion } = stored.metadata;
  const metadata = subresource === "status" && custom === true ? stored.metadata : {
    ...given.metadata,
    ...identityOf(stored),
    ...(generation === undefined ? {} : { generation }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
  const next = structuredClone({
    ...(subresource === "status" ? stored : given),
    kind: collection.kind.kind,
    apiVersion: collection.apiVersion,
    metadata,
  });
  const from = subresource === "status" ? given : hasStatus === true ? stored : given;
  if (from.status === undefined) delete next.status;
  else next.status = structuredClone(from.status);
  return next;
}

/** Grace of a deletion: only scheduled pods that have not ended have any. */
function graceOf(
  collection: Collection,
  stored: KubernetesObject,
  request: JsonObject,
  options: WriteOptions,
): number {
  if (collection.kind.plural !== "pods" || !options.gracefulDeletion) return 0;
  const { nodeName, terminationGracePeriodSeconds = 30 } = asObject(stored.spec);
  const { phase } = asObject(stored.status);
  if (phase === "Succeeded" || phase === "Failed" || !nodeName) return 0;
  return Number(request.gracePeriodSeconds ?? terminationGracePeriodSeconds);
}

function checkPreconditions(
  collection: Collection,
  stored: KubernetesObject,
  { uid, resourceVersion }: JsonObject,
): void {
  const { metadata } = stored;
  if (
    (typeof uid === "string" && uid !== metadata.uid) ||
    (typeof resourceVersion === "string" && resourceVersion !== metadata.resourceVersion)
  ) {
    throw conflict(collection, stored, "a precondition of the deletion does not hold");
  }
}

function validate(
  collection: Collection,
  next: KubernetesObject,
  stored: KubernetesObject | undefined,
): void {
  const causes = [
    ...checkMetadata(collection.kind, next),
    ...collection.kind.rules?.validate?.(next, stored) ?? [],
  ];
  refuseInvalid(causes, about(collection, next.metadata.name ?? ""));
}

/**
 * The object of a request's body, with its kind and namespace held against the path's.
 *
 * @throws {StatusError} 400 if they do not agree
 */
function readObject(target: Target, body: unknown): KubernetesObject {
  const { kind, apiVersion } = target.collection;
  if (!isObject(body) || (body.metadata !== undefined && !isObject(body.metadata))) {
    throw new StatusError("BadRequest", `the body is no ${kind.kind} object`);
  }
  if (
    (body.kind !== undefined && body.kind !== kind.kind) ||
    (body.apiVersion !== undefined && body.apiVersion !== apiVersion)
  ) {
    throw new StatusError(
      "BadRequest",
      `${body.apiVersion}, Kind=${body.kind} does not match the expected ${apiVersion}, ` +
        `Kind=${kind.kind}`,
    );
  }
  const metadata = { ...asObject(body.metadata) } as KubernetesObject["metadata"];
  if (kind.namespaced && target.namespace !== undefined) {
    metadata.namespace ??= target.namespace;
    if (metadata.namespace !== target.namespace) {
      throw new StatusError(
        "BadRequest",
        "the namespace of the object does not match that of the URL",
      );
    }
  }
  return { ...body, metadata };
}

function conflict(collection: Collection, stored: KubernetesObject, why: string): StatusError {
  const { name = "" } = stored.metadata;
  return new StatusError(
    "Conflict",
    `Operation cannot be fulfilled on ${dottedName(collection.kind)} "${name}": ${why}`,
    detailsOf(collection, stored),
  );
}

function detailsOf(
  { kind }: Collection,
  object: KubernetesObject,
): { name: string; group: string; kind: string } {
  return { name: object.metadata.name ?? "", group: kind.group, kind: kind.plural };
}

function about(
  { kind }: Collection,
  name: string,
): { kind: string; group: string; name: string } {
  return { kind: kind.kind, group: kind.group, name };
}
