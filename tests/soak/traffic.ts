/**
 * The packets of the soak: on every way one datagram of a flow that lives on, and one that begins a flow
 * of its own. Each has a number, and what must become of it is written down when it is sent, so that one
 * that arrives however late is known for what it is.
 */

import type { Bytes } from "../../lib/base/bytes.ts";
import { PodServers, sendDatagram } from "../support/packet/probe.ts";
import type { TestPod } from "../support/node/pod.ts";
import { PATIENCE_MS, sleep } from "../support/until.ts";
import { PORTS, type Way } from "./world.ts";

/** What a packet must come to; undefined: policy is changing, so that either is right. */
export type Expected = boolean | undefined;

/** A packet that came to what it must not. */
export interface Mistake {
  readonly kind: "leaked" | "lost";
  readonly way: string;
}

/** Local ports of flows that live on, and those that are used in turn. */
const FLOW_PORT_FIRST = 1_000;
const PORT_FIRST = 5_000;
const PORT_LAST = 65_000;
/** What arrives arrives by then, when what was sent after it has. */
const GRACE_MS = 20;

interface Sent {
  readonly way: string;
  readonly expected: Expected;
}

/** Sends the packets, and records each one whose outcome differs from the expected one. */
export class SoakTraffic implements Disposable {
  /** All packets, and those of which it was known what must become of them. */
  readonly counts = { sent: 0, judged: 0 };
  readonly mistakes: Mistake[] = [];
  readonly #servers = new Map<TestPod, PodServers>();
  readonly #sent: Sent[] = [];
  readonly #arrived = new Set<number>();
  #localPort = PORT_FIRST;

  /** Serves the pods that there are now, and no others. */
  serve(pods: readonly TestPod[]): void {
    for (const [pod, servers] of this.#servers) {
      if (pods.includes(pod)) continue;
      servers[Symbol.dispose]();
      this.#servers.delete(pod);
    }
    for (const pod of pods.filter((it) => !this.#servers.has(it))) {
      const servers = new PodServers();
      servers.onDatagram = (payload) => this.#arrive(payload);
      for (const port of PORTS) servers.udp(pod.namespace, port);
      this.#servers.set(pod, servers);
    }
  }

  /**
   * Sends two packets on each way, and waits for those that must arrive.
   *
   * @returns what arrived: `new NAME` and `flow NAME` of each way
   */
  async round(
    ways: readonly Way[],
    expectedOf: (way: Way) => Expected,
  ): Promise<ReadonlySet<string>> {
    const first = this.#sent.length;
    ways.forEach((way, index) => {
      const expected = expectedOf(way);
      this.#send(way, `flow ${way.name}`, expected, FLOW_PORT_FIRST + index);
      this.#send(way, `new ${way.name}`, expected, this.#nextLocalPort());
    });
    const numbers = Array.from({ length: this.#sent.length - first }, (_, it) => first + it);
    const missing = (): readonly number[] =>
      numbers.filter((it) => this.#sent[it]?.expected === true && !this.#arrived.has(it));
    const endMs = performance.now() + PATIENCE_MS;
    while (missing().length > 0 && performance.now() < endMs) await sleep(2);
    for (const it of missing()) {
      this.mistakes.push({ kind: "lost", way: this.#sent[it]?.way ?? "" });
    }
    await sleep(GRACE_MS);
    return new Set(
      numbers.filter((it) => this.#arrived.has(it)).map((it) => this.#sent[it]?.way ?? ""),
    );
  }

  [Symbol.dispose](): void {
    this.serve([]);
  }

  #send({ from, address, port }: Way, way: string, expected: Expected, localPort: number): void {
    const payload: Bytes = new Uint8Array(4);
    new DataView(payload.buffer).setUint32(0, this.#sent.length);
    this.#sent.push({ way, expected });
    this.counts.sent++;
    if (expected !== undefined) this.counts.judged++;
    sendDatagram({ namespace: from.namespace, address, port, localPort }, payload);
  }

  #arrive(payload: Uint8Array): void {
    const number = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
    this.#arrived.add(number);
    const sent = this.#sent[number];
    if (sent?.expected === false) this.mistakes.push({ kind: "leaked", way: sent.way });
  }

  /** A port that no flow has which the kernel still knows. */
  #nextLocalPort(): number {
    this.#localPort = this.#localPort === PORT_LAST ? PORT_FIRST : this.#localPort + 1;
    return this.#localPort;
  }
}
