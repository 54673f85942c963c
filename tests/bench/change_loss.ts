/** What a change of policy costs those whom both the old and the new policies allow: packets lost. */

import { measureChangeLoss } from "../support/packet/change_loss.ts";
import { TestNode } from "../support/node/node.ts";
import type { Benchmark, BenchmarkContext } from "./benchmark.ts";
import type { Table } from "./table.ts";

const CHANGES = 5_000;
const PACKETS_PER_SECOND = 1_000;

export const changeLoss: Benchmark = {
  name: "loss at a change of policy",
  async run(context: BenchmarkContext): Promise<readonly Table[]> {
    await using node = await TestNode.start();
    const [server, client] = [await node.addPod("server"), await node.addPod("client")];
    const { changes, sent, lost, commits } = await measureChangeLoss(node, { server, client }, {
      changes: context.runs(CHANGES),
      packetsPerSecond: PACKETS_PER_SECOND,
    });
    return [{
      title: `Permitted packets lost while policies change; ${PACKETS_PER_SECOND} packets/s`,
      what:
        "Datagrams between two pods, over IPv4 and IPv6, half of them on flows that live on and " +
        "half from new sockets, while policies that all allow them come and go at either end. " +
        "Lost is what never arrived. Budget: none.",
      columns: ["changes of policy", "commits", "packets sent", "lost", "lost per change"],
      rows: [[String(changes), commits, sent, lost, lost / changes]],
    }];
  },
};
