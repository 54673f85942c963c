import { assertEquals } from "@std/assert";
import { TCP_CONNTRACK_TIME_WAIT } from "../lib/netlink/conntrack/message.ts";
import { type FlowWords, trackedFlow } from "../tests/support/packet/tracked_flow.ts";
import { CutBound } from "./cut_bound.ts";

function flow(protocol: FlowWords["protocol"]): ReturnType<typeof trackedFlow> {
  return trackedFlow({ source: "10.0.0.1", destination: "10.0.0.2", ...protocol && { protocol } });
}

function boundOf(flows: number, flowsMax: number, marked = 0): CutBound {
  const bound = new CutBound();
  bound.resize({ flows, flowsMax });
  bound.recount(marked);
  return bound;
}

/** How many of `count` flows are marked. */
function markedOf(bound: CutBound, count: number): number {
  return Array.from({ length: count }, () => bound.cut(flow("TCP"), true))
    .filter((it) => it !== "delete").length;
}

Deno.test("CutBound.cut() marks for as long as the protocol's ends may be silent", () => {
  const bound = boundOf(1_000, 100_000);
  const seconds = (["TCP", "SCTP", "UDP"] as const).map((it) => bound.cut(flow(it), true));
  assertEquals(seconds, [86_400, 3_600, 300]);
  const closed = { ...flow("TCP"), tcpState: TCP_CONNTRACK_TIME_WAIT };
  assertEquals(bound.cut(closed, true), 300);
  assertEquals(bound.marked, 4);
});

Deno.test("CutBound.cut() deletes what cannot come back, and pings", () => {
  const bound = boundOf(1_000, 100_000);
  assertEquals(bound.cut(flow("TCP"), false), "delete");
  assertEquals(bound.cut(flow("ICMP"), true), "delete");
  assertEquals(bound.marked, 0);
});

Deno.test("CutBound.cut() marks for a short time in a crowded table", () => {
  const crowded = [boundOf(60_000, 100_000), boundOf(10_000, 100_000, 7_000)];
  for (const bound of crowded) {
    const seconds = (["TCP", "SCTP", "UDP"] as const).map((it) => bound.cut(flow(it), true));
    assertEquals(seconds, [960, 960, 300]);
  }
});

const BOUNDS: Readonly<Record<string, readonly [CutBound, number, number]>> = {
  "an eighth of the table": [boundOf(50_000, 100_000), 50_000, 12_500],
  // A quarter of it is deleted before there is room for the first mark.
  "an eighth of a table that they filled": [boundOf(100_000, 100_000), 100_000, 12_500],
  "no place in a table that others filled": [boundOf(100_000, 100_000), 20_000, 0],
  "what others leave up to three quarters": [boundOf(74_999, 100_000), 5_000, 5_000],
  "as many as there are where the kernel has no bound": [boundOf(50_000, 0), 50_000, 50_000],
  "as many as there are where the kernel does not say": [boundOf(9, Infinity), 9, 9],
};

for (const [what, [bound, count, marked]] of Object.entries(BOUNDS)) {
  Deno.test(`CutBound.cut() gives marked flows ${what}`, () => {
    assertEquals(markedOf(bound, count), marked);
    assertEquals(bound.marked, marked);
  });
}

Deno.test("CutBound.keeps() deletes marked flows that are beyond the bound, or not needed", () => {
  const bound = boundOf(50_000, 100_000, 12_502);
  assertEquals([1, 2, 3].map(() => bound.keeps(true)), [false, false, true]);
  assertEquals(bound.keeps(false), false);
  assertEquals(bound.marked, 12_499);
});
