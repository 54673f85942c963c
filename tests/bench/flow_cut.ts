/** From the write in the API server to the cut of one flow, in a table full of strangers' flows. */

import { sleep } from "../../lib/base/async.ts";
import { Address } from "../../lib/ip/address.ts";
import {
  dumpFlows,
  type FlowReference,
  getFlow,
  parseFlow,
  type TrackedFlow,
} from "../../lib/netlink/conntrack/flow.ts";
import { IPS_FIXED_TIMEOUT } from "../../lib/netlink/conntrack/message.ts";
import { isNotFound } from "../../lib/netlink/error.ts";
import {
  NETLINK_NETFILTER,
  type NetlinkSocket,
  openNetlinkSocket,
} from "../../lib/netlink/socket.ts";
import { addFlows, flushFlows, type ManyFlows, tupleOf } from "../support/packet/many_flows.ts";
import { TestNode } from "../support/node/node.ts";
import type { Benchmark, BenchmarkContext } from "./benchmark.ts";
import { Sample, time } from "./sample.ts";
import { type Cell, QUANTILES, quantiles, ratio, type Table } from "./table.ts";

const RUNS = 10;
const STRANGERS = [0, 50_000, 200_000];
const PORT = 80;
/** Between two changes, so that the look at the whole table is over. */
const PAUSE_MS = 300;
/** How often the kernel is asked whether the flow is cut. */
const POLL_MS = 2;
const PATIENCE_MS = 60_000;
/** 198.18.0.0/15 and 2001:db8::, where no pod is. */
const STRANGER = { 4: 0xc6120000n, 6: 0x20010db8_00000000_00000000_00000000n };

export const flowCut: Benchmark = {
  name: "flow cut among strangers",
  async run(context: BenchmarkContext): Promise<readonly Table[]> {
    await using node = await TestNode.start();
    const pod = await node.addPod("server");
    using socket = openNetlinkSocket(NETLINK_NETFILTER);
    const rows: Cell[][] = [];
    for (const family of [4, 6] as const) {
      const server = pod.addresses.map((it) => Address.parse(it))
        .find((it) => it.family === family);
      if (server === undefined) continue;
      for (const strangers of STRANGERS) {
        rows.push(await measure(context, { node, socket, server, strangers }));
      }
    }
    return [{
      title: "A flow that a new policy denies, to its cut, among strangers' flows",
      what: "From the write of a NetworkPolicy in the API server until the kernel shows the one " +
        "flow that it denies as cut; the strangers' flows are of the same family, established, " +
        "and of no pod. Beside it, what it takes to read the whole table and parse each flow, which " +
        "any look at the whole would have to wait for. Budget: 1 s with 200,000.",
      columns: [
        ...["family, strangers", ...QUANTILES.map((it) => `${it} ms`), "longest ms"],
        ...["whole table ms", "of that"],
      ],
      rows,
    }];
  },
};

interface Setting {
  readonly node: TestNode;
  readonly socket: NetlinkSocket;
  readonly server: Address;
  readonly strangers: number;
}

async function measure(context: BenchmarkContext, setting: Setting): Promise<Cell[]> {
  const { node, socket, server, strangers } = setting;
  const { family } = server;
  flushFlows(socket);
  const stranger = (index: number): Address => Address.of(family, STRANGER[family] + BigInt(index));
  addFlows(socket, {
    count: strangers,
    ends: (index) => [stranger(index % 1_000), stranger(1_000 + index % 777)],
    port: 1_000,
  });
  const cut = new Sample();
  const runs = context.runs(RUNS);
  for (let round = -1; round < runs; round++) {
    const flow = addFlow(socket, stranger(9_999), server);
    await sleep(PAUSE_MS);
    const startMs = performance.now();
    await node.createPolicy("cut", { podSelector: {}, ingress: [] });
    await untilCut(socket, flow);
    if (round >= 0) cut.add(performance.now() - startMs);
    await node.deletePolicy("cut");
    await untilGone(socket, flow);
  }
  const whole = new Sample(Array.from({ length: 3 }, () => time(() => readAll(socket))));
  flushFlows(socket);
  return [
    `IPv${family}, ${strangers}`,
    ...quantiles(cut),
    cut.max,
    whole.median,
    ratio(cut.median, whole.median),
  ];
}

/** @throws {Error} if the kernel does not take it */
function addFlow(socket: NetlinkSocket, source: Address, destination: Address): FlowReference {
  const flows: ManyFlows = { count: 1, ends: () => [source, destination], port: PORT };
  if (addFlows(socket, flows) !== 1) throw new Error("The kernel did not take the flow");
  return { original: tupleOf(flows, 0), zone: 0, id: 0 };
}

async function untilCut(socket: NetlinkSocket, flow: FlowReference): Promise<void> {
  await until(() => {
    const now = current(socket, flow);
    return now === undefined || (now.status & IPS_FIXED_TIMEOUT) !== 0;
  });
}

/** Allowed again, a cut flow is deleted. */
async function untilGone(socket: NetlinkSocket, flow: FlowReference): Promise<void> {
  await until(() => current(socket, flow) === undefined);
}

function current(socket: NetlinkSocket, flow: FlowReference): TrackedFlow | undefined {
  try {
    return socket.request(getFlow(flow)).map(parseFlow)[0];
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function readAll(socket: NetlinkSocket): number {
  let count = 0;
  for (const part of socket.dumpParts(dumpFlows())) {
    for (const raw of part) if (parseFlow(raw) !== undefined) count++;
  }
  return count;
}

async function until(done: () => boolean): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while (!done()) {
    if (performance.now() > endMs) throw new Error("The flow was not cut");
    await sleep(POLL_MS);
  }
}
