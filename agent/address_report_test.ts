import { assertEquals } from "@std/assert";
import type { Clock } from "../lib/base/clock.ts";
import { createLogger } from "../lib/base/log.ts";
import type { AddressDoubts } from "../lib/policy/address_doubts.ts";
import { formatAddressDoubts, reportAddressDoubts } from "./address_report.ts";

type Pods = Readonly<Record<string, readonly string[]>>;

function doubts(ofNodes: Pods, outside: Pods): AddressDoubts {
  return { ofNodes: new Map(Object.entries(ofNodes)), outside: new Map(Object.entries(outside)) };
}

const NONE = doubts({}, {});

Deno.test("formatAddressDoubts() names pods and addresses, within a bound", () => {
  assertEquals(formatAddressDoubts(NONE), []);
  const many = Object.fromEntries(
    [7, 1, 2, 3, 4, 5, 6].map((it) => [`x/p${it}`, [`10.0.0.${it}`]]),
  );
  assertEquals(formatAddressDoubts(doubts({ "shop/a": ["192.0.2.1", "2001:db8::1"] }, many)), [
    "Addresses of nodes in pods' statuses are not believed: shop/a (192.0.2.1, 2001:db8::1)",
    "Pod addresses outside of every node's pod CIDRs are believed: x/p1 (10.0.0.1), " +
    "x/p2 (10.0.0.2), x/p3 (10.0.0.3), x/p4 (10.0.0.4), x/p5 (10.0.0.5), 2 more",
  ]);
});

Deno.test("reportAddressDoubts() logs when doubts come and go, and not in between", async () => {
  const claim = doubts({ "shop/a": ["192.0.2.1"] }, {});
  const looks = [
    NONE,
    claim,
    claim,
    doubts({ "shop/a": ["192.0.2.1"] }, { "x/p1": ["10.0.0.1"] }),
    doubts({}, { "x/p1": ["10.0.0.1"], "x/p2": ["10.0.0.2"] }),
    NONE,
  ];
  const stop = new AbortController();
  const clock: Clock = {
    nowMs: () => 0,
    sleep: () => {
      if (looks.length === 0) stop.abort();
      return Promise.resolve();
    },
  };
  const log: string[] = [];
  await reportAddressDoubts({
    doubts: () => looks.shift() ?? NONE,
    logger: createLogger({ write: (line) => log.push(line) }),
    clock,
  }, stop.signal);
  const events = log.map((line) => {
    const { level, message, pods } = JSON.parse(line);
    return [level, message, ...(pods === undefined ? [] : [pods])].join(" | ");
  });
  assertEquals(events, [
    "warn | address of a node in a pod's status not believed | shop/a (192.0.2.1)",
    "warn | pod addresses outside of every node's pod CIDRs | x/p1 (10.0.0.1)",
    "info | no pod's status has an address of a node any more",
  ]);
});
