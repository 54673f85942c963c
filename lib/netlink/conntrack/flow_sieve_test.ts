import { assertEquals } from "@std/assert";
import { rawFlow, trackedFlow } from "../../../tests/support/packet/tracked_flow.ts";
import { Address } from "../../ip/address.ts";
import type { RawMessage } from "../message.ts";
import { FlowSieve } from "./flow_sieve.ts";
import { IPS_CONFIRMED, IPS_FIXED_TIMEOUT } from "./message.ts";

const [A, B, SERVICE] = ["10.0.0.1", "10.0.0.2", "10.96.0.1"];
const [A6, B6] = ["fd00::1", "fd00::2"];
const MARKED = IPS_CONFIRMED | IPS_FIXED_TIMEOUT;

const FLOWS = {
  ab: { source: A, destination: B },
  ba: { source: B, destination: A },
  service: { source: A, destination: B, service: { address: SERVICE, port: 80 } },
  masqueraded: { source: A, destination: B, masquerade: "192.0.2.1" },
  ab6: { source: A6, destination: B6 },
  ba6: { source: B6, destination: A6 },
  marked: { source: SERVICE, destination: "10.0.0.9", status: MARKED },
  ping: { source: A, destination: B, protocol: "ICMP" },
} as const;

/** Names of the flows that pass. */
function passing(sources: string[], destinations: string[], status?: number): string[] {
  const sieve = new FlowSieve({
    sources: sources.map((it) => Address.parse(it)),
    destinations: destinations.map((it) => Address.parse(it)),
    ...status === undefined ? {} : { status },
  });
  return Object.entries(FLOWS).filter(([, words]) => sieve.passes(rawFlow(trackedFlow(words))))
    .map(([name]) => name);
}

Deno.test("FlowSieve.passes() by where a flow comes from, and where it goes to", () => {
  assertEquals(passing([A], []), ["ab", "service", "masqueraded", "ping"]);
  assertEquals(passing([], [A]), ["ba"]);
  assertEquals(passing([B], [B]), ["ab", "ba", "service", "masqueraded", "ping"]);
  assertEquals(passing([], [SERVICE]), []);
  assertEquals(passing([A6], []), ["ab6"]);
  assertEquals(passing([A6], [A6]), ["ab6", "ba6"]);
  assertEquals(passing([], []), []);
});

Deno.test("FlowSieve.passes() by any bit of the status", () => {
  assertEquals(passing([], [], IPS_FIXED_TIMEOUT), ["marked"]);
  assertEquals(passing([A6], [], IPS_FIXED_TIMEOUT | 1), ["ab6", "marked"]);
  assertEquals(passing([], [], IPS_CONFIRMED), Object.keys(FLOWS));
});

Deno.test("FlowSieve.passes() ends on whatever bytes there are", () => {
  const sieve = new FlowSieve({ sources: [Address.parse(A)], destinations: [], status: 1 });
  const { payload, ...rest } = rawFlow(trackedFlow(FLOWS.ba));
  for (let length = 0; length <= payload.length; length++) {
    const cut: RawMessage = { ...rest, payload: payload.slice(0, length) };
    assertEquals(sieve.passes(cut), false);
    for (const value of [0, 1, 0xff]) {
      const wrong = payload.slice();
      wrong[length] = value;
      sieve.passes({ ...rest, payload: wrong });
    }
  }
});
