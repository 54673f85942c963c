/** From the write in the API server to the rule in the kernel: one change at a time, in the big cluster. */

import { sleep } from "../../lib/base/async.ts";
import { Address } from "../../lib/ip/address.ts";
import { interfaceNameOf } from "../../lib/model/interface_name.ts";
import type { Notification } from "../../lib/netlink/nftables/notification.ts";
import type { PartialObject } from "../support/kubernetes/api_server/object.ts";
import { NODE_NAME } from "../support/node/node.ts";
import type { Benchmark, BenchmarkContext } from "./benchmark.ts";
import { addressesOf, appLabel, formatSize, podOf } from "./cluster.ts";
import type { ClusterNode } from "./cluster_node.ts";
import { Sample } from "./sample.ts";
import { type Cell, QUANTILES, quantiles, type Table } from "./table.ts";

const RUNS = 100;
/** Between two changes, so that each finds the agent at rest. */
const PAUSE_MS = 15;
const WARM_UP = 10;

export const policyEvent: Benchmark = {
  name: "policy event to kernel",
  async run(context: BenchmarkContext): Promise<readonly Table[]> {
    const node = await context.clusterNode();
    await node.agent();
    const results = new Map<string, Result>();
    const unseen = new Set<string>();
    const runs = context.runs(RUNS);
    for (let round = -WARM_UP; round < runs; round++) {
      for (const change of changesOf(node, Math.abs(round))) {
        const result = unseen.has(change.name) ? undefined : await measure(node, change);
        if (result === undefined) {
          change.write();
          continue;
        }
        if (result === "unseen") {
          unseen.add(change.name);
          context.skip(change.name, "it does not reach the kernel in this cluster");
          continue;
        }
        if (round < 0) continue;
        const all = results.get(change.name) ?? { total: new Sample(), applied: new Sample() };
        results.set(change.name, all);
        all.total.add(result.totalMs);
        if (result.appliedMs !== undefined) all.applied.add(result.appliedMs);
      }
    }
    const rows = [...results].map(([name, { total, applied }]): Cell[] => [
      ...[name, ...quantiles(total), total.max, applied.median, applied.p99],
    ]);
    return [{
      title: `Event to kernel: ${formatSize(node.size)}; ${runs} of each`,
      what: "From the write in the API server until we read the kernel's notification " +
        "(NFT_MSG_NEWGEN) of the commit that has the change. So it holds: encoding and sending the " +
        "watch event over loopback, the agent, the kernel's commit, and the wake-up of the " +
        "listener, all on this machine. In the agent: flush, compile, compare, send, as its log " +
        "says. Changes come one at a time, to an agent at rest. Budget: 5 ms median, 25 ms p99.",
      columns: [
        ...["change", ...QUANTILES.map((it) => `${it} ms`), "longest ms"],
        ...["in the agent ms", "p99 ms"],
      ],
      rows,
    }];
  },
};

interface Result {
  readonly total: Sample;
  readonly applied: Sample;
}

/** One change of the cluster, and how the kernel shows that it has it. */
interface ClusterChange {
  readonly name: string;
  write(): void;
  isSeen(notification: Notification): boolean;
}

interface Measured {
  readonly totalMs: number;
  readonly appliedMs: number | undefined;
}

async function measure(node: ClusterNode, change: ClusterChange): Promise<Measured | "unseen"> {
  await sleep(PAUSE_MS);
  node.takeApplied();
  const seen = node.kernel.commit((it) => change.isSeen(it));
  const startMs = performance.now();
  change.write();
  const seenMs = await seen;
  if (seenMs === undefined) return "unseen";
  const totalMs = seenMs - startMs;
  await sleep(1); // the log comes through a pipe
  return { totalMs, appliedMs: node.takeApplied().at(-1)?.durationMs };
}

/** A round of changes, at the end of which the cluster is as before. */
function changesOf({ store, objects, size }: ClusterNode, round: number): ClusterChange[] {
  const local = localPodOf(objects.pods, round);
  const { namespace = "", name: localPod = "", labels = {} } = local.metadata;
  const app = Number(labels.app?.slice(appLabel(0).length - 1));
  const policy = newPolicy(namespace, `bench-${round}`, app, round);
  const chain = `/${namespace}/${policy.metadata.name}`; // whatever stands before it
  const addresses = addressesOf(size.pods + round);
  const remote = podOf({
    ...{ namespace, name: `extra-${round}`, node: "other-1", app: app + 1, addresses },
  });
  const remoteKey = `${namespace}/extra-${round}`;
  const localKey = `${namespace}/${localPod}`;
  const relabel = (to: number): void => {
    store.patch("pods", localKey, { metadata: { labels: { app: appLabel(to) } } });
  };
  const key = Address.parse(addresses[0] ?? "").bytes;
  const nameKey = new Uint8Array(16);
  new TextEncoder().encodeInto(interfaceNameOf(namespace, localPod), nameKey);
  return [
    {
      name: "policy created",
      write: () => store.create("networkpolicies", policy),
      isSeen: (it) => it.kind === "elements" && !it.deleted && it.list.set === "ingress",
    },
    {
      name: "policy deleted",
      write: () => store.delete("networkpolicies", `${namespace}/${policy.metadata.name}`),
      isSeen: (it) => it.kind === "chain" && it.deleted && it.chain.name.endsWith(chain),
    },
    {
      name: "pod elsewhere added to a set",
      write: () => store.create("pods", remote),
      isSeen: (it) => hasElement(it, false, key),
    },
    {
      name: "pod elsewhere removed",
      write: () => store.delete("pods", remoteKey),
      isSeen: (it) => hasElement(it, true, key),
    },
    {
      name: "label of a pod here changed",
      write: () => relabel(app + 3),
      isSeen: (it) => hasElement(it, false, nameKey, "ingress"),
    },
    {
      name: "label changed back",
      write: () => relabel(app),
      isSeen: (it) => hasElement(it, false, nameKey, "ingress"),
    },
  ];
}

function hasElement(it: Notification, deleted: boolean, key: Uint8Array, set?: string): boolean {
  return it.kind === "elements" && it.deleted === deleted &&
    (set === undefined || it.list.set === set) &&
    it.list.elements.some((element) => element.key.toHex() === key.toHex());
}

/** Governs the node's pod in `namespace`; allows pods that no other policy names so. */
function newPolicy(namespace: string, name: string, app: number, round: number): PartialObject {
  return {
    metadata: { name, namespace },
    spec: {
      podSelector: { matchLabels: { app: appLabel(app) } },
      policyTypes: ["Ingress"],
      ingress: [{
        from: [{ podSelector: { matchLabels: { tier: "web" } } }],
        ports: [{ port: 10_000 + round }],
      }],
    },
  };
}

/** The pods of the node in turn. */
function localPodOf(pods: readonly PartialObject[], round: number): PartialObject {
  const local = pods.filter(isLocal);
  const pod = local[round % local.length];
  if (pod === undefined) throw new RangeError("The cluster has no pod on the node");
  return pod;
}

function isLocal({ spec }: PartialObject): boolean {
  return (spec as { nodeName?: string } | undefined)?.nodeName === NODE_NAME;
}
