import { assertEquals } from "@std/assert";
import { createLogger, JOURNAL_PREFIXES, type LoggerOptions } from "./log.ts";

function linesOf(options: LoggerOptions, fields: Record<string, unknown>): string[] {
  const lines: string[] = [];
  const logger = createLogger({ ...options, nowMs: () => 0, write: (line) => lines.push(line) });
  logger.error("it failed", fields);
  logger.with({ kind: "pods" }).warn("it heals");
  return lines;
}

Deno.test("createLogger() says before each line how severe it is, where that is asked for", () => {
  const time = '"time":"1970-01-01T00:00:00.000Z"';
  assertEquals(linesOf({ prefixes: JOURNAL_PREFIXES }, {}), [
    `<3>{${time},"level":"error","message":"it failed"}`,
    `<4>{${time},"level":"warn","message":"it heals","kind":"pods"}`,
  ]);
  assertEquals(linesOf({}, {})[0]?.[0], "{");
});

class SomeError extends Error {
  override readonly name = "SomeError";
}

const ERRORS: readonly [string, Error, string][] = [
  ["an error of ours", new SomeError("Cannot x"), "Cannot x"],
  ["the runtime's", new Deno.errors.AddrInUse("Address in use"), "Address in use"],
  ["one with its cause", new SomeError("Cannot x", { cause: new Error("no y") }), "Cannot x: no y"],
  [
    "one that ends with its cause",
    new SomeError("No x (y)", { cause: new Error("y") }),
    "No x (y)",
  ],
  ["a fault of the program", new TypeError("x is undefined"), "TypeError: x is undefined"],
  ["one without a message", new SomeError(), "SomeError: "],
];
for (const [what, error, expected] of ERRORS) {
  Deno.test(`createLogger() shows ${what}`, () => {
    assertEquals(JSON.parse(linesOf({}, { error })[0] ?? "").error, expected);
  });
}

Deno.test("createLogger() shows control characters as escapes that JSON reads", () => {
  const text = "\u001b[2K\n\u009b\u202e";
  const [line = ""] = linesOf({}, { text });
  assertEquals(/[\p{Cc}\u202e]/u.test(line), false);
  assertEquals(JSON.parse(line).text, text);
});
