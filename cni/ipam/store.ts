/**
 * Reservations on disk, in the files of the reference plugin host-local, so that either reads what the
 * other wrote: one file per address (`<container id>\r\n<interface>`), `last_reserved_ip.<set>`, and
 * `lock`, on which everybody holds flock(2) for the whole of an operation.
 *
 * A file without content was left by a kill between open and write; under the lock nobody can be about
 * to write it, so the address is free again.
 */

import { Address } from "../../lib/ip/address.ts";

/** Who holds an address; files of an old form do not name the interface. */
export interface Reservation {
  readonly address: Address;
  readonly containerId: string;
  readonly ifname: string | undefined;
}

/** The reservations of one network, locked until disposed of. */
export class ReservationStore implements Disposable {
  readonly #folder: string;
  readonly #lock: Deno.FsFile;
  readonly #reservations: Map<string, Reservation>;

  private constructor(folder: string, lock: Deno.FsFile) {
    this.#folder = folder;
    this.#lock = lock;
    this.#reservations = readReservations(folder);
  }

  /** Makes the folder where there is none, takes the lock, and reads what is reserved. */
  static open(folder: string): ReservationStore {
    Deno.mkdirSync(folder, { recursive: true, mode: 0o755 });
    return ReservationStore.#lockAndRead(folder);
  }

  /** Like {@link ReservationStore.open}, with `undefined` where nothing was ever reserved. */
  static openExisting(folder: string): ReservationStore | undefined {
    try {
      return ReservationStore.#lockAndRead(folder);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  static #lockAndRead(folder: string): ReservationStore {
    const lock = Deno.openSync(`${folder}/lock`, {
      read: true,
      write: true,
      create: true,
      mode: 0o750,
    });
    try {
      lock.lockSync(true);
      return new ReservationStore(folder, lock);
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#lock.close(); // and with it the lock
  }

  /** All reservations. */
  get reservations(): Iterable<Reservation> {
    return this.#reservations.values();
  }

  /** What this container holds for this interface, or for one that is not named. */
  of(containerId: string, ifname: string): Reservation[] {
    const own = [...this.#reservations.values()].filter((it) => it.containerId === containerId);
    const exact = own.filter((it) => it.ifname === ifname);
    return exact.length > 0 ? exact : own.filter((it) => it.ifname === undefined);
  }

  /** Whether nobody holds the address. */
  isFree(address: Address): boolean {
    return !this.#reservations.has(address.toString());
  }

  /**
   * Reserves a free address, and remembers it as the last one of its set.
   *
   * @throws {Deno.errors.AlreadyExists} if somebody who does not keep the lock was faster
   */
  reserve(reservation: Reservation & { readonly ifname: string }, set: number): void {
    const { address, containerId, ifname } = reservation;
    const path = this.#path(address);
    using file = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
    try {
      writeAll(file, `${containerId}\r\n${ifname}`);
      Deno.writeTextFileSync(this.#lastPath(set), address.toString(), { mode: 0o600 });
    } catch (error) {
      removeIfThere(path);
      throw error;
    }
    this.#reservations.set(address.toString(), reservation);
  }

  /** Gives an address back. */
  release(address: Address): void {
    removeIfThere(this.#path(address));
    this.#reservations.delete(address.toString());
  }

  /** The address that was given out last from the set with this index. */
  lastReserved(set: number): Address | undefined {
    try {
      return Address.tryParse(Deno.readTextFileSync(this.#lastPath(set)).trim());
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  #path(address: Address): string {
    return `${this.#folder}/${address}`;
  }

  #lastPath(set: number): string {
    return `${this.#folder}/last_reserved_ip.${set}`;
  }
}

function readReservations(folder: string): Map<string, Reservation> {
  const reservations = new Map<string, Reservation>();
  for (const { name } of Deno.readDirSync(folder)) {
    const address = Address.tryParse(name);
    if (address === undefined) continue;
    const path = `${folder}/${name}`;
    const [containerId = "", ifname] = Deno.readTextFileSync(path).trim().split(/\r?\n/, 2);
    if (containerId === "") removeIfThere(path);
    else reservations.set(address.toString(), { address, containerId, ifname });
  }
  return reservations;
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function writeAll(file: Deno.FsFile, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let sent = 0; sent < bytes.length;) sent += file.writeSync(bytes.subarray(sent));
}
