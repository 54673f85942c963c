/** Which reservations no container of this boot can hold: after a reboot all containers are gone. */

import type { Boot } from "./boot.ts";
import { isSameHolder, type Reservation } from "./reservation.ts";
import type { ReservationIndex } from "./reservation_index.ts";

/** Whether no container of this boot can hold the reservation. */
export type VoidTest = (reservation: Reservation) => boolean;

/**
 * Two things prove it: we noted this very reservation in an earlier boot; or its file is older than
 * this boot. Neither is so for what the reference plugin gave out in this boot, before we were asked
 * for the first time.
 *
 * @param previous the last notes, of whatever boot
 * @param writtenMs when the file of an address was written
 */
export function voidTestOf(
  boot: Boot,
  previous: ReservationIndex | undefined,
  writtenMs: (address: string) => number | undefined,
): VoidTest {
  const isKnown = previous !== undefined && previous.boot.source === boot.source &&
    previous.boot.id !== "";
  if (boot.id === "" || isKnown && previous.boot.id === boot.id) return () => false;
  const startMs = boot.startMs(isKnown);
  const noted = new Map(
    isKnown ? previous.held.reservations.map((it) => [it.address, it.holder]) : [],
  );
  return ({ address, holder }) => {
    if (holder !== undefined && isSameHolder(noted.get(address), holder)) return true;
    const ms = startMs === undefined ? undefined : writtenMs(address);
    return startMs !== undefined && ms !== undefined && ms < startMs;
  };
}
