/**
 * A machine with a kernel of its own, in software emulation (qemu, tcg): it sees this machine's files,
 * read-only below a layer of its own memory, so that programs and project are where they are here. It
 * has no network, and nothing that it does stays.
 */

import { boundCommand } from "../support/isolation/isolate.ts";
import { findProgram, missingProgram } from "../support/program/program.ts";
import { getKernel, MissingError, run } from "./debian_kernel.ts";
import { writeInitrd } from "./initrd.ts";
import type { Job } from "./job.ts";

const QEMU = "qemu-system-x86_64";
const PROGRAMS = [QEMU, "busybox", "depmod", "modprobe", "cpio"] as const;
/** What brings kernels. */
const DEBIAN = ["apt-cache", "apt-get", "dpkg-deb"];

const MEMORY_MB_MIN = 2048;
const MEMORY_MB_MAX = 4096;
const CONSOLE_LINES = 5;

/** How a machine is run. */
export interface MachineOptions {
  /** `6.1` */
  readonly version: string;
  readonly job: Job;
  /** The project's folder. */
  readonly project: string;
  /** Switches it off. */
  readonly signal: AbortSignal;
  /** Takes each line that guest.ts writes, without its end. */
  readonly onLine: (line: string) => void;
}

/** Why no machine can be had here, in one line with the remedy; undefined when one can. */
export function missingMachine(): string | undefined {
  if (Deno.build.arch !== "x86_64") return `kernels are for x86_64, this is ${Deno.build.arch}`;
  if (DEBIAN.some((it) => findProgram(it) === undefined)) {
    return "kernels come as Debian's packages, and this machine has no apt-get";
  }
  return missingProgram(PROGRAMS);
}

/**
 * Boots a machine and runs the job in it, until it is done or `signal` aborts.
 *
 * @returns the last words of its console, for who heard nothing of it
 * @throws {MissingError} if the kernel cannot be had, or the emulator does not start
 */
export async function runMachine(options: MachineOptions): Promise<string> {
  const kernel = await getKernel(options.version);
  const folder = await Deno.makeTempDir({ prefix: "calyx-kernel-" });
  try {
    const initrd = await writeInitrd(folder, {
      modules: kernel.modules,
      busybox: findProgram("busybox") ?? "busybox",
      job: {
        "modules_folder": kernel.modules,
        "home": Deno.env.get("HOME") ?? "/root",
        "deno_dir": await denoDir(),
        "deno": Deno.execPath(),
        "project": options.project,
        "job.json": JSON.stringify(options.job),
      },
    });
    await boot(kernel.image, initrd, `${folder}/console`, options);
    return await lastWords(`${folder}/console`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function boot(
  image: string,
  initrd: string,
  console: string,
  { signal, onLine }: MachineOptions,
): Promise<void> {
  const child = boundCommand([findProgram(QEMU) ?? QEMU, ...arguments_(image, initrd, console)], {
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stop = (): void => child.kill("SIGKILL");
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  try {
    const complaint = new Response(child.stderr).text();
    for await (const line of linesOf(child.stdout)) onLine(line);
    const { code } = await child.status;
    if (code === 0 || signal.aborted) return;
    const [last = ""] = (await complaint).trim().split("\n").slice(-1);
    throw new MissingError(`${QEMU} ended with code ${code}: ${last}`);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function arguments_(image: string, initrd: string, console: string): readonly string[] {
  const half = Math.round(Deno.systemMemoryInfo().total / 2 ** 21);
  const memory = Math.min(MEMORY_MB_MAX, Math.max(MEMORY_MB_MIN, half));
  return [
    ...["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", `${memory}`],
    ...["-nodefaults", "-display", "none", "-nic", "none", "-no-reboot"],
    ...["-serial", `file:${console}`, "-serial", "stdio"],
    ...["-kernel", image, "-initrd", initrd],
    "-append",
    "console=ttyS0 quiet loglevel=4 mitigations=off panic=-1",
    "-virtfs",
    "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
  ];
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r*\n/);
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}

async function lastWords(path: string): Promise<string> {
  const text = await Deno.readTextFile(path).catch(() => "");
  return text.trim().split(/\r*\n/).slice(-CONSOLE_LINES).join("\n");
}

/** Where this Deno keeps what it fetched. */
async function denoDir(): Promise<string> {
  const info: { denoDir: string } = JSON.parse(await run(Deno.execPath(), ["info", "--json"]));
  return info.denoDir;
}
