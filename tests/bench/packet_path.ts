/** What a packet pays for policy between two pods of the node: as many endpoints and policies as there may be. */

import { messageOf } from "../../lib/base/error.ts";
import { createLogger } from "../../lib/base/log.ts";
import { Dataplane } from "../../lib/dataplane/apply.ts";
import { compile } from "../../lib/dataplane/compile/compile.ts";
import { podKind } from "../../lib/datastore/decode/pod.ts";
import { namespaceKind } from "../../lib/datastore/decode/namespace.ts";
import { networkPolicyKind } from "../../lib/datastore/decode/network_policy.ts";
import { keyOf } from "../../lib/model/workload.ts";
import { NETLINK_NETFILTER, openNetlinkSocket } from "../../lib/netlink/socket.ts";
import { PolicyGraph } from "../../lib/policy/graph.ts";
import { NODE_NAME } from "../support/node/node.ts";
import { findProgram, missingProgram } from "../support/program/program.ts";
import type { Benchmark, BenchmarkContext } from "./benchmark.ts";
import { decode } from "./facts.ts";
import { type Flow, ForwardPath, type PathEnd } from "./forward_path.ts";
import { runProgram } from "./run_program.ts";
import { Sample } from "./sample.ts";
import { type Cell, ratio, type Table } from "./table.ts";

const RUNS = 5;
const MEASURE_MS = 60;
const SCALES = [10, 100, 1_000, 10_000];
const PORTS = { judged: 9001, known: 9002 } as const;
/** Pods of a namespace. */
const GROUP = 10;

const CLIENT: PathEnd = { namespace: "ns-0", name: "pod-0", address: "10.70.0.0" };
const SERVER: PathEnd = { namespace: "ns-0", name: "pod-1", address: "10.70.0.1" };

export const packetPath: Benchmark = {
  name: "packet path",
  async run(context: BenchmarkContext): Promise<readonly Table[]> {
    const runs = context.runs(RUNS);
    const nft = findProgram("nft");
    if (nft === undefined) {
      context.skip("a linear ruleset", missingProgram(["nft"]) ?? "nft is missing");
    }
    using path = new ForwardPath(CLIENT, SERVER);
    const rows: Cell[][] = [];
    for (const [name, program] of [["calyx", programOurs], ["linear", programLinear]] as const) {
      for (const scale of SCALES) {
        if (name === "linear" && nft === undefined) continue;
        const none = measure(path, runs); // just before, as the machine's speed changes
        const startMs = performance.now();
        const label = `${name}, ${scale.toLocaleString("en-US")}`;
        let rules: AsyncDisposable;
        try {
          rules = await program(scale, nft ?? "");
        } catch (error) {
          context.skip(label, messageOf(error));
          continue;
        }
        await using _rules = rules;
        const programMs = performance.now() - startMs;
        rows.push([label, ...cells(measure(path, runs), none), programMs]);
      }
    }
    return [{
      title: `Packet path, by pods on the node, each with a policy of its own; ${runs} runs`,
      what:
        "64-byte UDP datagrams from pod to pod through forward, one after the other, the whole " +
        "way of send(2) and back; a call costs 2 µs of it. Judged: nothing ever answers, so that " +
        "every datagram is judged by the policies. Known: conntrack has seen an answer. Linear: one " +
        "rule for each pod, made by nft, the one that matches at the end. The ratios are to no rules at " +
        "all, measured before each.",
      columns: [
        ...["ruleset, pods", "judged µs", "p90 µs", "ratio", "known µs", "p90 µs", "ratio"],
        "to program ms",
      ],
      rows,
    }];
  },
};

/** Microseconds a datagram. */
interface Paid {
  readonly judged: Sample;
  readonly known: Sample;
}

function cells(paid: Paid, none: Paid): readonly Cell[] {
  return (["judged", "known"] as const).flatMap((it) => [
    ...[paid[it].median, paid[it].p90, ratio(paid[it].median, none[it].median)],
  ]);
}

function measure(path: ForwardPath, runs: number): Paid {
  const paid: Paid = { judged: new Sample(), known: new Sample() };
  using judged = path.open(PORTS.judged, false);
  using known = path.open(PORTS.known, true);
  const flows = { judged, known } as const;
  for (let round = -1; round < runs; round++) {
    for (const [name, flow] of Object.entries(flows) as [keyof Paid, Flow][]) {
      const us = flow.measureUs(MEASURE_MS);
      if (round >= 0) paid[name].add(us);
    }
  }
  if (!judged.isOpen || !known.isOpen) throw new Error("Datagrams do not arrive any more");
  return paid;
}

async function programOurs(scale: number): Promise<AsyncDisposable> {
  const ruleset = compile(makeGraph(scale).flush());
  const socket = openNetlinkSocket(NETLINK_NETFILTER);
  const dataplane = new Dataplane(socket, createLogger({ level: "error" }));
  const dispose = async (): Promise<void> => {
    await dataplane.remove();
    socket[Symbol.dispose]();
  };
  try {
    await dataplane.apply(ruleset);
    return { [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** `scale` pods on the node; each is governed by a policy of its own that lets the client in. */
function makeGraph(scale: number): PolicyGraph {
  const graph = new PolicyGraph({ nodeName: NODE_NAME });
  for (let index = 0; index < scale; index++) {
    const namespace = `ns-${Math.floor(index / GROUP)}`;
    const name = `pod-${index}`;
    if (index % GROUP === 0) {
      const object = { metadata: { name: namespace } };
      graph.update("namespace", namespace, decode(namespaceKind, object));
    }
    const pod = decode(podKind, {
      metadata: { name, namespace, labels: { app: name } },
      spec: { nodeName: NODE_NAME },
      status: { podIPs: [{ ip: `10.70.${index >> 8}.${index & 255}` }] },
    });
    graph.update("workload", keyOf(pod), pod);
    const client = { namespaceSelector: {}, podSelector: { matchLabels: { app: CLIENT.name } } };
    const policy = decode(networkPolicyKind, {
      metadata: { name, namespace },
      spec: {
        podSelector: { matchLabels: { app: name } },
        policyTypes: ["Ingress"],
        ingress: [{ from: [client], ports: [{ protocol: "UDP", port: 9000, endPort: 9010 }] }],
      },
    });
    graph.update("policy", keyOf(policy), policy);
  }
  return graph;
}

async function programLinear(scale: number, nft: string): Promise<AsyncDisposable> {
  const rules = Array.from({ length: scale }, (_, index) => {
    const address = scale - 1 - index; // the server's is the last but one
    return `ip saddr ${CLIENT.address} ip daddr 10.70.${address >> 8}.${address & 255} ` +
      "udp dport 9000-9010 accept";
  });
  const file = "/run/tmp/linear.nft";
  await Deno.writeTextFile(
    file,
    `table inet linear {\nchain forward {\ntype filter hook forward priority 0; policy drop;
ct state established,related accept\n${rules.join("\n")}\n}\n}\n`,
  );
  const { code, stderr } = await runProgram({ path: nft, args: ["-f", file] });
  if (code !== 0) throw new Error(`nft: ${stderr}`);
  return {
    async [Symbol.asyncDispose]() {
      await runProgram({ path: nft, args: ["delete", "table", "inet", "linear"] });
    },
  };
}
