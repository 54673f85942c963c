/**
 * The attachments that the plugin reported, kept on disk so that a restarted agent still knows them:
 * one JSON file each, under a folder that only root reads and that a reboot empties, as it does the
 * interfaces. Files are written at once, in memory as that folder is: so the store and whoever follows
 * it change together, and ADD does not wait for a thread.
 */

import type { Logger } from "../lib/base/log.ts";
import { Address } from "../lib/ip/address.ts";
import type { Attachment } from "../lib/model/facts.ts";
import { JsonFolder } from "./json_folder.ts";

/** What may be in a container id or an interface name that becomes part of a file's name. */
const ID_REGEXP = /^[a-zA-Z0-9][a-zA-Z0-9_.\-]{0,127}$/;
const NAME_REGEXP = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const IFNAME_REGEXP = /^(?!\.{1,2}$)[A-Za-z0-9_.\-]{1,15}$/;
/** Usually a UUID; a static pod's is a hash, or what its manifest says. */
const UID_REGEXP = /^[\x21-\x7e]{1,253}$/;
/** Addresses of one interface; a peer cannot make us keep more. */
const ADDRESSES_MAX = 16;
/** Attachments of one node. */
const ATTACHMENTS_MAX = 4096;

/** The key of an attachment: `containerId/ifname`. */
export function attachmentKey(containerId: string, ifname: string): string {
  return `${containerId}/${ifname}`;
}

/**
 * Parses what the plugin sent.
 *
 * @throws {SyntaxError} naming every field that is wrong
 */
export function parseAttachment(containerId: unknown, ifname: unknown, body: unknown): Attachment {
  const fields = typeof body === "object" && body !== null ? body as Record<string, unknown> : {};
  const problems: string[] = [];
  const take = (name: string, value: unknown, pattern: RegExp): string => {
    if (typeof value === "string" && pattern.test(value)) return value;
    problems.push(`${name} cannot be ${JSON.stringify(value)?.slice(0, 100)}`);
    return "";
  };
  const list = Array.isArray(fields.addresses) ? fields.addresses : [];
  const addresses = list.slice(0, ADDRESSES_MAX).map((it) => Address.tryParse(String(it)));
  if (addresses.length === 0 || addresses.includes(undefined) || list.length > ADDRESSES_MAX) {
    problems.push(`addresses cannot be ${JSON.stringify(fields.addresses)?.slice(0, 100)}`);
  }
  const attachment: Attachment = {
    containerId: take("container id", containerId, ID_REGEXP),
    ifname: take("ifname", ifname, IFNAME_REGEXP),
    namespace: take("namespace", fields.namespace, NAME_REGEXP),
    pod: take("pod", fields.pod, NAME_REGEXP),
    uid: fields.uid === undefined ? undefined : take("uid", fields.uid, UID_REGEXP),
    interfaceName: take("interface", fields.interface, IFNAME_REGEXP),
    addresses: addresses.filter((it) => it !== undefined),
  };
  if (problems.length > 0) throw new SyntaxError(`Attachment refused: ${problems.join("; ")}`);
  return attachment;
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
   * The other attachments that a new one proves to be gone: an interface, and an address, belong to one
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
      const attachment = parseAttachment(body?.containerId, body?.ifname, body);
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

  /** Forgets an attachment; whether it was known. */
  delete(key: string): boolean {
    const attachment = this.#attachments.get(key);
    if (attachment === undefined) return false;
    this.#attachments.delete(key);
    this.#folder.remove(fileOf(attachment));
    return true;
  }

  /** Forgets every attachment whose host interface is gone: the plugin could not tell. */
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
