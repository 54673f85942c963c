/**
 * The cluster of the soak: pods of one node, and policies that come, go and change by chance. What the
 * API server holds is the truth; the evaluator says from it what becomes of every packet.
 *
 * The agent hears of pods and of policies on two watches, and either may be late. So every change also
 * turns two marks that packets show, one by a pod's label and one by a policy: once both are in force,
 * so is whatever came before them.
 */

import { Address } from "../../lib/ip/address.ts";
import { decodeNamespace } from "../../lib/datastore/decode/namespace.ts";
import { decodeNetworkPolicy } from "../../lib/datastore/decode/network_policy.ts";
import { decodeNode } from "../../lib/datastore/decode/node.ts";
import { decodePod } from "../../lib/datastore/decode/pod.ts";
import type { Decoded } from "../../lib/datastore/kind.ts";
import { type Cluster, evaluate, resolveEnd } from "../../lib/policy/evaluate.ts";
import type { Chance } from "../support/chance.ts";
import type { TestNode } from "../support/node/node.ts";
import type { TestPod } from "../support/node/pod.ts";

/** The ports that policies name, and one that none does. */
export const PORTS = [80, 81, 82];
const PODS = 4;
const POLICIES_MAX = 6;
const TIERS = ["a", "b", "c"];

/** How many changes a backup is behind: one step makes four, and an agent may be slow to come back. */
const BACKUP_CHANGES_MIN = 12;
const BACKUP_CHANGES_MORE = 30;

/** Every pod but those of the marks. */
const ALL = { matchExpressions: [{ key: "tier", operator: "Exists" }] };
/** Who sends and who receives, and the policies of the latter. */
const MARK_PODS = ["mark-client", "mark-server"];
const MARK_POLICIES = ["mark-by-label", "mark-by-port"];

/** A way that packets go: from a pod to an address of another, at a port. */
export interface Way {
  readonly from: TestPod;
  readonly address: string;
  readonly port: number;
  /** `pod1>pod2 10.244.9.3:80` */
  readonly name: string;
}

/** Makes random changes and tells which outcome each way must have at the moment. */
export class SoakWorld {
  readonly #node: TestNode;
  readonly #chance: Chance;
  readonly #pods: TestPod[] = [];
  readonly #marks: TestPod[] = [];
  #policies = 0;
  /** Since then the pods are the same. */
  #podsVersion = 0;
  #isMarked = false;

  constructor(node: TestNode, chance: Chance) {
    this.#node = node;
    this.#chance = chance;
  }

  get pods(): readonly TestPod[] {
    return [...this.#pods, ...this.#marks];
  }

  /** Attaches the pods. */
  async fill(): Promise<void> {
    for (let index = 1; index <= PODS; index++) {
      this.#pods.push(await this.#node.addPod(`pod${index}`, { tier: this.#tier() }));
    }
    for (const name of MARK_PODS) this.#marks.push(await this.#node.addPod(name));
    const { store } = this.#node.api;
    for (const [name, spec] of Object.entries(this.#markPolicies())) {
      store.create("networkpolicies", {
        metadata: { name, namespace: this.#node.namespace },
        spec,
      });
    }
    this.#podsVersion = store.resourceVersion;
  }

  /**
   * A version to which the API server can go back with these pods, far enough that what comes next does not
   * hide that it went back; `undefined` if there is none.
   */
  backupVersion(): number | undefined {
    const { store } = this.#node.api;
    const back = BACKUP_CHANGES_MIN + this.#chance.below(BACKUP_CHANGES_MORE);
    const version = store.resourceVersion - back;
    return version < Math.max(this.#podsVersion, store.oldestVersion) ? undefined : version;
  }

  /** Every way between two different pods, and those of the marks. */
  ways(): readonly Way[] {
    const [client, server] = this.#marks;
    return [
      ...this.#pods.flatMap((from) =>
        this.#pods.filter((to) => to !== from).flatMap((to) => waysBetween(from, to))
      ),
      ...(client === undefined || server === undefined ? [] : waysBetween(client, server)),
    ];
  }

  /** Makes one change of the cluster by chance, at the API server itself. @returns what it was */
  change(): string {
    const change = this.#change();
    this.#turnMarks();
    return change;
  }

  #change(): string {
    const { store } = this.#node.api;
    const policies = store.list("networkpolicies").map((it) => it.metadata.name ?? "")
      .filter((it) => !MARK_POLICIES.includes(it));
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
    this.#turnMarks();
    this.#podsVersion = this.#node.api.store.resourceVersion;
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

  #turnMarks(): void {
    const { api: { store }, namespace } = this.#node;
    this.#isMarked = !this.#isMarked;
    const mark = this.#isMarked ? "on" : "off";
    store.patch("pods", `${namespace}/${MARK_PODS[0]}`, { metadata: { labels: { mark } } });
    for (const [name, spec] of Object.entries(this.#markPolicies())) {
      store.patch("networkpolicies", `${namespace}/${name}`, { spec });
    }
  }

  /** One lets a pod with a label in, the other one everybody, at this port or that. */
  #markPolicies(): Readonly<Record<string, unknown>> {
    const [, server = ""] = MARK_PODS;
    const [first, second, third] = PORTS;
    const podSelector = { matchLabels: { app: server } };
    const [byLabel = "", byPort = ""] = MARK_POLICIES;
    return {
      [byLabel]: {
        podSelector,
        ingress: [{
          from: [{ podSelector: { matchLabels: { mark: "on" } } }],
          ports: [{ protocol: "UDP", port: first }],
        }],
      },
      [byPort]: {
        podSelector,
        ingress: [{ ports: [{ protocol: "UDP", port: this.#isMarked ? second : third }] }],
      },
    };
  }

  #tier(): string {
    return this.#chance.pick(TIERS) ?? "";
  }

  #spec(): Record<string, unknown> {
    const labels = (): unknown =>
      this.#chance.below(4) === 0 ? ALL : { matchLabels: { tier: this.#tier() } };
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

function waysBetween(from: TestPod, to: TestPod): readonly Way[] {
  return to.addresses.flatMap((address) =>
    PORTS.map((port) => ({
      ...{ from, address, port },
      name: `${from.name}>${to.name} ${address} port ${port}`,
    }))
  );
}
