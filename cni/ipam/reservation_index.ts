/**
 * What the address files of one network say, in one file beside them, so that no call has to open all
 * of them: `.calyx`. It is derived and may be deleted at any time. The reference plugin passes over it:
 * the name is no address and the content no container's.
 *
 * It is valid only while the folder's modification time is the one that it names, a time in the past that
 * the plugin set: another program that creates or removes a file there changes that time. An index that was
 * cut off, by a kill or a full disk, names a time that was never set.
 *
 *     calyx reservations 1
 *     folder 1700000000000
 *     boot 3f0c5f0e-… /proc/sys/kernel/random/boot_id
 *     freed 10.1.0.7 1700000031415
 *     held
 *     10.1.0.2 c1 eth0
 *     end
 */

import type { BootMark } from "./boot.ts";
import { ReservationTable } from "./reservation_table.ts";

/** Name of the file in the network's folder. */
export const INDEX_NAME = ".calyx";

const TITLE = "calyx reservations 1\n";
const HELD = "\nheld\n";
const END = "end\n";

/** Reservations, recently freed addresses, and the folder's time for which they are valid. */
export interface ReservationIndex {
  /** The folder's modification time while this is up to date. */
  readonly folderTimeMs: number;
  readonly boot: BootMark;
  /** When each resting address was freed (ms since 1970). */
  readonly freedMs: ReadonlyMap<string, number>;
  /** All reserved addresses. */
  readonly held: ReservationTable;
}

/** Formats the text of the index file. */
export function formatIndex({ folderTimeMs, boot, freedMs, held }: ReservationIndex): string {
  const freed = Array.from(freedMs, ([address, ms]) => `\nfreed ${address} ${ms}`).join("");
  const head = `folder ${folderTimeMs}\nboot ${boot.id} ${boot.source}${freed}`;
  return TITLE + head + HELD + held.text + END;
}

/** Parses the text of the index file; `undefined` if it is cut off or of another version. */
export function parseIndex(text: string): ReservationIndex | undefined {
  const split = text.indexOf(HELD);
  if (!text.startsWith(TITLE) || split < 0 || !text.endsWith(`\n${END}`)) return undefined;
  const [folder = "", boot = "", ...freed] = text.slice(TITLE.length, split).split("\n");
  const [, folderTime] = /^folder (\d+)$/.exec(folder) ?? [];
  const [, id, source] = /^boot (\S*) (.+)$/.exec(boot) ?? [];
  if (folderTime === undefined || id === undefined || source === undefined) return undefined;
  return {
    folderTimeMs: Number(folderTime),
    boot: { source, id },
    freedMs: new Map(freed.map((it): [string, number] => {
      const [, address = "", ms] = it.split(" ");
      return [address, Number(ms)];
    })),
    held: ReservationTable.fromText(text.slice(split + HELD.length, -END.length)),
  };
}
