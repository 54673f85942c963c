/**
 * How many permitted packets a change of policy costs: datagrams between two pods whose policies come
 * and go, all of which both the old and the new policies allow.
 */

import type { Bytes } from "../../../lib/base/bytes.ts";
import { TestFlow } from "./flow.ts";
import type { TestNode } from "../node/node.ts";
import type { TestPod } from "../node/pod.ts";
import { PodServers, sendDatagram } from "./probe.ts";
import { sleep } from "../until.ts";

const PORT = 53;
/** Time for the agent to bring one change into the kernel before the next one is written. */
const CHANGE_MS = 8;
/** Datagrams sent at once at most. */
const BURST_MAX = 16;
/** How long the last datagrams may be on their way. */
const ARRIVAL_MS_MAX = 60_000;

/** What was sent and lost. */
export interface ChangeLoss {
  readonly changes: number;
  readonly sent: number;
  readonly lost: number;
  /** Commits of the agent meanwhile. */
  readonly commits: number;
}

/**
 * Sends about `packetsPerSecond` datagrams from `client` to `server`, over both families, on flows that
 * live on and on new ones, while `changes` changes of policy are written, and counts what arrives.
 * Every policy allows `client`; each change gives one of the two pods another list of policies.
 */
export async function measureChangeLoss(
  node: TestNode,
  { server, client }: { readonly server: TestPod; readonly client: TestPod },
  { changes, packetsPerSecond }: { readonly changes: number; readonly packetsPerSecond: number },
): Promise<ChangeLoss> {
  using servers = new PodServers();
  const arrived = new Set<number>();
  servers.onDatagram = (payload) => {
    arrived.add(new DataView(payload.buffer, payload.byteOffset).getUint32(0));
  };
  servers.udp(server.namespace, PORT);
  let sent = 0;
  let sentAtMs = performance.now();
  const flows = await Promise.all(server.addresses.map((address) =>
    TestFlow.open({
      name: `established ${address}`,
      namespace: client.namespace,
      protocol: "UDP",
      address,
      port: PORT,
      intervalMs: 4_000 / packetsPerSecond,
    })
  ));
  // What the flows send has numbers of its own, which this count is not to meet.
  const FIRST = 2 ** 31;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    // What a busy machine was late with is left out, so that no queue of the receiver overflows.
    const due = Math.min(Math.round((nowMs - sentAtMs) * packetsPerSecond / 2_000), BURST_MAX);
    sentAtMs = nowMs;
    for (const end = sent + due; sent < end; sent++) {
      const payload: Bytes = new Uint8Array(4);
      new DataView(payload.buffer).setUint32(0, FIRST + sent);
      const address = server.addresses[sent % server.addresses.length] ?? "";
      sendDatagram({ namespace: client.namespace, address, port: PORT }, payload);
    }
  }, 1);
  const before = commitsOf(node);
  try {
    for (let change = 0; change < changes; change++) {
      await changePolicy(node, change);
      await sleep(CHANGE_MS);
    }
  } finally {
    clearInterval(timer);
    await Promise.all(flows.map((it) => it.finish(ARRIVAL_MS_MAX)));
    flows.forEach((it) => it[Symbol.dispose]());
  }
  const fresh = (): number => [...arrived].filter((it) => it >= FIRST).length;
  const endMs = performance.now() + ARRIVAL_MS_MAX;
  while (fresh() < sent && performance.now() < endMs) await sleep(10);
  return {
    changes,
    sent: sent + flows.reduce((sum, it) => sum + it.sent, 0),
    lost: sent - fresh() + flows.reduce((sum, it) => sum + it.missing, 0),
    commits: commitsOf(node) - before,
  };
}

/** Policies that all allow the client come and go, at the server's end and at the client's in turn. */
async function changePolicy(node: TestNode, change: number): Promise<void> {
  const name = `change-${change % 4 < 2 ? "server" : "client"}`;
  if (change % 2 === 1) return await node.deletePolicy(name);
  await node.createPolicy(
    name,
    change % 4 === 0
      ? {
        podSelector: { matchLabels: { app: "server" } },
        ingress: [{ from: [{ podSelector: { matchLabels: { app: "client" } } }] }],
      }
      : {
        podSelector: { matchLabels: { app: "client" } },
        policyTypes: ["Egress"],
        egress: [{ to: [{ podSelector: { matchLabels: { app: "server" } } }] }],
      },
  );
}

function commitsOf({ agent }: TestNode): number {
  return agent.log.split('"ruleset applied"').length - 1;
}
