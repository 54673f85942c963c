/** How many descriptors this process may have open: setrlimit(2). */

import { HOST_IS_LITTLE_ENDIAN } from "../base/bytes.ts";
import { check } from "./errno.ts";
import { libc } from "./symbols.ts";

/** <asm-generic/resource.h>. */
const RLIMIT_NOFILE = 7;
/** More would only make a leak last longer. */
const DESCRIPTORS_MAX = 65_536n;

/**
 * Raises the soft limit to the hard one, 65,536 at most; it is never lowered.
 *
 * @returns the limit that holds now
 * @throws {KernelError} if the kernel refuses
 */
export function raiseDescriptorLimit(): number {
  const limit = new Uint8Array(16); // struct rlimit: two unsigned longs, soft and hard
  const view = new DataView(limit.buffer);
  check("get limit of descriptors", libc().getrlimit(RLIMIT_NOFILE, limit));
  const [soft, hard] = [0, 8].map((at) => view.getBigUint64(at, HOST_IS_LITTLE_ENDIAN));
  const wanted = hard !== undefined && hard < DESCRIPTORS_MAX ? hard : DESCRIPTORS_MAX;
  if (soft !== undefined && soft >= wanted) return Number(soft);
  view.setBigUint64(0, wanted, HOST_IS_LITTLE_ENDIAN);
  check("set limit of descriptors", libc().setrlimit(RLIMIT_NOFILE, limit));
  return Number(wanted);
}
