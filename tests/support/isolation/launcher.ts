/**
 * Watches the programs that only started us: `npx deno task …` is npm, a shell and two Denos in a row,
 * and a user who kills the first of them wants us to end. The terminal, or the program that called them, is
 * not among these: when it ends, we go on.
 */

const INTERVAL_MS = 500;

/** Calls `onGone` once when one of the programs that started this one has ended. */
export function watchLaunchers(onGone: () => void): Disposable {
  const launchers = findLaunchers();
  const timer = setInterval(() => {
    if (launchers.every(({ pid, parent }) => readParent(pid) === parent)) return;
    clearInterval(timer);
    onGone();
  }, INTERVAL_MS);
  Deno.unrefTimer(timer);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** This process and the launchers above it, each with its parent; pids are those of /proc. */
function findLaunchers(): readonly { readonly pid: number; readonly parent: number }[] {
  const chain = [];
  let length = 0;
  for (let pid = Number(Deno.readLinkSync("/proc/self")); pid > 1;) {
    const parent = readParent(pid);
    if (parent === undefined) break;
    const kind = chain.length === 0 ? "launcher" : readKind(pid);
    if (kind === "other") break;
    chain.push({ pid, parent });
    if (kind === "launcher") length = chain.length; // a shell counts below a launcher only
    pid = parent;
  }
  // The topmost has a parent that may go.
  return chain.slice(0, Math.max(0, length - 1));
}

function readKind(pid: number): "launcher" | "shell" | "other" {
  const [program = "", flag] = readFile(`/proc/${pid}/cmdline`)?.split(/[\0 ]/) ?? [];
  const name = program.slice(program.lastIndexOf("/") + 1);
  if (["deno", "node", "npm", "npx"].includes(name)) return "launcher";
  return name === "sh" && flag === "-c" ? "shell" : "other";
}

/** The parent's pid; undefined when the process is gone. */
function readParent(pid: number): number | undefined {
  const stat = readFile(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

function readFile(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}
