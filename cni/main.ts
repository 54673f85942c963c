/**
 * The CNI plugin `calyx`: one pod, one call, one answer on stdout, exit. This file wires the process to
 * `plugin.ts` and is the only place that writes and exits.
 *
 *   environment, stdin ─→ protocol ─→ add │ delete │ check │ gc │ status ─→ result or error ─→ stdout
 *                                      ├─ node ─ agent_client      pod CIDRs, MTU
 *                                      ├─ ipam                     files under /var/lib/cni/networks
 *                                      ├─ plan ─→ sandbox          the kernel, by netlink
 *                                      └─ agent_client             "policy is in the kernel"
 */

import { messageOf } from "../lib/base/error.ts";
import { formatVersion } from "../lib/base/version.ts";
import { libc } from "../lib/kernel/symbols.ts";
import { formatAbout, serve } from "./plugin.ts";

const STDIN_FD = 0;
/** <poll.h>. */
const POLLIN = 1;
const POLLHUP = 16;

function writeAll(file: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let sent = 0; sent < bytes.length;) sent += file.writeSync(bytes.subarray(sent));
}

/** Writes to stderr; if its reader has closed it (EPIPE), the call goes on without. */
function writeLog(text: string): void {
  try {
    writeAll(Deno.stderr, text);
  } catch {
    // Reported above.
  }
}

/** Reads stdin to its end, or as long as `more` returns that a read will not block. */
function readStdin(more: () => boolean = () => true): string {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 << 10);
  let text = "";
  while (more()) {
    const length = Deno.stdin.readSync(buffer);
    if (length === null) break;
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
  return text + decoder.decode();
}

/** Whether a read of stdin returns at once: there is data, or its other end is closed. */
function stdinIsReady(): boolean {
  // struct pollfd { int fd; short events; short revents; }
  const request = new DataView(new ArrayBuffer(8));
  const poll = new Int16Array(request.buffer);
  new Int32Array(request.buffer)[0] = STDIN_FD;
  poll[2] = POLLIN;
  const ready = libc().poll(new Uint8Array(request.buffer), 1n, 0);
  return ready === 1 && ((poll[3] ?? 0) & (POLLIN | POLLHUP)) !== 0;
}

/** The program is compiled as a script, so that nothing waits at the top level. */
async function main([flag]: readonly string[]): Promise<void> {
  if (flag === "--version" || flag === "-v") {
    writeAll(Deno.stdout, formatVersion("calyx") + "\n");
    Deno.exit(0);
  }
  if (flag === "--help" || flag === "-h") {
    writeAll(Deno.stdout, formatAbout());
    Deno.exit(0);
  }
  const output = await serve({
    variables: Deno.env.toObject(),
    readInput: () => readStdin(),
    readPending: () => readStdin(stdinIsReady),
    writeLog: (line) => writeLog(line + "\n"),
  });
  writeLog(output.stderr);
  try {
    writeAll(Deno.stdout, output.stdout);
  } catch (error) {
    const reason = messageOf(error);
    writeLog(`calyx: the answer cannot be written to stdout: ${reason}\n`);
    Deno.exit(1);
  }
  Deno.exit(output.exitCode);
}

main(Deno.args);
