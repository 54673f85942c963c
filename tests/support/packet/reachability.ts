/** Who reaches whom: a matrix of real connections between pods, over both families. */

import type { Descriptor } from "../../../lib/kernel/descriptor.ts";
import { probeAll, type ProbeResult } from "./probe.ts";
import { PATIENCE_MS } from "../until.ts";

/** A pod that can be asked from and asked: IPv4 address first, then IPv6. */
export interface ReachablePod {
  readonly name: string;
  readonly namespace: Descriptor;
  readonly addresses: readonly string[];
}

/** Who reaches whom: `from`, `to` and what came of a TCP connection, per family. */
export interface Connection {
  readonly from: string;
  readonly to: string;
  readonly ipv4: ProbeResult;
  readonly ipv6: ProbeResult;
  readonly expected: "open" | "timeout";
}

/** Formats who reaches whom: rows ask, columns answer. */
export function formatMatrix(connections: readonly Connection[]): string {
  const names = [...new Set(connections.map((it) => it.from))];
  const cell = (from: string, to: string): string => {
    const it = connections.find((one) => one.from === from && one.to === to);
    if (it === undefined) return "-";
    const mark = (result: ProbeResult): string =>
      result === "open" ? "yes" : result === "timeout" ? "no" : result;
    return mark(it.ipv4) === mark(it.ipv6) ? mark(it.ipv4) : `${mark(it.ipv4)}/${mark(it.ipv6)}`;
  };
  const width = Math.max(...names.map((it) => it.length), 9) + 2;
  const head = "from \\ to".padEnd(width) + names.map((it) => it.padEnd(width)).join("");
  const rows = names.map((from) =>
    from.padEnd(width) + names.map((to) => cell(from, to).padEnd(width)).join("")
  );
  return [head, ...rows].map((it) => it.trimEnd()).join("\n");
}

/**
 * Connects from each pod to each other one; `isAllowed` says what should come of it. What comes
 * otherwise is asked again for as long as {@link PATIENCE_MS}: on a busy machine an answer may be late,
 * and so may a policy.
 */
export async function measureReachability(
  pods: readonly ReachablePod[],
  port: number,
  isAllowed: (from: string, to: string) => boolean,
): Promise<Connection[]> {
  const endMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const connections = await measureOnce(pods, port, isAllowed);
    const isRight = connections.every((it) => it.ipv4 === it.expected && it.ipv6 === it.expected);
    if (isRight || performance.now() > endMs) return connections;
  }
}

async function measureOnce(
  pods: readonly ReachablePod[],
  port: number,
  isAllowed: (from: string, to: string) => boolean,
): Promise<Connection[]> {
  const pairs = pods.flatMap((from) =>
    pods.filter((to) => to !== from).map((to) => ({ from, to }))
  );
  const results = await probeAll(pairs.flatMap(({ from, to }) =>
    [0, 1].map((family) => ({
      namespace: from.namespace,
      protocol: "TCP" as const,
      address: to.addresses[family] ?? "",
      port,
    }))
  ));
  return pairs.map(({ from, to }, index) => ({
    from: from.name,
    to: to.name,
    ipv4: results[2 * index] ?? "timeout",
    ipv6: results[2 * index + 1] ?? "timeout",
    expected: isAllowed(from.name, to.name) ? "open" : "timeout",
  }));
}
