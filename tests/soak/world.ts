/**
 * The cluster of the soak: pods of one node, and policies that come, go and change by chance. What the
 * API server holds is the truth; the evaluator says from it what becomes of every packet.
 */

import { Address } from "../../lib/ip/address.ts";
import { decodeNamespace } from "../../lib/datastore/decode/namespace.ts";
import { decodeNetworkPolicy } from "../../lib/datastore/decode/network_policy.ts";
import { decodeNode } from "../../lib/datastore/decode/node.ts";
import { decodePod } from "../../lib/datastore/decode/pod.ts";
import type { Decoded } from "../../lib/datastore/kind.ts";
import { type Cluster, evaluate, resolveEnd } from "../../lib/policy/evaluate.ts";
import type { Chance } from "../support/chance.ts";
import type { TestNode } from "../support/node.ts";
import type { TestPod } from "../support/pod.ts";

/** The ports that policies name, and one that none does. */
export const PORTS = [80, 81, 82];
const PODS = 4;
const POLICIES_MAX = 6;
const TIERS = ["a", "b", "c"];

/** A way that packets go: from a pod to an address of another, at a port. */
export interface Way {
  readonly from: TestPod;
  readonly address: string;
  readonly port: number;
  /** `pod1>pod2 10.244.9.3:80` */
  readonly name: string;
}

/** See the file's comment. */
export class SoakWorld {
  readonly #node: TestNode;
  readonly #chance: Chance;
  readonly #pods: TestPod[] = [];
  #policies = 0;

  constructor(node: TestNode, chance: Chance) {
    this.#node = node;
    this.#chance = chance;
  }

  get pods(): readonly TestPod[] {
    return this.#pods;
  }

  /** Attaches the pods. */
  async fill(): Promise<void> {
    for (let index = 1; index <= PODS; index++) {
      this.#pods.push(await this.#node.addPod(`pod${index}`, { tier: this.#tier() }));
    }
  }

  /** Every way between two different pods. */
  ways(): readonly Way[] {
    return this.#pods.flatMap((from) =>
      this.#pods.filter((to) => to !== from).flatMap((to) =>
        to.addresses.flatMap((address) =>
          PORTS.map((port) => ({
            ...{ from, address, port },
            name: `${from.name}>${to.name} ${address} port ${port}`,
          }))
        )
      )
    );
  }

  /** Makes one change of the cluster by chance, at the API server itself. @returns what it was */
  change(): string {
    const { store } = this.#node.api;
    const policies = store.list("networkpolicies").map((it) => it.metadata.name);
    const policy = this.#chance.pick(policies);
    const kind = this.#chance.below(4);
    if (kind === 0) {
      const pod = this.#chance.pick(this.#pods)?.name ?? "";
      const tier = this.#tier();
      store.patch("pods", `${this.#node.namespace}/${pod}`, { metadata: { labels: { tier } } });
      return `${pod} gets tier=${tier}`;
    }
    if (policy !== undefined && (kind === 1 || policies.length >= POLICIES_MAX)) {
      store.delete("networkpolicies", `${this.#node.namespace}/${policy}`);
      return `${policy} goes`;
    }
    const spec = this.#spec();
    if (policy !== undefined && kind === 2) {
      store.patch("networkpolicies", `${this.#node.namespace}/${policy}`, { spec });
      return `${policy} becomes ${JSON.stringify(spec)}`;
    }
    const name = `policy${++this.#policies}`;
    store.create("networkpolicies", {
      metadata: { name, namespace: this.#node.namespace },
      spec,
    });
    return `${name} comes: ${JSON.stringify(spec)}`;
  }

  /** Takes a pod's network away and attaches it again, with other addresses. @returns what it was */
  async replacePod(): Promise<string> {
    const index = this.#chance.below(this.#pods.length);
    const old = this.#pods[index];
    if (old === undefined) throw new Error("There is no pod");
    await this.#node.removePod(old);
    this.#pods[index] = await this.#node.addPod(old.name, { tier: this.#tier() });
    return `${old.name} is replaced`;
  }

  /** What becomes of a packet on each way, by the way's name. */
  verdicts(): ReadonlyMap<string, boolean> {
    const cluster = this.#cluster();
    return new Map(
      this.ways().map(({ from, address, port, name }) => {
        const [source = ""] = from.addresses.filter((it) =>
          it.includes(":") === address.includes(":")
        );
        const end = (text: string) => resolveEnd(cluster, Address.parse(text));
        const flow = {
          source: end(source),
          destination: end(address),
          protocol: "UDP",
          port,
        } as const;
        return [name, evaluate(cluster, flow).allowed];
      }),
    );
  }

  #cluster(): Cluster {
    const { store } = this.#node.api;
    const all = <T>(kind: string, decode: (object: unknown) => Decoded<T>): readonly T[] =>
      store.list(kind).map((it) => decode(it).value).filter((it) => it !== undefined);
    return {
      pods: all("pods", decodePod),
      namespaces: all("namespaces", decodeNamespace),
      policies: all("networkpolicies", decodeNetworkPolicy),
      nodes: all("nodes", decodeNode),
    };
  }

  #tier(): string {
    return this.#chance.pick(TIERS) ?? "";
  }

  #spec(): Record<string, unknown> {
    const labels = (): unknown =>
      this.#chance.below(4) === 0 ? {} : { matchLabels: { tier: this.#tier() } };
    const rules = (end: "from" | "to"): unknown[] =>
      Array.from({ length: this.#chance.below(3) }, () => ({
        ...(this.#chance.below(4) === 0 ? {} : { [end]: [{ podSelector: labels() }] }),
        ...(this.#chance.below(2) === 0 ? {} : {
          ports: [{ protocol: "UDP", port: this.#chance.pick(PORTS.slice(0, 2)) }],
        }),
      }));
    const ways = this.#chance.below(3);
    return {
      podSelector: labels(),
      policyTypes: [...(ways < 2 ? ["Ingress"] : []), ...(ways > 0 ? ["Egress"] : [])],
      ...(ways < 2 ? { ingress: rules("from") } : {}),
      ...(ways > 0 ? { egress: rules("to") } : {}),
    };
  }
}
