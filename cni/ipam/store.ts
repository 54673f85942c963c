/**
 * Reservations on disk, in the files of the reference plugin host-local, so that either reads what the
 * other wrote: one file per address (`reservation.ts`), `last_reserved_ip.<set>`, and `lock`, on which
 * everybody holds flock(2) for the whole of an operation. A node can change from one to the other and
 * back while its pods run.
 *
 * The address files decide; `reservation_index.ts` saves reading all of them. Who acts on what it says
 * looks at the file concerned first.
 */

import {
  createAddressFile,
  overwrite,
  readAddressFile,
  readAddressFiles,
  readLastReserved,
  readPlainFile,
  removeAddressFile,
  requireRoom,
  writeLastReserved,
  writtenMs,
} from "./address_files.ts";
import type { Boot } from "./boot.ts";
import { voidTestOf } from "./earlier_boot.ts";
import { type Holder, isSameHolder, type Reservation } from "./reservation.ts";
import { ReservationTable } from "./reservation_table.ts";
import { formatIndex, INDEX_NAME, parseIndex, type ReservationIndex } from "./reservation_index.ts";

/**
 * How long an address rests when it was given back: the node and its neighbours may still know the old
 * pod by it. `nf_conntrack_udp_timeout_stream` is the longest that a flow of datagrams lives on.
 */
export const REST_MS = 120_000;

/** How far in the past the folder's time is set (ms), so that no later change can give it the same. */
const PAST_SECONDS_MIN = 10;
const PAST_SECONDS_MAX = 60;

/** Far more bytes than a node's pods need; a longer file is no index. */
const INDEX_BYTES_MAX = 64 << 20;

/** The boot and the clock. */
export interface StoreOptions {
  readonly boot: Boot;
  readonly nowMs: () => number;
}

/** The reservations of one network, locked until disposed of. */
export class ReservationStore implements Disposable {
  readonly #folder: string;
  readonly #options: StoreOptions;
  readonly #lock: Deno.FsFile;
  #held = ReservationTable.of([]);
  readonly #freedMs = new Map<string, number>();
  #isRead = false;
  #isChanged = false;
  readonly #reclaimed: string[] = [];

  private constructor(folder: string, lock: Deno.FsFile, options: StoreOptions) {
    this.#folder = folder;
    this.#options = options;
    this.#lock = lock;
    const index = readIndex(folder);
    if (index !== undefined && this.#isCurrent(index)) this.#adopt(index);
    else this.#read(index);
  }

  /**
   * Makes the folder where there is none, takes the lock, and learns what is reserved. What was left by
   * a kill or an earlier boot is freed on the way.
   *
   * @throws {Error} if the file system does not let us
   */
  static open(folder: string, options: StoreOptions): ReservationStore {
    const store = ReservationStore.openExisting(folder, options);
    if (store !== undefined) return store;
    Deno.mkdirSync(folder, { recursive: true, mode: 0o755 });
    return ReservationStore.#lockAndRead(folder, options);
  }

  /** Like {@link ReservationStore.open}, but returns `undefined` instead of creating the folder. */
  static openExisting(folder: string, options: StoreOptions): ReservationStore | undefined {
    try {
      return ReservationStore.#lockAndRead(folder, options);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  static #lockAndRead(folder: string, options: StoreOptions): ReservationStore {
    const lock = openLock(`${folder}/lock`);
    try {
      lock.lockSync(true);
      return new ReservationStore(folder, lock, options);
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /** Writes the index if reservations changed, and releases the lock. */
  [Symbol.dispose](): void {
    if (this.#isChanged) this.#writeIndex();
    this.#lock.close(); // and with it the lock
  }

  /** Addresses that opening the store has freed, since no container can be using them. */
  get reclaimed(): readonly string[] {
    return this.#reclaimed;
  }

  /** All reservations. */
  get reservations(): Reservation[] {
    return this.#held.reservations;
  }

  /** The addresses that this container holds for this interface, or for one that is not named. */
  of(holder: Holder): string[] {
    const exact = this.#held.find(holder);
    return exact.length > 0 ? exact : this.#held.find({ ...holder, ifname: undefined });
  }

  /** Whether no holder of the address is known. */
  isFree(address: string): boolean {
    return !this.#held.has(address);
  }

  /** When the address was freed (ms since 1970), if so recently that it is not to be given out yet. */
  restsSinceMs(address: string): number | undefined {
    const freedMs = this.#freedMs.get(address);
    return freedMs !== undefined && this.#isResting(freedMs) ? freedMs : undefined;
  }

  /**
   * Reserves an address, and notes it as the last one of its set.
   *
   * @returns `false` if it is reserved already
   * @throws {Error} if the file system does not let us; then it is not reserved
   */
  reserve(address: string, holder: Holder, set: number): boolean {
    this.#isChanged = true;
    if (!createAddressFile(this.#folder, address, holder)) {
      if (this.isFree(address)) this.#held.add({ address, holder: undefined });
      return false;
    }
    this.#held.add({ address, holder });
    this.#freedMs.delete(address);
    writeLastReserved(this.#folder, set, address);
    return true;
  }

  /**
   * Frees an address if this holder has it.
   *
   * @returns whether it had
   * @throws {Error} if the file system refuses
   */
  release(address: string, holder: Holder | undefined): boolean {
    const file = readAddressFile(this.#folder, address);
    if (!isSameHolder(file.holder, holder)) return false;
    removeAddressFile(this.#folder, address);
    this.#forget(address);
    this.#freedMs.set(address, this.#options.nowMs());
    return true;
  }

  /** Removes a file or folder that is named as an address and holds no reservation; `false` if it stays. */
  discard(address: string): boolean {
    if (!this.#tryRemove(address)) return false;
    this.#forget(address);
    return true;
  }

  /** Whether the file of an address says that this is its holder. */
  isHeldBy(address: string, holder: Holder): boolean {
    return isSameHolder(readAddressFile(this.#folder, address).holder, holder);
  }

  /**
   * Asserts that there is room for so many reservations more.
   *
   * @throws {Error} if the file system does not let us
   */
  requireRoom(count: number): void {
    this.#isChanged = true; // the folder's time
    requireRoom(this.#folder, count);
  }

  /** The address that was given out last from the set with this index, as text. */
  lastReserved(set: number): string | undefined {
    return readLastReserved(this.#folder, set);
  }

  /**
   * Reads the files, unless this store has already: for when what is known does not suffice.
   *
   * @returns whether it did
   */
  readAgain(): boolean {
    if (this.#isRead) return false;
    this.#read({
      folderTimeMs: 0,
      boot: this.#options.boot,
      held: this.#held,
      freedMs: new Map(this.#freedMs),
    });
    return true;
  }

  #isResting(freedMs: number): boolean {
    const restedMs = this.#options.nowMs() - freedMs;
    return restedMs >= 0 && restedMs < REST_MS; // a clock that was set back keeps nothing busy
  }

  #isCurrent({ folderTimeMs, boot }: ReservationIndex): boolean {
    const { source, id } = this.#options.boot;
    if (boot.source !== source || boot.id !== id) return false;
    return Deno.statSync(this.#folder).mtime?.getTime() === folderTimeMs;
  }

  #adopt({ held, freedMs }: Pick<ReservationIndex, "held" | "freedMs">): void {
    this.#held = held;
    for (const [address, ms] of freedMs) this.#freedMs.set(address, ms);
  }

  /** Reads all files, and frees the addresses that no container can be using. */
  #read(previous: ReservationIndex | undefined): void {
    this.#isRead = true;
    this.#freedMs.clear();
    const { boot, nowMs } = this.#options;
    const isVoid = voidTestOf(boot, previous, (it) => writtenMs(this.#folder, it));
    const held: Reservation[] = [];
    for (const { address, holder, isEmpty } of readAddressFiles(this.#folder)) {
      const isLeft = isEmpty || isVoid({ address, holder });
      if (isLeft && this.#tryRemove(address)) this.#reclaimed.push(address);
      else held.push({ address, holder });
    }
    this.#held = ReservationTable.of(held);
    if (previous?.boot.id === boot.id) {
      // Another program, as the reference plugin, freed the addresses whose files are gone.
      for (const { address } of previous.held.reservations) this.#freedMs.set(address, nowMs());
    }
    for (const [address, ms] of previous?.freedMs ?? []) this.#freedMs.set(address, ms);
    for (const { address } of held) this.#freedMs.delete(address);
    this.#writeIndex(); // before anything else happens: which boot it was must not be lost
  }

  #tryRemove(address: string): boolean {
    try {
      removeAddressFile(this.#folder, address);
      return true;
    } catch {
      return false; // it stays reserved
    }
  }

  #forget(address: string): void {
    this.#held.delete(address);
    this.#isChanged = true;
  }

  /** A failure is ignored: without an index the next call reads the files. */
  #writeIndex(): void {
    const seconds = PAST_SECONDS_MIN +
      Math.floor(Math.random() * (PAST_SECONDS_MAX - PAST_SECONDS_MIN));
    const nowMs = this.#options.nowMs();
    // Whole seconds: some file systems store no fractions.
    const folderTimeMs = (Math.floor(nowMs / 1000) - seconds) * 1000;
    const freedMs = new Map(Array.from(this.#freedMs).filter(([, ms]) => this.#isResting(ms)));
    const index = { folderTimeMs, boot: this.#options.boot, held: this.#held, freedMs };
    try {
      overwrite(`${this.#folder}/${INDEX_NAME}`, formatIndex(index));
      Deno.utimeSync(this.#folder, new Date(nowMs), new Date(folderTimeMs));
    } catch {
      // A full or read-only disk.
    }
  }
}

/** Opens the lock file, read-only if necessary: flock(2) works on a read-only file system too. */
function openLock(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { read: true, write: true, create: true, mode: 0o750 });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw error;
    try {
      return Deno.openSync(path);
    } catch {
      throw error;
    }
  }
}

function readIndex(folder: string): ReservationIndex | undefined {
  const text = readPlainFile(`${folder}/${INDEX_NAME}`, INDEX_BYTES_MAX);
  return text === undefined ? undefined : parseIndex(text);
}
