/** What a running agent holds, as /proc says. */

/** Megabytes (10^6 bytes) of memory, and open descriptors. */
export interface AgentUsage {
  readonly megabytes: number;
  readonly descriptors: number;
}

/**
 * Reads it for the process with this number in our process namespace.
 *
 * @throws {Error} if /proc, which may be of another process namespace, does not have it
 */
export function usageOf(pid: number): AgentUsage {
  const namespace = Deno.readLinkSync("/proc/self/ns/pid");
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const status = Deno.readTextFileSync(`/proc/${name}/status`);
      const [own] = /(?<=^NSpid:.*)\d+$/m.exec(status) ?? [];
      if (Number(own) !== pid) continue;
      if (Deno.readLinkSync(`/proc/${name}/ns/pid`) !== namespace) continue;
      const kilobytes = Number(/^VmRSS:\s*(\d+)/m.exec(status)?.[1]);
      return {
        megabytes: Math.round(kilobytes * 1.024e-3),
        descriptors: [...Deno.readDirSync(`/proc/${name}/fd`)].length,
      };
    } catch {
      // It has ended meanwhile.
    }
  }
  throw new Error(`/proc shows no process ${pid} of this process namespace`);
}
