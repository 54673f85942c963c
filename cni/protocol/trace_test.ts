import { assertEquals } from "@std/assert";
import { parseTraceParent } from "./trace.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

Deno.test("parseTraceParent() reads what W3C Trace Context allows, and nothing else", () => {
  const good = { traceId: TRACE, spanId: SPAN };
  const cases: readonly (readonly [string, string, object | undefined])[] = [
    ["version 00", `00-${TRACE}-${SPAN}-01`, good],
    ["not sampled", `00-${TRACE}-${SPAN}-00`, good],
    ["white space around", ` 00-${TRACE}-${SPAN}-01\n`, good],
    ["a later version with more", `01-${TRACE}-${SPAN}-01-what`, good],
    ["version 00 with more", `00-${TRACE}-${SPAN}-01-what`, undefined],
    ["version ff", `ff-${TRACE}-${SPAN}-01`, undefined],
    ["capitals", `00-${TRACE.toUpperCase()}-${SPAN}-01`, undefined],
    ["no trace", `00-${"0".repeat(32)}-${SPAN}-01`, undefined],
    ["no parent", `00-${TRACE}-${"0".repeat(16)}-01`, undefined],
    ["a short trace", `00-${TRACE.slice(1)}-${SPAN}-01`, undefined],
    ["no flags", `00-${TRACE}-${SPAN}`, undefined],
    ["nothing", "", undefined],
  ];
  for (const [name, text, expected] of cases) {
    assertEquals(parseTraceParent(text), expected, name);
  }
});
