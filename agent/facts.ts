/**
 * Feeds the graph: one reflector per kind, each object one fact. Says when every kind is in sync, and
 * counts what could not be understood. Nothing here decides anything.
 */

import type { Logger } from "../lib/base/log.ts";
import type { ApiServer } from "../lib/credentials/api_server.ts";
import type { Decoded, ResourceKind, VersionedKind } from "../lib/datastore/kind.ts";
import { reflect } from "../lib/datastore/reflect.ts";
import type { ReflectState } from "../lib/datastore/reflect_handler.ts";
import { clusterNetworkPolicyKind } from "../lib/datastore/decode/cluster_network_policy.ts";
import { namespaceKind } from "../lib/datastore/decode/namespace.ts";
import { networkPolicyKind } from "../lib/datastore/decode/network_policy.ts";
import { nodeKind } from "../lib/datastore/decode/node.ts";
import { podKind } from "../lib/datastore/decode/pod.ts";
import type { FactKind, FactTypes } from "../lib/model/facts.ts";

/** Where facts go and who is told. */
export interface FactsOptions {
  readonly api: ApiServer;
  /** Whether there is something to do now: most changes in a cluster concern no pod of this node. */
  readonly update: <K extends FactKind>(
    kind: K,
    key: string,
    value: FactTypes[K] | undefined,
  ) => boolean;
  /** After each list, and each change for which there is something to do. */
  readonly onChange: () => void;
  readonly onInSync: () => void;
  /** How each kind stands; written here alone. @default {a new one} */
  readonly states?: KindStates;
  readonly logger: Logger;
}

/** How one kind stands. */
export interface KindState {
  state: ReflectState;
  detail: string | undefined;
  /** In which it is read, of a kind that has several. */
  version: string | undefined;
  isInSync: boolean;
  /** When the API server has last said something of it; by Date.now(), 0: never. */
  heardAtMs: number;
  /** How often it was listed whole, and how often a list or watch failed. */
  lists: number;
  failures: number;
  objects: number;
  /** Objects with problems, by key. */
  readonly problems: Map<string, readonly string[]>;
}

/** Every kind that is watched. */
export type KindStates = Readonly<Record<string, KindState>>;

/** The state before the first answer: no kind is listed. */
export function newKindStates(): KindStates {
  const kinds = ["workload", "namespace", "policy", "clusterPolicy", "node"];
  return Object.fromEntries(kinds.map((kind) => [kind, newState()]));
}

/** Whether every kind has been listed once. */
export function areInSync(states: KindStates): boolean {
  return Object.values(states).every((it) => it.isInSync);
}

/** How many objects of each kind are known. */
export function countObjects(states: KindStates): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(states).map(([kind, it]) => [kind, it.objects]));
}

/** An object may have as many problems as it has fields. */
const PROBLEMS_SHOWN_MAX = 20;

/** Watches every kind until `signal` aborts. */
export class Facts {
  readonly states: KindStates;
  readonly #options: FactsOptions;
  readonly #keys = new Map<string, Set<string>>();

  constructor(options: FactsOptions) {
    this.#options = options;
    this.states = options.states ?? newKindStates();
  }

  /** Runs the reflectors; resolves when all have stopped. */
  async watch(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#reflect("namespace", namespaceKind, signal),
      this.#reflect("workload", podKind, signal),
      this.#reflect("policy", networkPolicyKind, signal),
      this.#reflect("clusterPolicy", clusterNetworkPolicyKind, signal),
      this.#reflect("node", nodeKind, signal),
    ]);
  }

  #reflect<K extends Exclude<FactKind, "attachment">>(
    kind: K,
    resource: ResourceKind<FactTypes[K]> | VersionedKind<FactTypes[K]>,
    signal: AbortSignal,
  ): Promise<void> {
    const { api, logger, onChange } = this.#options;
    const keys = new Set<string>();
    this.#keys.set(kind, keys);
    return reflect(api, resource, {
      onReplace: (items) => {
        for (const key of [...keys]) if (!items.has(key)) this.#take(kind, key, undefined);
        for (const [key, item] of items) this.#take(kind, key, item);
        this.#onListed(kind);
      },
      onUpdate: (key, item) => {
        if (this.#take(kind, key, item)) onChange();
      },
      onHeard: () => {
        this.#state(kind).heardAtMs = Date.now();
      },
      onState: (state, detail) => {
        const kindState = this.#state(kind);
        if (state === "failed") kindState.failures++;
        kindState.state = state;
        kindState.detail = detail;
        if (state === "absent" || state === "unreadable") kindState.version = undefined;
      },
      onVersion: (version) => {
        this.#state(kind).version = version;
      },
    }, { signal, logger: logger.with({ kind: resource.name }) });
  }

  #take<K extends Exclude<FactKind, "attachment">>(
    kind: K,
    key: string,
    item: Decoded<FactTypes[K]> | undefined,
  ): boolean {
    const state = this.#state(kind);
    const keys = this.#keys.get(kind);
    if (item === undefined) keys?.delete(key);
    else keys?.add(key);
    state.objects = keys?.size ?? 0;
    if (item === undefined || item.problems.length === 0) {
      state.problems.delete(key);
    } else {
      // Most events of an object say the same again.
      if (state.problems.get(key)?.join() !== item.problems.join()) {
        const { problems } = item;
        this.#options.logger.warn("object not understood", {
          kind,
          key,
          problems: problems.slice(0, PROBLEMS_SHOWN_MAX),
          ...(problems.length > PROBLEMS_SHOWN_MAX ? { count: problems.length } : {}),
        });
      }
      state.problems.set(key, item.problems);
    }
    return this.#options.update(kind, key, item?.value);
  }

  #onListed(kind: string): void {
    const before = areInSync(this.states);
    const state = this.#state(kind);
    state.isInSync = true;
    state.lists++;
    if (!before && areInSync(this.states)) this.#options.onInSync();
    this.#options.onChange();
  }

  #state(kind: string): KindState {
    const state = this.states[kind];
    if (state === undefined) throw new RangeError(`No facts of kind ${kind}`);
    return state;
  }
}

function newState(): KindState {
  return {
    state: "listing",
    detail: undefined,
    version: undefined,
    isInSync: false,
    heardAtMs: 0,
    lists: 0,
    failures: 0,
    objects: 0,
    problems: new Map(),
  };
}
