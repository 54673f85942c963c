/** The flags of `deno task soak`, a row each, and its help. */

import { formatFlags } from "../../lib/settings/help.ts";
import { setting, type SettingTable } from "../../lib/settings/setting.ts";
import { switched, type ValueType } from "../../lib/settings/value_type.ts";

export const FLAGS = {
  minutes: setting({ flag: "minutes", type: positive("N"), default: 10, help: "how long" }),
  seed: setting({ flag: "seed", type: positive("N"), unsaid: "by chance", help: "repeats a run" }),
  help: setting({ flag: "help", type: switched, default: false, help: "print this help" }),
} as const satisfies SettingTable;

/** A number above 0, whole or not: a tenth of a minute is a run too. */
function positive(placeholder: string): ValueType<number> {
  return {
    placeholder,
    parse: (value) => {
      const number = Number(value);
      if (number > 0 && number < Infinity) return number;
      throw new RangeError(`Number must be above 0: got "${value}"`);
    },
    format: String,
  };
}

/** The text of `--help`. */
export const HELP =
  `deno task soak [flags]: change and break things by chance, with every packet's verdict known.

${formatFlags(FLAGS)}`;
