/**
 * Runs a script in network, mount and process namespaces of its own, so that nothing it does can
 * touch the machine, and so that nothing of it stays, however it or its caller ends.
 *
 *     if (!isInside()) Deno.exit(await runIsolated(import.meta.url, Deno.args));
 *     enterIsolation();
 *
 * As root the namespaces are made directly; as an ordinary user inside a user namespace. Three things
 * take the inside down when the outside ends, in whatever way: the kernel kills unshare(1) when its
 * parent dies, it kills the first process inside when unshare(1) dies, and with that one the whole
 * process namespace. What closes the gap before the first is armed is the pipe on stdin.
 *
 * Not for deciding which tests need this: they say so themselves (isolation.ts).
 */

import { assert } from "../../../lib/base/assert.ts";
import { messageOf } from "../../../lib/base/error.ts";
import { cString } from "../../../lib/kernel/descriptor.ts";
import { check } from "../../../lib/kernel/errno.ts";
import { libc } from "../../../lib/kernel/symbols.ts";
import { setLink } from "../../../lib/netlink/link/link.ts";
import { NETLINK_ROUTE, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import { watchLaunchers } from "./launcher.ts";

/** Set inside, to the network namespace outside: what must differ from the present one. */
const OUTSIDE = "CALYX_OUTSIDE_NAMESPACE";

const NAMESPACES = [
  ...["--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"],
];
const USER_NAMESPACE = ["--user", "--map-root-user"];

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Namespaces cannot be had on this machine; the message says why. */
export class IsolationError extends Error {
  override readonly name = "IsolationError";
}

/** How a script is run inside. */
export interface IsolateOptions {
  /** Variables besides those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Takes what the inside writes on stdout; without it stdout is this process' own. */
  readonly onOutput?: (chunk: Uint8Array) => void;
  /** Ends the inside. */
  readonly signal?: AbortSignal;
}

/**
 * Runs `script` (a file URL) with all permissions in namespaces of its own and waits for its end. It
 * must call {@link enterIsolation} first of all. A signal that ends this process ends the inside too.
 *
 * @returns its exit code
 * @throws {IsolationError} if the machine does not allow it
 */
export async function runIsolated(
  script: string | URL,
  args: readonly string[],
  options: IsolateOptions = {},
): Promise<number> {
  const flags = await findNamespaces();
  // The shell is the first process inside: it reaps whatever loses its parent there.
  const shell = ["sh", "-c", '"$@"; exit $?', "sh"];
  const deno = [Deno.execPath(), "run", "-A", "--no-prompt", new URL(script).href];
  const child = boundCommand(["unshare", ...flags, "--", ...shell, ...deno, ...args], {
    env: {
      ...options.env,
      CALYX_ISOLATED: "1",
      [OUTSIDE]: currentNamespace(),
      TMPDIR: "/run/tmp",
    },
    stdin: "piped",
    stdout: options.onOutput === undefined ? "inherit" : "piped",
  }).spawn();

  let signalCode: number | undefined;
  const end = (): void => {
    try {
      child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended already
    }
  };
  const stop = (code: number): void => {
    signalCode ??= code;
    end();
  };
  const listeners = Object.entries(SIGNALS).map(([signal, code]) =>
    [signal as keyof typeof SIGNALS, () => stop(code)] as const
  );
  for (const [signal, listener] of listeners) Deno.addSignalListener(signal, listener);
  const watch = watchLaunchers(() => stop(SIGNALS.SIGHUP));
  options.signal?.addEventListener("abort", end);
  try {
    if (options.onOutput !== undefined) {
      for await (const chunk of child.stdout) options.onOutput(chunk);
    }
    const { code } = await child.status;
    if (signalCode !== undefined) Deno.exit(signalCode);
    return code;
  } finally {
    options.signal?.removeEventListener("abort", end);
    watch[Symbol.dispose]();
    for (const [signal, listener] of listeners) Deno.removeSignalListener(signal, listener);
    await child.stdin.close().catch(() => undefined); // the other end is gone already
  }
}

/** A command that the kernel kills when this process ends, however it does. */
export function boundCommand(words: readonly string[], options: Deno.CommandOptions): Deno.Command {
  return new Deno.Command("setpriv", { ...options, args: ["--pdeathsig", "KILL", ...words] });
}

/**
 * The flags of unshare(1) that work here: directly as root, in a user namespace otherwise.
 *
 * @throws {IsolationError} if none does
 */
export async function findNamespaces(): Promise<readonly string[]> {
  const ways = [[...USER_NAMESPACE, ...NAMESPACES]];
  if (Deno.uid() === 0) ways.unshift(NAMESPACES);
  let reason = "";
  for (const flags of ways) {
    try {
      const args = [...flags, "--", "true"];
      const output = await new Deno.Command("unshare", { args, stdin: "null" }).output();
      if (output.success) return flags;
      reason = new TextDecoder().decode(output.stderr).trim();
    } catch (error) {
      reason = messageOf(error);
    }
  }
  throw new IsolationError(`This machine gives no namespaces of our own (${reason})`);
}

/** Whether this process runs inside, and truly so: in another network namespace than outside. */
export function isInside(): boolean {
  const outside = Deno.env.get(OUTSIDE);
  return outside !== undefined && outside !== currentNamespace();
}

/**
 * Makes the inside habitable: an empty /run of its own, with /run/netns and /run/tmp (where TMPDIR
 * points), and the loopback interface up.
 *
 * @throws {AssertionError} if this process is not inside
 */
export function enterIsolation(): void {
  assert(isInside(), "enterIsolation() is for scripts that runIsolated() runs");
  if (isStdinClosed()) Deno.exit(SIGNALS.SIGHUP); // the program that started us has ended
  const options = cString("mode=0755");
  check(
    "mount /run",
    libc().mount(cString("tmpfs"), cString("/run"), cString("tmpfs"), 0n, options),
  );
  Deno.mkdirSync("/run/netns");
  Deno.mkdirSync("/run/tmp", { mode: 0o700 });
  using socket = openNetlinkSocket(NETLINK_ROUTE);
  socket.request(setLink({ name: "lo", up: true }));
}

function currentNamespace(): string {
  return Deno.readLinkSync("/proc/self/ns/net");
}

/** Whether the writer of our stdin has gone, asked without waiting. */
function isStdinClosed(): boolean {
  const POLLHUP = 0x10;
  const pollfd = new Uint8Array(8); // struct pollfd: fd 0, no events asked for
  libc().poll(pollfd, 1n, 0);
  return (new DataView(pollfd.buffer).getInt16(6, true) & POLLHUP) !== 0;
}
