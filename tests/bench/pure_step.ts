/** The steps between a fact and the bytes for the kernel, alone: no kernel, no network, no other process. */

import { Compiler } from "../../lib/dataplane/compile/compile.ts";
import { diff } from "../../lib/dataplane/diff.ts";
import type { Sent } from "../../lib/dataplane/sent.ts";
import type { Ruleset } from "../../lib/dataplane/ruleset.ts";
import { networkPolicyKind } from "../../lib/datastore/decode/network_policy.ts";
import { podKind } from "../../lib/datastore/decode/pod.ts";
import type { NetworkPolicy } from "../../lib/model/policy.ts";
import { keyOf, type Workload } from "../../lib/model/workload.ts";
import { Writer } from "../../lib/netlink/buffer.ts";
import { encodeRequest, type Request } from "../../lib/netlink/message.ts";
import { transaction } from "../../lib/netlink/nftables/batch.ts";
import { PolicyGraph } from "../../lib/policy/graph.ts";
import { NODE_NAME } from "../support/node/node.ts";
import type { Benchmark, BenchmarkContext } from "./benchmark.ts";
import {
  addressesOf,
  appLabel,
  type ClusterObjects,
  type ClusterSize,
  makeCluster,
  podOf,
  sizeOf,
} from "./cluster.ts";
import { type ClusterFacts, decode, decodeCluster, feed } from "./facts.ts";
import { Sample, time } from "./sample.ts";
import { type Cell, ratio, type Table } from "./table.ts";

const SCALES = [100, 1_000, 10_000];
/** Rounds that begin with nothing, and rounds of one change. */
const RUNS_WHOLE = 5;
const RUNS_CHANGE = 50;
const WARM_UP = 5;

/** The steps in their order; `all`: from flush on. */
const STEPS = ["decode", "update", "flush", "compile", "diff", "encode", "all"] as const;
type Step = (typeof STEPS)[number];
type Add = (step: Step, ms: number) => void;

export const pureStep: Benchmark = {
  name: "pure steps",
  run(context: BenchmarkContext): Promise<readonly Table[]> {
    const results = new Results();
    for (const scale of SCALES) measureScale(context, scale, results);
    return Promise.resolve([{
      title: "Pure steps, by pods in the cluster",
      what:
        `A hundred pods on the node, a policy for ten pods; medians of ${RUNS_WHOLE} runs of the ` +
        `whole, of ${RUNS_CHANGE} of one change, in milliseconds. The whole begins with nothing, as ` +
        "the agent does; a change is what its loop does for it. All: from flush to the bytes for " +
        "the kernel. The ratio is to the smallest cluster.",
      columns: ["what, pods", ...STEPS, "all p90", "all p99", "ratio"],
      rows: results.rows(),
    }]);
  },
};

/** Samples by what was measured, the number of pods, and the step. */
class Results {
  readonly #samples = new Map<string, Map<number, Map<Step, Sample>>>();

  adder(what: string, scale: number): Add {
    const byScale = this.#samples.get(what) ?? new Map<number, Map<Step, Sample>>();
    this.#samples.set(what, byScale);
    const byStep = byScale.get(scale) ?? new Map<Step, Sample>();
    byScale.set(scale, byStep);
    return (step, ms) => {
      const sample = byStep.get(step) ?? new Sample();
      byStep.set(step, sample);
      sample.add(ms);
    };
  }

  rows(): Cell[][] {
    return [...this.#samples].flatMap(([what, byScale]) => {
      const base = byScale.get(SCALES[0] ?? 0)?.get("all");
      return [...byScale].map(([scale, byStep]): Cell[] => {
        const all = byStep.get("all") ?? new Sample();
        return [
          `${what}, ${scale.toLocaleString("en-US")}`,
          ...STEPS.map((step) => byStep.get(step)?.median),
          ...[all.p90, all.p99, ratio(all.median, base?.median)],
        ];
      });
    });
  }
}

const SILENT: Add = () => {};
const NOTHING: Sent = { chains: new Map(), sets: new Map() };

function measureScale(context: BenchmarkContext, scale: number, results: Results): void {
  const size = sizeOf(scale);
  const objects = makeCluster(size, NODE_NAME);
  let pipeline: Pipeline | undefined;
  for (let round = -1; round < context.runs(RUNS_WHOLE); round++) {
    const add = round < 0 ? SILENT : results.adder("everything", scale);
    let facts: ClusterFacts | undefined;
    add("decode", time(() => facts = decodeCluster(objects)));
    pipeline = new Pipeline(add);
    if (facts !== undefined) pipeline.feed(facts);
    pipeline.apply();
  }
  if (pipeline === undefined) return;
  for (let round = -WARM_UP; round < context.runs(RUNS_CHANGE); round++) {
    const adder = (what: string): Add => round < 0 ? SILENT : results.adder(what, scale);
    measureChanges(pipeline, objects, size, Math.abs(round), adder);
  }
  const [namespace] = objects.namespaces;
  for (let round = -1; round < context.runs(RUNS_WHOLE); round++) {
    const add = round < 0 ? SILENT : results.adder("largest policy", scale);
    measureLargest(pipeline, namespace?.metadata.name ?? "", round + 2, add);
  }
}

/** The largest that is taken (`lib/datastore/decode/rule_bound.ts`) comes, and goes. */
function measureLargest(pipeline: Pipeline, namespace: string, index: number, add: Add): void {
  const from = Array.from({ length: 50_000 }, (_, it) => ({
    ipBlock: { cidr: `${index}.${it >> 8}.${it & 0xff}.2/32` },
  }));
  const ports = Array.from({ length: 9_000 }, (_, it) => ({ port: 2 * it + 1 }));
  const object = {
    metadata: { namespace, name: `largest-${index}` },
    spec: { podSelector: {}, ingress: [{ from, ports }] },
  };
  let policy: NetworkPolicy | undefined;
  add("decode", time(() => policy = decode(networkPolicyKind, object)));
  if (policy === undefined) return;
  pipeline.change(add, "policy", keyOf(policy), policy);
  pipeline.change(SILENT, "policy", keyOf(policy), undefined);
}

function measureChanges(
  pipeline: Pipeline,
  { namespaces, networkpolicies, pods }: ClusterObjects,
  size: ClusterSize,
  index: number,
  adder: (what: string) => Add,
): void {
  const namespace = namespaces[index % namespaces.length]?.metadata.name ?? "";
  const object = podOf({
    ...{ namespace, name: `extra-${index}`, node: "other-1", app: 1 },
    addresses: addressesOf(size.pods + index),
  });
  const remote = decode(podKind, object);
  pipeline.change(adder("pod elsewhere"), "workload", keyOf(remote), remote);
  const same = { ...remote, resourceVersion: `${index}` };
  pipeline.change(adder("its status"), "workload", keyOf(remote), same);
  const local = pods.filter((it) => (it.spec as { nodeName?: string }).nodeName === NODE_NAME);
  const here = decode(podKind, local[index % local.length] ?? object);
  const moved: Workload = { ...here, labels: { ...here.labels, app: appLabel(index + 1) } };
  pipeline.change(adder("label of a pod here"), "workload", keyOf(here), moved);
  const first = networkpolicies[index % networkpolicies.length] ?? { metadata: {} };
  const policy = { ...decode(networkPolicyKind, first), name: `bench-${index}`, podSelector: [] };
  pipeline.change(adder("policy"), "policy", keyOf(policy), policy);
  // And everything back.
  pipeline.change(SILENT, "workload", keyOf(remote), undefined);
  pipeline.change(SILENT, "workload", keyOf(here), here);
  pipeline.change(SILENT, "policy", keyOf(policy), undefined);
}

/** What the agent's loop does, with a clock in every step. */
class Pipeline {
  readonly #graph = new PolicyGraph({ nodeName: NODE_NAME });
  readonly #compiler = new Compiler({});
  #add: Add;
  #sent = NOTHING;
  #compiled: { readonly desired: unknown; readonly ruleset: Ruleset } | undefined;

  constructor(add: Add) {
    this.#add = add;
  }

  feed(facts: ClusterFacts): void {
    this.#add("update", time(() => feed(this.#graph, facts)));
  }

  /** @param args of `PolicyGraph.update()` */
  change(add: Add, ...args: Parameters<PolicyGraph["update"]>): void {
    this.#add = add;
    add("update", time(() => this.#graph.update(...args)));
    this.apply();
  }

  apply(): void {
    const add = this.#add;
    const startMs = performance.now();
    const desired = this.#graph.flush();
    const flushedMs = performance.now();
    if (this.#compiled?.desired !== desired) {
      this.#compiled = { desired, ruleset: this.#compiler.compile(desired) };
    }
    const compiledMs = performance.now();
    const difference = diff(this.#sent, this.#compiled.ruleset, 0);
    const comparedMs = performance.now();
    if (difference === undefined) throw new TypeError("What was sent is known");
    this.#sent = difference.sent;
    difference.transactions.forEach(encode);
    const encodedMs = performance.now();
    add("flush", flushedMs - startMs);
    add("compile", compiledMs - flushedMs);
    add("diff", comparedMs - compiledMs);
    add("encode", encodedMs - comparedMs);
    add("all", encodedMs - startMs);
  }
}

function encode(requests: readonly Request[]): void {
  const writer = new Writer(1 << 16);
  transaction(requests).forEach((request, index) => encodeRequest(writer, request, index));
}
