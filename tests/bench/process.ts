/**
 * What the kernel says of another process: memory and processor time, out of /proc. Inside our
 * namespaces /proc may still be the one outside, where processes have other numbers: so a process is
 * looked up by the number that it has in our own process namespace.
 */

/** Ticks of `utime` and `stime` a second, USER_HZ: 100 on every machine that Linux runs on. */
const TICKS_PER_SECOND = 100;

/** A process of our namespace, while it runs. */
export class ProcessStatus {
  readonly #folder: string;

  /** @throws {RangeError} if there is no such process, or /proc does not show it */
  constructor(pid: number) {
    const folder = findFolder(pid);
    if (folder === undefined) throw new RangeError(`Process ${pid} is not in /proc`);
    this.#folder = folder;
  }

  /** Resident memory now, in MB (10⁶ bytes). */
  get residentMb(): number {
    return this.#kilobytes("VmRSS") * 1.024e-3;
  }

  /** The most resident memory that it ever had, in MB. */
  get residentMbMax(): number {
    return this.#kilobytes("VmHWM") * 1.024e-3;
  }

  /** Processor time of all its threads so far, in milliseconds; the kernel counts in tens. */
  get processorMs(): number {
    const text = Deno.readTextFileSync(`${this.#folder}/stat`);
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 1000 / TICKS_PER_SECOND;
  }

  #kilobytes(name: string): number {
    const text = Deno.readTextFileSync(`${this.#folder}/status`);
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1] ?? NaN);
  }
}

function findFolder(pid: number): string | undefined {
  const own = Deno.readLinkSync("/proc/self/ns/pid");
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const folder = `/proc/${name}`;
    try {
      const numbers = /^NSpid:\s+(.*)$/m.exec(Deno.readTextFileSync(`${folder}/status`))?.[1];
      if (Number(numbers?.split(/\s+/).at(-1)) !== pid) continue;
      if (Deno.readLinkSync(`${folder}/ns/pid`) === own) return folder;
    } catch {
      continue; // it has ended, or is not ours
    }
  }
  return undefined;
}
