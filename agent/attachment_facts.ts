/**
 * Turns the plugin's reports into facts for the graph: that a pod is attached, and, after DEL, that this
 * very pod is detached, although its object and status may say otherwise for a while. Without the second
 * a new sandbox of the same name would find its predecessor's interface open, also after a restart of the
 * agent.
 */

import { type Attachment, type FactKind, type FactTypes, podKeyOf } from "../lib/model/facts.ts";

/** The arguments of the constructor. */
export interface AttachmentFactsOptions {
  /** Updates the graph. */
  readonly update: <K extends FactKind>(
    kind: K,
    key: string,
    value: FactTypes[K] | undefined,
  ) => unknown;
  /** The uid of the pod of this key, as far as it is known. */
  readonly uidOf: (key: string) => string | undefined;
  /** Saves the uid of a detached pod for the next start, or (`undefined`) deletes it. */
  readonly keep?: (key: string, uid: string | undefined) => void;
}

/** How many detached pods are remembered; each one is dropped when its object is deleted. */
const DETACHED_MAX = 4096;

/** Tells the graph which pods are attached and which are detached. */
export class AttachmentFacts {
  readonly #options: AttachmentFactsOptions;
  readonly #attached = new Map<string, Attachment>();
  /** Uids of detached pods, by the pods' keys, the oldest first. */
  readonly #detached = new Map<string, string>();

  constructor(options: AttachmentFactsOptions) {
    this.#options = options;
  }

  /** Pods that were detached before this start, by their keys. */
  restore(uids: ReadonlyMap<string, string>): void {
    for (const [key, uid] of uids) {
      this.#detached.set(key, uid);
      this.#options.update("detachment", key, { uid });
    }
  }

  /** Call when all pods are listed: drops detached pods whose object is deleted or has another uid. */
  forgetGone(): void {
    for (const key of [...this.#detached.keys()]) this.takeUid(key, this.#options.uidOf(key));
  }

  /** Takes a new attachment, or (`undefined`) its end. */
  take(key: string, attachment: Attachment | undefined): void {
    const { update, uidOf } = this.#options;
    const before = this.#attached.get(key);
    if (attachment === undefined) this.#attached.delete(key);
    else this.#attached.set(key, attachment);
    update("attachment", key, attachment);
    if (attachment !== undefined) this.#setDetached(podKeyOf(attachment), undefined);
    else if (before !== undefined) {
      const pod = podKeyOf(before);
      this.#setDetached(pod, before.uid ?? uidOf(pod));
    }
  }

  /** Takes the uid of a pod's object; `undefined`: the object is deleted. */
  takeUid(key: string, uid: string | undefined): void {
    if (this.#detached.get(key) !== uid) this.#setDetached(key, undefined);
  }

  #setDetached(key: string, uid: string | undefined): void {
    const { update, keep } = this.#options;
    const before = this.#detached.get(key);
    this.#detached.delete(key);
    if (uid !== undefined) {
      this.#detached.set(key, uid);
      update("detachment", key, { uid });
    } else if (before !== undefined) update("detachment", key, undefined);
    if (uid !== before) keep?.(key, uid);
    const [oldest] = this.#detached.keys();
    if (this.#detached.size > DETACHED_MAX && oldest !== undefined) {
      this.#setDetached(oldest, undefined);
    }
  }
}
