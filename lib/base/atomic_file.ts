/** Writes files atomically: a reader sees the whole old file or the whole new one. */

/** Of a file that only its owner reads. */
const OWNER_MODE = 0o600;

/**
 * Writes `text` beside `path` and renames it, so that a kill, a full disk or a reader in between finds the
 * former file or the new one. Only its owner may read it.
 */
export function writeFileAtomic(path: string, text: string): void {
  const temporary = `${path}.${crypto.randomUUID()}`;
  try {
    Deno.writeTextFileSync(temporary, text, { mode: OWNER_MODE, createNew: true });
    Deno.renameSync(temporary, path);
  } catch (error) {
    try {
      Deno.removeSync(temporary);
    } catch {
      // It was not created, or cannot be removed.
    }
    throw error;
  }
}
