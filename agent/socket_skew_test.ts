/**
 * The agent's socket and plugins of other versions, over a socket: bytes as version 0.1 sent them get the
 * answers that its agent gave (a later one may say more), and what a later plugin asks beyond is ignored or
 * refused with a sentence.
 */

import { assertEquals, assertMatch, assertObjectMatch } from "@std/assert";
import { parseAnswer } from "../lib/agent_api/message.ts";
import type { AgentNode } from "../lib/agent_api/node.ts";
import { type Bytes, concatBytes } from "../lib/base/bytes.ts";
import { createLogger } from "../lib/base/log.ts";
import { Prefix } from "../lib/ip/prefix.ts";
import { type DesiredEndpoint, NOTHING_DESIRED } from "../lib/model/desired.ts";
import { podKeyOf } from "../lib/model/facts.ts";
import { answerOf, type ExchangeName, requestOf } from "../tests/support/golden/agent_api_bytes.ts";
import { AttachmentStore } from "./attachments.ts";
import { serveAgentSocket } from "./socket.ts";

const NODE: AgentNode = {
  nodeName: "node-1",
  podCidrs: ["10.244.7.0/24", "fd00:10:244:7::/64"].map(Prefix.parse),
  mtu: 1450,
};
const UNREADY = "Not every policy is known yet: listing";

/** How the agent behind a socket stands; tests change it. */
class Scene implements AsyncDisposable {
  isNodeKnown = true;
  isReady = true;
  /** Whether a pod whose policy is awaited is detached meanwhile. */
  isDetached = false;
  readonly path: string;
  readonly #folder: string;
  readonly #attachments: AttachmentStore;
  #server: AsyncDisposable | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
    this.path = `${folder}/agent.sock`;
    this.#attachments = new AttachmentStore(`${folder}/attachments`, LOGGER);
  }

  static async open(): Promise<Scene> {
    const scene = new Scene(await Deno.makeTempDir());
    const attachments = scene.#attachments;
    await attachments.load();
    const missing = "Node node-1 is not known yet: the API server has not answered";
    scene.#server = await serveAgentSocket({
      path: scene.path,
      nodeRecord: {
        missing,
        get current() {
          return scene.isNodeKnown ? NODE : undefined;
        },
      },
      interfacePrefix: "cali",
      attachments,
      onAttachment: () => {},
      loop: {
        enforcedEpoch: 1,
        kick: () => 1,
        get enforced() {
          return scene.isReady ? { ...NOTHING_DESIRED, endpoints: scene.#endpoints() } : undefined;
        },
        nextApply: async (signal) => {
          if (scene.isDetached) {
            for (const key of [...attachments.all.keys()]) attachments.delete(key);
          } else await new Promise((resolve) => signal.addEventListener("abort", resolve));
        },
      },
      isStandIn: () => false,
      state: {
        get unreadyReason() {
          return scene.isReady ? undefined : UNREADY;
        },
        get status() {
          return {
            ...{ version: "0.1.0", node: NODE.nodeName, server: "https://10.96.0.1:443" },
            unreadyReason: scene.isReady ? undefined : UNREADY,
            objects: { workload: 12, namespace: 4, policy: 3, clusterPolicy: 0, node: 2 },
            applied: { applied: 7, failed: 0, durationMs: 2.5, appliedAtMs: 1767225600000 },
            isTableOwned: true,
          };
        },
      },
      logger: LOGGER,
    });
    return scene;
  }

  /** Sends `request`; all bytes that come back. */
  async ask(request: Bytes | string): Promise<Bytes> {
    using connection = await Deno.connect({ transport: "unix", path: this.path });
    const bytes = typeof request === "string" ? new TextEncoder().encode(request) : request;
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    const chunks: Uint8Array[] = [];
    for (;;) {
      const chunk = new Uint8Array(16 << 10);
      const size = await connection.read(chunk);
      if (size === null) return concatBytes(chunks);
      chunks.push(chunk.subarray(0, size));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }

  #endpoints(): ReadonlyMap<string, DesiredEndpoint> {
    return new Map([...this.#attachments.all.values()].map((it) => {
      return [it.interfaceName, {
        ...{ interfaceName: it.interfaceName, workload: podKeyOf(it), uid: it.uid ?? "" },
        ...{ addresses: it.addresses, attachedAddresses: it.addresses },
        ...{ ingress: undefined, egress: undefined, hostEgress: undefined },
      }];
    }));
  }
}

const LOGGER = createLogger({ write: () => {} });

/** A request of 0.1, and how the agent stands when it comes; one after the other. */
const STEPS: readonly (readonly [ExchangeName, Partial<Scene>])[] = [
  ["get_node", {}],
  ["get_node_unknown", { isNodeKnown: false }],
  ["get_status", {}],
  ["get_status_unready", { isReady: false }],
  ["put_endpoint", {}],
  ["get_endpoints", {}],
  ["put_endpoint_late", { isReady: false }],
  ["put_endpoint_detached", { isReady: false, isDetached: true }],
  ["put_endpoint_without_uid", {}],
  ["put_endpoint_refused", {}],
  ["delete_endpoint", {}],
  ["unknown_route", {}],
];

/** Whether an answer says what one of 0.1 said. */
function assertSays(answer: Bytes, name: ExchangeName): void {
  const [now, old] = [parseAnswer(answer), parseAnswer(answerOf(name))];
  assertEquals(now?.status, old?.status, name);
  assertObjectMatch({ ...now?.body }, { ...old?.body }, name);
}

Deno.test("a plugin of 0.1 gets the answers that its own agent gave", async () => {
  await using scene = await Scene.open();
  for (const [name, change] of STEPS) {
    Object.assign(scene, { isNodeKnown: true, isReady: true, isDetached: false }, change);
    assertSays(await scene.ask(requestOf(name)), name);
  }
});

Deno.test("what a later plugin sends beyond is ignored, and what it asks beyond is 404", async () => {
  await using scene = await Scene.open();
  const put = new TextDecoder().decode(requestOf("put_endpoint"));
  const [head = "", text = ""] = put.split("\r\n\r\n");
  const body = JSON.stringify({ later: { a: [1] }, ...JSON.parse(text), laterFlag: true });
  const longer = head.replace(/content-length: \d+/, `content-length: ${body.length}`);
  assertSays(await scene.ask(`${longer}\r\nx-later: 1\r\n\r\n${body}`), "put_endpoint");
  const routes = ["GET /v2/node", "GET /v1/later", "PATCH /v1/endpoints/c1/eth0", "GET /v1/node/a"];
  for (const route of routes) {
    const { status, body } = parseAnswer(await scene.ask(`${route} HTTP/1.0\r\n\r\n`)) ?? {};
    assertEquals(status, 404, route);
    assertMatch(String(body?.error), /^There is no .* \/v/, route);
  }
});
