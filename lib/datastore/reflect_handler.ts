/** Who is told of the objects of a kind as they come and go, and of how the telling stands. */

import type { Decoded } from "./kind.ts";

/**
 * What a reflection is doing; `absent`: the server does not know the kind; `unreadable`: it serves the
 * kind only in versions that we do not know, and what was read last stays.
 */
export type ReflectState = "listing" | "watching" | "failed" | "absent" | "unreadable";

/** Who is told. */
export interface ReflectHandler<T> {
  /** Everything there is; what is not among it is gone. */
  onReplace(items: ReadonlyMap<string, Decoded<T>>): void;
  /** One object came or changed; `undefined`: it went. */
  onUpdate(key: string, item: Decoded<T> | undefined): void;
  /** The server has answered: a list, the beginning of a watch, an event or a bookmark. */
  onHeard?(): void;
  onState?(state: ReflectState, detail: string | undefined): void;
  /** The version in which a kind of several is read from now on. */
  onVersion?(version: string): void;
}
