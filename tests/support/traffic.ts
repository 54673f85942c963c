/**
 * Datagrams between two containers that are on their way before anybody is attached, so that a test can
 * count what passes too early.
 */

import type { Bytes } from "../../lib/base/bytes.ts";
import type { TestContainer } from "./cni_network.ts";
import { patient } from "./patience.ts";
import { PodServers, sendDatagram } from "./probe.ts";

const PORT = 9000;

/** A container and its addresses, IPv4 first, then IPv6. */
export interface TrafficEnd {
  readonly of: TestContainer;
  readonly at: readonly string[];
}

/** Datagrams back and forth between two containers, without a pause, counted where they come out. */
export class Traffic implements AsyncDisposable {
  /** By direction and family: "to 4", "from 6", … */
  readonly sent = new Map<string, number>();
  readonly received = new Map<string, number>();
  readonly #servers = new PodServers();
  readonly #sending: Promise<void>;
  #stopped = false;

  /** @param pod what is looked at; it may not have its addresses yet */
  constructor(pod: TrafficEnd, peer: TrafficEnd) {
    this.#servers.onDatagram = (payload) => this.#count(this.received, payload);
    for (const { of } of [pod, peer]) this.#servers.udp(of.namespace, PORT);
    this.#sending = this.#send(pod, peer);
  }

  /** How many came through, in all. */
  get total(): number {
    return [...this.received.values()].reduce((sum, it) => sum + it, 0);
  }

  /** Waits until something came through in every direction, at most `ms`. */
  async untilOpen(ms = 20_000): Promise<boolean> {
    this.received.clear();
    const endMs = performance.now() + patient(ms);
    while (this.received.size < 4 && performance.now() < endMs) await sleep(10);
    return this.received.size === 4;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#sending;
    this.#servers[Symbol.dispose]();
  }

  async #send(pod: TrafficEnd, peer: TrafficEnd): Promise<void> {
    const ways = [4, 6].flatMap((family, index) => [
      { name: `to ${family}`, namespace: peer.of.namespace, address: pod.at[index] ?? "" },
      { name: `from ${family}`, namespace: pod.of.namespace, address: peer.at[index] ?? "" },
    ]);
    while (!this.#stopped) {
      for (const { name, ...target } of ways) {
        const payload: Bytes = new TextEncoder().encode(name);
        sendDatagram({ ...target, port: PORT }, payload);
        this.#count(this.sent, payload);
      }
      await sleep(0);
    }
  }

  #count(map: Map<string, number>, payload: Uint8Array): void {
    const name = new TextDecoder().decode(payload);
    map.set(name, (map.get(name) ?? 0) + 1);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
