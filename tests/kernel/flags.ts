/** The flags of `deno task test:kernels`, a row each, and its help. */

import { formatFlags } from "../../lib/settings/help.ts";
import { setting, type SettingTable } from "../../lib/settings/setting.ts";
import { integer, switched, text } from "../../lib/settings/value_type.ts";

/** For how long a machine may run. */
export const SECONDS = { short: 330, whole: 4 * 3600 };

export const FLAGS = {
  short: setting({
    flag: "short",
    type: switched,
    default: false,
    help: "only what fits into six minutes a kernel",
  }),
  group: setting({
    flag: "group",
    isRepeated: true,
    type: text("NAME"),
    help: "only this group; may be given more than once",
  }),
  test: setting({
    flag: "test",
    isRepeated: true,
    type: text("FILE"),
    help: "this test file instead of the groups; may be given more than once",
  }),
  filter: setting({
    flag: "filter",
    type: text("WORD"),
    help: "only tests whose name it is in",
  }),
  seconds: setting({
    flag: "seconds",
    type: integer("N", 1),
    unsaid: `${SECONDS.whole}, with --short ${SECONDS.short}`,
    help: "switch a machine off after so long",
  }),
  help: setting({ flag: "help", type: switched, default: false, help: "print this help" }),
} as const satisfies SettingTable;

/** The text of `--help`. */
export const HELP =
  `deno task test:kernels [flags] [KERNEL…]: the tests that ask the kernel, under others.
KERNEL is 6.1 and 6.12 unless named: Debian's newest of that version.

${formatFlags(FLAGS)}
The last line is "tests: N passed, N failed, N skipped"; exit 1 when one failed. What is missing for a
machine (qemu, busybox, …) is said in one line, and nothing is run then.
`;
