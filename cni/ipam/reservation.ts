/**
 * A reservation as the reference plugin host-local writes it: the file is named after the address, its
 * content is `<container id>\r\n<interface>`, without a newline at the end. Versions of old wrote the
 * container id alone.
 */

import { ID_REGEXP } from "../protocol/environment.ts";

/** The interface of a container that an address is for. */
export interface Holder {
  readonly containerId: string;
  /** `undefined` in files of the old form. */
  readonly ifname: string | undefined;
}

/** An address and its holder; `undefined` if the holder cannot be read: then the address is not given out. */
export interface Reservation {
  readonly address: string;
  readonly holder: Holder | undefined;
}

/**
 * No address file is longer: container and interface come out of variables of the environment, of which
 * each may have 128 KiB (`MAX_ARG_STRLEN`, <linux/binfmts.h>).
 */
export const HOLDER_BYTES_MAX = 256 << 10;

/** The content of an address file. */
export function formatHolder({ containerId, ifname }: Holder): string {
  return ifname === undefined ? containerId : `${containerId}\r\n${ifname}`;
}

/** Parses the content of an address file; `undefined` if neither we nor host-local could have written it. */
export function parseHolder(text: string): Holder | undefined {
  const [containerId = "", ifname, ...more] = text.trim().split(/\r?\n/);
  if (!ID_REGEXP.test(containerId) || more.length > 0 || /\s/.test(ifname ?? "")) return undefined;
  return { containerId, ifname };
}

/** Whether both are the same interface of the same container. */
export function isSameHolder(a: Holder | undefined, b: Holder | undefined): boolean {
  return a?.containerId === b?.containerId && a?.ifname === b?.ifname;
}

/**
 * Whether a file of this name is meant as an address: `lock` and `last_reserved_ip.0` are not, nor is
 * anything of ours. No parser, because a folder has hundreds of them.
 */
export function isAddressName(name: string): boolean {
  return /^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$|^[0-9a-f]*:[0-9a-f:.]+$/.test(name);
}
