/**
 * The attachments that the plugin reported, kept on disk so that a restarted agent still knows them:
 * one JSON file each, under a folder that only root reads and that a reboot empties, as it does the
 * interfaces. Files are written synchronously, since that folder is in memory: so the store and its
 * listeners change together, and ADD does not wait for a thread.
 */

import { decodeEndpoint } from "../lib/agent_api/endpoint.ts";
import type { Logger } from "../lib/base/log.ts";
import type { Attachment } from "../lib/model/facts.ts";
import { JsonFolder } from "./json_folder.ts";

/** Attachments of one node. */
const ATTACHMENTS_MAX = 4096;

/** The key of an attachment: `containerId/ifname`. */
export function attachmentKey(containerId: string, ifname: string): string {
  return `${containerId}/${ifname}`;
}

/** The attachments of this node. */
export class AttachmentStore {
  readonly #folder: JsonFolder;
  readonly #attachments = new Map<string, Attachment>();

  constructor(folder: string, logger: Logger) {
    this.#folder = new JsonFolder(folder, "attachment", logger);
  }

  /** All of them, by key. */
  get all(): ReadonlyMap<string, Attachment> {
    return this.#attachments;
  }

  /**
   * The other attachments that a new one supersedes: an interface, and an address, belong to one
   * container at a time.
   */
  supersededBy(attachment: Attachment): readonly string[] {
    const addresses = new Set(attachment.addresses.map(String));
    const own = keyOf(attachment);
    return [...this.#attachments]
      .filter(([key, it]) =>
        key !== own &&
        (it.interfaceName === attachment.interfaceName ||
          it.addresses.some((address) => addresses.has(address.toString())))
      )
      .map(([key]) => key);
  }

  /** Reads the folder; a file that does not parse is reported and left out. */
  async load(): Promise<void> {
    await this.#folder.load((value) => {
      const body = value as { readonly containerId?: unknown; readonly ifname?: unknown } | null;
      const attachment = decodeEndpoint(body ?? {}, body);
      this.#attachments.set(keyOf(attachment), attachment);
    });
  }

  /**
   * Keeps an attachment.
   *
   * @throws {RangeError} if there are too many
   */
  put(attachment: Attachment): void {
    const key = keyOf(attachment);
    if (!this.#attachments.has(key) && this.#attachments.size >= ATTACHMENTS_MAX) {
      throw new RangeError(`Cannot keep more than ${ATTACHMENTS_MAX} attachments`);
    }
    this.#folder.write(fileOf(attachment), { ...attachment, interface: attachment.interfaceName });
    this.#attachments.set(key, attachment);
  }

  /** Deletes an attachment; returns whether it was known. */
  delete(key: string): boolean {
    const attachment = this.#attachments.get(key);
    if (attachment === undefined) return false;
    this.#attachments.delete(key);
    this.#folder.remove(fileOf(attachment));
    return true;
  }

  /** Deletes every attachment whose host interface is gone: its DEL was not reported. */
  retain(hasInterface: (attachment: Attachment) => boolean): readonly string[] {
    const gone = [...this.#attachments].filter(([, it]) => !hasInterface(it));
    for (const [key] of gone) this.delete(key);
    return gone.map(([key]) => key);
  }
}

function fileOf({ containerId, ifname }: Attachment): string {
  return `${containerId}_${ifname}`;
}

function keyOf({ containerId, ifname }: Attachment): string {
  return attachmentKey(containerId, ifname);
}
