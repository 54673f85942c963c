/** What the kernel's validation of a change costs, beside the same rules in one base chain. */

import { createLogger } from "../../lib/base/log.ts";
import { Dataplane } from "../../lib/dataplane/apply.ts";
import { compile } from "../../lib/dataplane/compile/compile.ts";
import type { Ruleset } from "../../lib/dataplane/ruleset.ts";
import { NETLINK_NETFILTER, openNetlinkSocket } from "../../lib/netlink/socket.ts";
import {
  addPolicy,
  countVisits,
  crowdedNamespace,
  inOneBaseChain,
} from "../support/kernel/validation.ts";
import type { Benchmark, BenchmarkContext } from "./benchmark.ts";
import { Sample } from "./sample.ts";
import { type Cell, ratio, type Table } from "./table.ts";

/** Pods, policies that each select all of them. */
const SIZES = [[5, 5], [10, 10], [20, 20], [40, 40], [80, 80], [10, 100], [10, 300], [10, 1_000]];
const RUNS = 5;
/** The other structure is left out where it would take minutes: beyond this, in milliseconds. */
const LOAD_MS_MAX = 20_000;

export const validation: Benchmark = {
  name: "validation of a change",
  async run(context: BenchmarkContext): Promise<readonly Table[]> {
    const runs = context.runs(RUNS);
    const rows: Cell[][] = [];
    let isOtherTooSlow = false;
    for (const [pods = 0, policies = 0] of SIZES) {
      const ours = await measure(pods, policies, runs, (it) => it);
      const other = isOtherTooSlow
        ? undefined
        : await measure(pods, policies, runs, inOneBaseChain);
      if (other !== undefined && other.loadMs > LOAD_MS_MAX) isOtherTooSlow = true;
      rows.push([
        `${pods} pods, ${policies} policies`,
        ...[ours.visits, ours.loadMs, ours.changeMs],
        ...[other?.visits, other?.loadMs, other?.changeMs],
        other && ratio(other.visits, ours.visits),
      ]);
    }
    return [{
      title: `A change of one policy's rules in a crowded namespace; Linux ${Deno.osRelease()}`,
      what:
        "Every policy selects every pod, with four rules each way. Visits: rules that a kernel " +
        "without a cache of validated chains looks at for each transaction that adds a rule " +
        "(counted, not measured). Whole: the first program. Change: other rules in one policy, " +
        "median. Beside it the same rules where egress goes on to ingress in one base chain.",
      columns: [
        ...["namespace", "visits", "whole ms", "change ms"],
        ...["one chain: visits", "whole ms", "change ms", "visits"],
      ],
      rows,
    }];
  },
};

interface Cost {
  readonly visits: number;
  readonly loadMs: number;
  readonly changeMs: number;
}

async function measure(
  pods: number,
  policies: number,
  runs: number,
  structure: (ruleset: Ruleset) => Ruleset,
): Promise<Cost> {
  using socket = openNetlinkSocket(NETLINK_NETFILTER);
  const dataplane = new Dataplane(socket, createLogger({ level: "error" }));
  const graph = crowdedNamespace(pods, policies);
  const first = structure(compile(graph.flush()));
  const loadMs = await timed(() => dataplane.apply(first));
  const changes = new Sample();
  for (let run = 0; run < runs; run++) {
    addPolicy(graph, 0, 20_000 + 100 * run);
    const next = structure(compile(graph.flush()));
    changes.add(await timed(() => dataplane.apply(next)));
  }
  await dataplane.remove();
  return { visits: countVisits(first), loadMs, changeMs: changes.median };
}

async function timed(what: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await what();
  return performance.now() - startMs;
}
