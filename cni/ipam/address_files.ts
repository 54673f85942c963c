/**
 * The files of the reference plugin in a network's folder, one by one: making, reading and removing
 * address files, and the last address of each set. Everybody here holds the lock (`store.ts`).
 *
 * Files are written in place and never truncated to nothing first: a kill in between must not lose
 * what was there, and ext4 writes a file back at once that was.
 *
 * Nothing is flushed to the disk: that would take 0.6 ms a file, 10 on slow disks, and the only thing
 * it guards against, a machine that dies, takes all containers with it, so that their reservations are
 * void anyway (`boot.ts`).
 */

import {
  formatHolder,
  type Holder,
  HOLDER_BYTES_MAX,
  isAddressName,
  parseHolder,
} from "./reservation.ts";

/** Prefix of the files that only test whether the disk has room. */
const ROOM_NAME = ".calyx-room";

/** An address and white space. */
const LAST_RESERVED_BYTES_MAX = 100;

/** A file or folder that is named as an address. */
export interface AddressFile {
  readonly address: string;
  /** `undefined`: it is no file, cannot be read, or holds something else. */
  readonly holder: Holder | undefined;
  /** A kill between open(2) and write(2) left it: no other writer is at work, since we hold the lock. */
  readonly isEmpty: boolean;
}

/** Reads everything in the folder that has the name of an address. */
export function readAddressFiles(folder: string): AddressFile[] {
  const files: AddressFile[] = [];
  for (const { name } of Deno.readDirSync(folder)) {
    if (isAddressName(name)) files.push(readAddressFile(folder, name));
  }
  return files;
}

/** Reads one; `holder` is `undefined` too where there is none. */
export function readAddressFile(folder: string, address: string): AddressFile {
  const text = readPlainFile(`${folder}/${address}`, HOLDER_BYTES_MAX);
  if (text === undefined) return { address, holder: undefined, isEmpty: false };
  return { address, holder: parseHolder(text), isEmpty: text.trim() === "" };
}

/**
 * Reads a whole file; `undefined` where there is none, where it is longer than `bytesMax`, or is
 * something else: to open a pipe would wait for its writer, and a link leads out of the folder.
 */
export function readPlainFile(path: string, bytesMax: number): string | undefined {
  try {
    const { isFile, size } = Deno.lstatSync(path);
    if (!isFile || size > bytesMax) return undefined;
    using file = Deno.openSync(path);
    const buffer = new Uint8Array(size);
    const length = size === 0 ? 0 : file.readSync(buffer) ?? 0;
    return new TextDecoder().decode(buffer.subarray(0, length));
  } catch {
    return undefined;
  }
}

/**
 * Makes an address file.
 *
 * @returns `false` if there is something of this name
 * @throws {Error} if it cannot be written; then there is none
 */
export function createAddressFile(folder: string, address: string, holder: Holder): boolean {
  const path = `${folder}/${address}`;
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
  using _file = file;
  try {
    writeAll(file, formatHolder(holder));
    return true;
  } catch (error) {
    removeIfThere(path);
    throw error;
  }
}

/** Removes an address file; one that is gone is fine. */
export function removeAddressFile(folder: string, address: string): void {
  removeIfThere(`${folder}/${address}`);
}

/** When an address file was written last; `undefined` where that cannot be told. */
export function writtenMs(folder: string, address: string): number | undefined {
  try {
    return Deno.lstatSync(`${folder}/${address}`).mtime?.getTime();
  } catch {
    return undefined;
  }
}

/** The address that the set of this index gave out last, as text; `undefined` if it is not known. */
export function readLastReserved(folder: string, set: number): string | undefined {
  // Only a hint for the next allocation.
  return readPlainFile(lastReservedPath(folder, set), LAST_RESERVED_BYTES_MAX)?.trim();
}

/** Writes the address that the set of this index gave out last; a failure is ignored. */
export function writeLastReserved(folder: string, set: number, address: string): void {
  try {
    overwrite(lastReservedPath(folder, set), address);
  } catch {
    // The next one begins at the start of the range.
  }
}

/** Writes a whole file in place. It first removes anything but a file, so that it never follows a link. */
export function overwrite(path: string, text: string): void {
  if (isSomethingElse(path)) Deno.removeSync(path);
  using file = Deno.openSync(path, { write: true, create: true, mode: 0o600 });
  const length = writeAll(file, text);
  file.truncateSync(length);
}

/** Whether something other than a plain file is at the path. */
function isSomethingElse(path: string): boolean {
  try {
    return !Deno.lstatSync(path).isFile;
  } catch {
    return false;
  }
}

/**
 * Asserts that so many address files could be made: makes them, under other names, and removes them.
 *
 * @throws {Error} if the file system does not let us
 */
export function requireRoom(folder: string, count: number): void {
  const names = Array.from({ length: count }, (_, index) => `${ROOM_NAME}.${index}`);
  const remove = (): void => names.forEach((it) => removeIfThere(`${folder}/${it}`));
  remove(); // a kill may have left them
  try {
    for (const it of names) createAddressFile(folder, it, { containerId: it, ifname: undefined });
  } finally {
    remove();
  }
}

function lastReservedPath(folder: string, set: number): string {
  return `${folder}/last_reserved_ip.${set}`;
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Returns the number of bytes. */
function writeAll(file: Deno.FsFile, text: string): number {
  const bytes = new TextEncoder().encode(text);
  for (let sent = 0; sent < bytes.length;) sent += file.writeSync(bytes.subarray(sent));
  return bytes.length;
}
