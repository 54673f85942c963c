/**
 * Which Calyx this is. `deploy/build/build.ts` writes the real values over the marks in the bundle; run
 * from source, the marks are still there and the version says so.
 */

const VERSION_MARK: string = "__CALYX_VERSION__";
const COMMIT_MARK: string = "__CALYX_COMMIT__";

/** The version of `deno.json`, or "0.0.0-dev" from source. */
export const version: string = VERSION_MARK.startsWith("__") ? "0.0.0-dev" : VERSION_MARK;

/** The commit that was built, with "-dirty" where the tree had changes; "source" from source. */
export const commit: string = COMMIT_MARK.startsWith("__") ? "source" : COMMIT_MARK;

/** One line for `--version`: name, version, commit, Deno's version. */
export function formatVersion(name: string): string {
  return `${name} ${version} (commit ${commit}, deno ${Deno.version.deno})`;
}
