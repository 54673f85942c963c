import { assertEquals, assertThrows } from "@std/assert";
import { parseFlags } from "../base/flags.ts";
import { formatFlags, formatVariableFile, formatVariables } from "./help.ts";
import { flagSpecOf, readEach, readValues } from "./read.ts";
import { setting, type SettingTable } from "./setting.ts";
import { absolutePath, choice, integer, onOff, seconds, switched, text } from "./value_type.ts";

const TABLE = {
  folder: setting({
    flag: "folder",
    letter: "f",
    variables: ["X_FOLDER", "OLD_FOLDER"],
    variablePrefix: "PRE_",
    type: absolutePath,
    default: "/run/x",
    help: "where it is kept",
  }),
  waitMs: setting({
    flag: "wait",
    variables: ["X_WAIT"],
    type: seconds,
    default: 1_500,
    help: "seconds to wait",
  }),
  name: setting({ flag: "name", type: text("NAME"), unsaid: "the host name", help: "its name" }),
  isOn: setting({ variables: ["X_ON"], type: onOff, default: false, help: "whether it is on" }),
  isQuiet: setting({ flag: "quiet", type: switched, default: false, help: "say nothing" }),
} as const satisfies SettingTable;

function values(args: readonly string[], environment: Record<string, string> = {}): unknown {
  return readValues(TABLE, parseFlags(args, flagSpecOf(TABLE)), environment);
}

const DEFAULTS = { folder: "/run/x", waitMs: 1_500, name: undefined, isOn: false, isQuiet: false };
const READINGS: readonly [string, Record<string, string>, object][] = [
  ["", {}, {}],
  ["-f /a --wait=2s --name n --quiet", {}, {
    folder: "/a",
    waitMs: 2_000,
    name: "n",
    isQuiet: true,
  }],
  ["", { X_FOLDER: "/x", OLD_FOLDER: "/old", X_ON: "ON" }, { folder: "/x", isOn: true }],
  ["", { PRE_OLD_FOLDER: "/pre", X_FOLDER: "" }, { folder: "/pre" }],
  ["", { PRE_X_FOLDER: "/pre", X_FOLDER: "/x" }, { folder: "/pre" }],
  ["--folder /flag", { PRE_X_FOLDER: "/pre" }, { folder: "/flag" }],
];
for (const [line, environment, expected] of READINGS) {
  Deno.test(`readValues() of "${line}" with ${JSON.stringify(environment)}`, () => {
    const args = line.split(" ").filter((it) => it !== "");
    assertEquals(values(args, environment), { ...DEFAULTS, ...expected });
  });
}

Deno.test("readEach() takes every value of a flag", () => {
  const row = setting({ flag: "n", isRepeated: true, type: integer("N", 1), help: "numbers" });
  const flags = (line: string) => parseFlags(line.split(" "), flagSpecOf({ row }));
  assertEquals(readEach(row, flags("--n 2 --n=1")), [2, 1]);
  assertEquals(readEach(row, flags("word")), []);
  assertThrows(() => readEach(row, flags("--n 2 --n x")), RangeError, "--n: Number must be 1 or");
});

Deno.test("readValues() names the flag or the variable that is wrong", () => {
  const problem = (args: readonly string[], environment: Record<string, string> = {}): string =>
    assertThrows(() => values(args, environment), RangeError).message;
  assertEquals(problem(["--folder", "x"]), '--folder: Path must be absolute: got "x"');
  assertEquals(problem([], { X_WAIT: "1h" }), 'X_WAIT: Duration must be seconds: got "1h"');
  assertEquals(
    problem([], { PRE_OLD_FOLDER: "y" }),
    'PRE_OLD_FOLDER: Path must be absolute: got "y"',
  );
});

Deno.test("a value's type parses what it formats, and refuses what it is not", () => {
  for (const value of [0, 250, 90_000]) assertEquals(seconds.parse(seconds.format(value)), value);
  const port = integer("PORT", 1, 65_535);
  assertEquals(port.parse(port.format(9099)), 9099);
  assertThrows(() => port.parse("0"), RangeError, 'Number must be from 1 to 65535: got "0"');
  const many = integer("N", 1);
  assertThrows(() => many.parse("x"), RangeError, 'Number must be 1 or more: got "x"');
  assertThrows(() => choice("a", "b").parse("c"), RangeError, 'Value must be a or b: got "c"');
});

Deno.test("formatFlags() prints flags, defaults as they are typed, and variables", () => {
  assertEquals(
    formatFlags(TABLE, { withVariables: true }),
    `  -f, --folder PATH   where it is kept [default: /run/x]
                      PRE_X_FOLDER, X_FOLDER, PRE_OLD_FOLDER, OLD_FOLDER
      --wait SECONDS  seconds to wait [default: 1.5]
                      X_WAIT
      --name NAME     its name [default: the host name]
      --quiet         say nothing
`,
  );
});

Deno.test("formatFlags() breaks long lines, and puts help below a long flag", () => {
  const help = "word ".repeat(30).trim();
  const table = {
    a: setting({ flag: "a", type: text("X"), help }),
    b: setting({ flag: "a-very-long-flag-indeed", type: text("SOMETHING"), help: "short" }),
  };
  assertEquals(
    formatFlags(table),
    `  --a X  ${"word ".repeat(18).trim()}
         ${"word ".repeat(12).trim()}
  --a-very-long-flag-indeed SOMETHING
         short
`,
  );
});

Deno.test("formatVariables() and formatVariableFile() print what has a variable", () => {
  assertEquals(
    formatVariables(TABLE),
    `  X_FOLDER  where it is kept [default: /run/x]
  X_WAIT    seconds to wait [default: 1.5]
  X_ON      whether it is on [default: off]
`,
  );
  assertEquals(
    formatVariableFile(TABLE),
    `# Where it is kept
# Also: OLD_FOLDER
#X_FOLDER=/run/x

# Seconds to wait
#X_WAIT=1.5

# Whether it is on
# One of on, off
#X_ON=off
`,
  );
});
