/**
 * What attachments mean to the graph: that a pod is attached, and, once the plugin has taken a pod
 * away, that this very pod is attached no more, though its object and status may say otherwise for a
 * while. Without that a new sandbox of the same name would find its predecessor's interface open.
 */

import { type Attachment, type FactKind, type FactTypes, podKeyOf } from "../lib/model/facts.ts";

/** What it is made with. */
export interface AttachmentFactsOptions {
  /** Tells the graph. */
  readonly update: <K extends FactKind>(
    kind: K,
    key: string,
    value: FactTypes[K] | undefined,
  ) => unknown;
  /** The uid of the pod of this key, as far as it is known. */
  readonly uidOf: (key: string) => string | undefined;
}

/** Pods taken away that are remembered; each is forgotten when its object goes. */
const DETACHED_MAX = 4096;

/** See the file's comment. */
export class AttachmentFacts {
  readonly #options: AttachmentFactsOptions;
  readonly #attached = new Map<string, Attachment>();
  /** Uids of the pods that were taken away, by the pods' keys, the oldest first. */
  readonly #detached = new Map<string, string>();

  constructor(options: AttachmentFactsOptions) {
    this.#options = options;
  }

  /** An attachment came, or (`undefined`) went. */
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

  /** The pod's object has this uid now, or (`undefined`) is gone. */
  takeUid(key: string, uid: string | undefined): void {
    if (this.#detached.get(key) !== uid) this.#setDetached(key, undefined);
  }

  #setDetached(key: string, uid: string | undefined): void {
    const { update } = this.#options;
    const isKnown = this.#detached.delete(key);
    if (uid !== undefined) {
      this.#detached.set(key, uid);
      update("detachment", key, { uid });
    } else if (isKnown) update("detachment", key, undefined);
    const [oldest] = this.#detached.keys();
    if (this.#detached.size > DETACHED_MAX && oldest !== undefined) {
      this.#setDetached(oldest, undefined);
    }
  }
}
