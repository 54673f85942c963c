/**
 * What `get` shows of a kind: its names, its columns, its rows and its resources. Columns and
 * shapes follow calicoctl's v1 API, so that scripts written for it keep working.
 */

import type { Labels } from "../../lib/model/labels.ts";
import type { ClusterReader, Scope } from "../cluster/reader.ts";

/** An object as `-o yaml` and `-o json` show it. */
export interface Resource {
  readonly apiVersion: "v1";
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly spec: Readonly<Record<string, unknown>>;
}

/** One object to show. */
export interface Item {
  /** What the command line may call it. */
  readonly names: readonly string[];
  readonly labels: Labels;
  /** The node that it is on, where it is on one. */
  readonly node?: string;
  /** Its cells by column. */
  readonly cells: Readonly<Record<string, string>>;
  readonly resource: Resource;
}

/** A kind that `get` can show. */
export interface View {
  /** As in a resource's `kind`. */
  readonly kind: string;
  /** Lower-case words for it, the one to show first. */
  readonly words: readonly string[];
  readonly namespaced: boolean;
  /** Whether `--node` applies to this kind. */
  readonly onNodes: boolean;
  readonly columns: {
    readonly ps: readonly string[];
    readonly wide: readonly string[];
    /** All that `custom-columns=` takes. */
    readonly all: readonly string[];
    /** Other spellings of columns: HOSTNAME is what NODE was once called. */
    readonly aliases?: Readonly<Record<string, string>>;
  };
  /** Lists its objects in the order to show. */
  list(reader: ClusterReader, query: ListQuery): Promise<readonly Item[]>;
  /** Where an object called `name` may be, the likeliest first, so that not all need be listed. */
  scopesOf?(name: string, namespace: string | undefined): readonly Scope[];
}

/** Which objects to list, and which of their columns will be shown. */
export interface ListQuery extends Scope {
  /** Whether this column is shown, as such or within YAML and JSON. */
  readonly shows: (column: string) => boolean;
}

/** `shop/web` and `shop.web` of the namespace shop, and `web` of `namespace`. */
export function scopesOfNamespaced(name: string, namespace: string | undefined): readonly Scope[] {
  const [, first, rest] = /^([^./]+)[./]([^/]+)$/.exec(name) ?? [];
  const scopes: Scope[] = [];
  if (rest !== undefined && (namespace === undefined || namespace === first)) {
    scopes.push({ namespace: first, name: rest });
  }
  if (namespace !== undefined && !name.includes("/")) scopes.push({ namespace, name });
  return scopes;
}

/** Orders objects by a text. */
export function sortBy<T>(objects: readonly T[], textOf: (object: T) => string): readonly T[] {
  return objects
    .map((object) => ({ object, text: textOf(object) }))
    .sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
    .map(({ object }) => object);
}

/** Leaves out what is empty, as the v1 API does. */
export function withoutEmpty(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => !isEmpty(value)),
  );
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === "") return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}
