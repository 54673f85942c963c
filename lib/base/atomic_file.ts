/** Files that are there whole or not at all. */

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
      // It was not made, or lies where nothing can be removed.
    }
    throw error;
  }
}
