/**
 * Datagrams between two containers that are on their way before anybody is attached, so that a test can
 * count what passes too early.
 */

import type { Bytes } from "../../../lib/base/bytes.ts";
import type { TestContainer } from "../plugin/container.ts";
import { PodServers, sendDatagram } from "./probe.ts";
import { sleep, until } from "../until.ts";

const PORT = 9000;
/** Directions: to and from the pod, over both families. */
const WAYS = 4;

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
  /** Why the sending has ended before its time. */
  #failure: Error | undefined;
  #stopped = false;

  /** @param pod what is looked at; it may not have its addresses yet */
  constructor(pod: TrafficEnd, peer: TrafficEnd) {
    this.#servers.onDatagram = (payload) => this.#count(this.received, payload);
    for (const { of } of [pod, peer]) this.#servers.udp(of.namespace, PORT);
    this.#sending = this.#send(pod, peer).catch((cause) => {
      this.#failure = new Error("The datagrams cannot be sent", { cause });
    });
  }

  /** How many came through, in all. */
  get total(): number {
    return [...this.received.values()].reduce((sum, it) => sum + it, 0);
  }

  /**
   * Waits until something came through in every direction.
   *
   * @param what that shows
   */
  async untilOpen(what: string): Promise<void> {
    this.received.clear();
    await this.#until(what, () => this.received.size === WAYS);
  }

  /** Waits until `count` more have been sent in every direction. */
  async untilSent(count: number): Promise<void> {
    const enough = this.#sentInEach + count;
    await this.#until(`${count} datagrams are sent each way`, () => this.#sentInEach >= enough);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#sending;
    this.#servers[Symbol.dispose]();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** How many were sent at least in every direction. */
  get #sentInEach(): number {
    return this.sent.size < WAYS ? 0 : Math.min(...this.sent.values());
  }

  async #until(what: string, done: () => boolean): Promise<void> {
    const progress = (): string =>
      JSON.stringify({ sent: [...this.sent], received: [...this.received] });
    await until(what, () => {
      if (this.#failure !== undefined) throw this.#failure;
      return done();
    }, progress);
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
