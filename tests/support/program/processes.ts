/** What runs on the machine, by /proc: of which process namespace its numbers are does not matter here. */

/** Whether a process has `word` on its command line. */
export function isOnCommandLine(word: string): boolean {
  return [...Deno.readDirSync("/proc")].some(({ name }) => {
    try {
      return /^\d+$/.test(name) && Deno.readTextFileSync(`/proc/${name}/cmdline`).includes(word);
    } catch {
      return false; // it has ended
    }
  });
}
