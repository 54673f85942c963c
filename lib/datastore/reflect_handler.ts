/** The callbacks of a reflection: objects of a kind as they change, and the state of the watch. */

import type { Decoded } from "./kind.ts";

/**
 * What a reflection is doing; `absent`: the server does not know the kind; `unreadable`: it serves the
 * kind only in versions that we do not know, and what was read last stays.
 */
export type ReflectState = "listing" | "watching" | "failed" | "absent" | "unreadable";

/** The callbacks. */
export interface ReflectHandler<T> {
  /** All objects; those that are not among them are deleted. */
  onReplace(items: ReadonlyMap<string, Decoded<T>>): void;
  /** One object was added or changed; `undefined`: it was deleted. */
  onUpdate(key: string, item: Decoded<T> | undefined): void;
  /** The server has answered: a list, the beginning of a watch, an event or a bookmark. */
  onHeard?(): void;
  onState?(state: ReflectState, detail: string | undefined): void;
  /** The version in which a kind of several is read from now on. */
  onVersion?(version: string): void;
}
