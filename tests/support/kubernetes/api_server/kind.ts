/** What a kind of object is to the small API server, as data; the built-in ones are in `built_in_kinds.ts`. */

import type { KubernetesObject } from "./object.ts";
import type { StatusCause } from "./status.ts";

/** What is special about one kind. All functions take objects of their own and may change them. */
export interface KindRules {
  /** Fills in what the server defaults; before every create and update. */
  default?(object: KubernetesObject): void;
  /** After `default`, on creation only: a new pod's phase. */
  prepare?(object: KubernetesObject): void;
  /** Fields that only certain requests may change: copies them over from the stored object. */
  keep?(object: KubernetesObject, stored: KubernetesObject): void;
  /** Every reason to refuse the object. */
  validate?(object: KubernetesObject, stored: KubernetesObject | undefined): readonly StatusCause[];
}

/** One kind of object. */
export interface ApiKind {
  /** "" for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Whether `/status` exists, and an ordinary update leaves the status alone. */
  readonly hasStatus?: boolean;
  /** Whether `metadata.generation` counts changes of the desired state. @default {true} */
  readonly hasGeneration?: boolean;
  /** Whether a deletion answers with the object rather than a `Status`. */
  readonly returnsDeleted?: boolean;
  /** A custom resource: updates must carry a resourceVersion, strategic merge is refused. */
  readonly custom?: boolean;
  /** Selectable fields beside metadata.name and metadata.namespace. */
  readonly selectableFields?: readonly string[];
  readonly shortNames?: readonly string[];
  readonly rules?: KindRules;
}

/** `v1`, or `networking.k8s.io/v1`. */
export function apiVersionOf(kind: Pick<ApiKind, "group" | "version">): string {
  return kind.group === "" ? kind.version : `${kind.group}/${kind.version}`;
}

/** `pods`, or `networkpolicies.networking.k8s.io`: as messages name a kind. */
export function dottedName(kind: Pick<ApiKind, "group" | "plural">): string {
  return kind.group === "" ? kind.plural : `${kind.plural}.${kind.group}`;
}
