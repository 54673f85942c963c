/**
 * The attachments and detachments that the plugin reported. They are not compared with the pods'
 * objects here: FactStore decides whether an attachment belongs to an object.
 */

import { type Attachment, type Detachment, podKeyOf } from "../model/facts.ts";

/** Finds attachments by pod, by interface and by address. */
export class AttachmentIndex {
  readonly #attachments = new Map<string, Attachment>();
  readonly #byPod = new Map<string, Set<Attachment>>();
  readonly #byInterface = new Map<string, Set<Attachment>>();
  readonly #byAddress = new Map<string, Set<Attachment>>();
  readonly #detachments = new Map<string, Detachment>();

  get isEmpty(): boolean {
    return this.#attachments.size === 0;
  }

  /** Those of the pod's name, whatever their uid. */
  ofPod(key: string): Iterable<Attachment> {
    return this.#byPod.get(key) ?? [];
  }

  /** Those that hold an interface: more than one while a new one supersedes another. */
  atInterface(name: string): Iterable<Attachment> {
    return this.#byInterface.get(name) ?? [];
  }

  /** Those that hold an address. */
  atAddress(address: string): Iterable<Attachment> {
    return this.#byAddress.get(address) ?? [];
  }

  hasAddress(address: string): boolean {
    return this.#byAddress.has(address);
  }

  hasInterface(name: string): boolean {
    return this.#byInterface.has(name);
  }

  /** The last detachment of a pod of this name. */
  detachmentOf(key: string): Detachment | undefined {
    return this.#detachments.get(key);
  }

  get(key: string): Attachment | undefined {
    return this.#attachments.get(key);
  }

  set(key: string, value: Attachment | undefined): void {
    const before = this.#attachments.get(key);
    if (before !== undefined) this.#file(before, false);
    if (value === undefined) this.#attachments.delete(key);
    else {
      this.#attachments.set(key, value);
      this.#file(value, true);
    }
  }

  setDetachment(key: string, value: Detachment | undefined): void {
    if (value === undefined) this.#detachments.delete(key);
    else this.#detachments.set(key, value);
  }

  #file(attachment: Attachment, isThere: boolean): void {
    fileIn(this.#byPod, podKeyOf(attachment), attachment, isThere);
    fileIn(this.#byInterface, attachment.interfaceName, attachment, isThere);
    for (const address of attachment.addresses) {
      fileIn(this.#byAddress, address.toString(), attachment, isThere);
    }
  }
}

/** Puts a member into the set at `key`, or takes it out; an empty set goes. */
export function fileIn<T>(map: Map<string, Set<T>>, key: string, member: T, isIn: boolean): void {
  const members = map.get(key) ?? new Set();
  if (isIn) members.add(member);
  else members.delete(member);
  if (members.size === 0) map.delete(key);
  else map.set(key, members);
}
