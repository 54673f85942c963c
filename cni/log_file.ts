/**
 * The file that the plugin appends its log to: root's alone, bounded in size, written by many plugins
 * at once that know nothing of each other. A full file is renamed to `<path>.1`, that one to `.2` and
 * so on; what is beyond the count or too old goes. Nothing here throws: the pod matters more.
 *
 * The plugin that renames holds flock(2) on the full file. No plugin waits for that lock: one that finds
 * it taken, or another file at the path, appends to the file that it has open. Its line is then in the
 * renamed file, and not lost.
 */

/** How much is kept. */
export interface LogFileBounds {
  /** From this size on the file is renamed. */
  readonly bytesMax: number;
  /** How many renamed files stay. */
  readonly countMax: number;
  /** How old a renamed file may become; it is looked at when another is renamed. */
  readonly ageMsMax: number;
}

/**
 * Opens `path` to append lines to, makes it (and its folder) where it is not.
 *
 * @returns what appends one line; `undefined` if there cannot be such a file
 */
export function openLogFile(
  path: string,
  bounds: LogFileBounds,
): ((line: string) => void) | undefined {
  let file: Deno.FsFile;
  try {
    file = openCurrent(path, bounds);
  } catch {
    return undefined;
  }
  const encoder = new TextEncoder();
  return (line) => {
    try {
      file.writeSync(encoder.encode(line + "\n")); // one write: lines of two plugins do not mix
    } catch {
      // A full disk.
    }
  };
}

function openCurrent(path: string, bounds: LogFileBounds): Deno.FsFile {
  const file = openFile(path);
  try {
    if (file.statSync().size < bounds.bytesMax || !file.tryLockSync(true)) return file;
    if (isAt(path, file)) rename(path, bounds);
    const next = openFile(path);
    file.close(); // and with it the lock
    return next;
  } catch {
    return file;
  }
}

/** How often a path is opened again if it leads to another file each time: plugins rename full files. */
const OPEN_ATTEMPTS_MAX = 5;

/** @throws {Error} if it is not a regular file of this user */
function openFile(path: string): Deno.FsFile {
  for (let attempt = 1; attempt <= OPEN_ATTEMPTS_MAX; attempt++) {
    const file = openAny(path);
    if (isOurs(path, file)) return file;
    file.close();
  }
  throw new TypeError(`${path} is not ours`);
}

/**
 * Whether the open file belongs to this user and was not reached through another user's link: in a folder
 * where other users may write, a link of theirs would choose the file that root writes to. Asked after
 * open(2), so that the file cannot be exchanged between the check and the use.
 */
function isOurs(path: string, file: Deno.FsFile): boolean {
  const uid = Deno.uid();
  const opened = file.statSync();
  if (opened.uid !== uid) return false;
  try {
    const there = Deno.lstatSync(path);
    if (there.isSymlink) return there.uid === uid;
    return there.dev === opened.dev && there.ino === opened.ino;
  } catch {
    return false; // renamed
  }
}

/** @throws {Error} if it is no regular file: to open a pipe would wait for its reader */
function openAny(path: string): Deno.FsFile {
  const options: Deno.OpenOptions = { append: true, create: true, mode: 0o600 };
  try {
    if (!Deno.statSync(path).isFile) throw new TypeError(`${path} is no file`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")) || "/", { recursive: true, mode: 0o755 });
  }
  return Deno.openSync(path, options);
}

/** Whether the path still leads to the file that is open. */
function isAt(path: string, file: Deno.FsFile): boolean {
  const [there, here] = [Deno.statSync(path), file.statSync()];
  return there.dev === here.dev && there.ino === here.ino;
}

/** The first free number for a renamed file, or the last one that `countMax` allows. */
function firstFree(path: string, countMax: number): number {
  let number = 1;
  while (number < countMax && exists(`${path}.${number}`)) number++;
  return number;
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

function rename(path: string, { countMax, ageMsMax }: LogFileBounds): void {
  const oldestMs = Date.now() - ageMsMax;
  for (let number = firstFree(path, countMax); number > 0; number--) {
    const from = number === 1 ? path : `${path}.${number - 1}`;
    try {
      const changedMs = Deno.statSync(from).mtime?.getTime() ?? oldestMs;
      if (number > 1 && changedMs < oldestMs) Deno.removeSync(from);
      else Deno.renameSync(from, `${path}.${number}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
