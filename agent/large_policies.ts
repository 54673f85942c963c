/**
 * Large NetworkPolicies, one after the other: what comes after the first sync and is much work goes into
 * the graph in a turn of the loop of its own, so that a change of another tenant waits for one of them at
 * most, however many there are. The namespaces take turns.
 *
 * Until its turn
 * - a new policy isolates the pods that it selects and allows nothing: Kubernetes lets allow rules come
 *   later than isolation ("Pod lifecycle", Network Policies), never the reverse;
 * - a changed one is in force as it was; where the new version selects other pods or governs other
 *   directions, these are isolated too.
 *
 * What is deleted is gone at once. A ClusterNetworkPolicy never waits: administrators write those, and
 * what they deny must not come late.
 */

import type { Logger } from "../lib/base/log.ts";
import { formatSelector } from "../lib/model/labels.ts";
import { DIRECTIONS, type NetworkPolicy } from "../lib/model/policy.ts";
import { policyCost } from "../lib/model/policy_cost.ts";

/** The arguments of the constructor. */
export interface LargePoliciesOptions {
  /** Updates the graph; returns whether there is something to flush. */
  readonly update: (key: string, policy: NetworkPolicy | undefined) => boolean;
  readonly logger: Logger;
  /** A policy that costs more (policyCost()) is queued. @default {2000} */
  readonly costMax?: number;
}

/** About ten milliseconds of work, and more than people write by hand. */
const COST_MAX = 2_000;
/** No policy's name has a space, so this key and name are free. */
const WAITING_SUFFIX = " (waits)";
const KEYS_SHOWN_MAX = 5;

/** Queues large NetworkPolicies between the intake and the graph, and passes all others on. */
export class LargePolicies {
  readonly #options: LargePoliciesOptions;
  #isStarted = false;
  /** The policies that the graph has, by key. */
  readonly #taken = new Map<string, NetworkPolicy>();
  /** The queued policies by key, in order of arrival. */
  readonly #waiting = new Map<string, NetworkPolicy>();
  /** Keys of queued policies for which the graph has an isolating policy instead. */
  readonly #isolated = new Set<string>();
  /** Namespaces that had a turn in this round; when all waiting ones had one, a new round begins. */
  readonly #served = new Set<string>();

  constructor(options: LargePoliciesOptions) {
    this.#options = options;
  }

  /** Keys of the queued policies. */
  get waiting(): readonly string[] {
    return [...this.#waiting.keys()];
  }

  /** Call when every watch is in sync. Policies before that are not queued: a restarted agent must not isolate running pods. */
  start(): void {
    this.#isStarted = true;
  }

  /**
   * Takes a policy that was added or changed, or (`undefined`) deleted.
   *
   * @returns whether there is something to flush
   */
  take(key: string, policy: NetworkPolicy | undefined): boolean {
    const { costMax = COST_MAX, logger } = this.#options;
    if (policy === undefined || !this.#isStarted || policyCost(policy) <= costMax) {
      return this.#put(key, policy);
    }
    // A list repeats known objects.
    const taken = this.#taken.get(key);
    if (taken !== undefined && isSameVersion(taken, policy)) return this.#leave(key);
    if (this.#waiting.size === 0) {
      logger.info("large policies queued", { first: key });
    }
    this.#waiting.set(key, policy);
    const isIsolating = taken === undefined || !isolatesAlike(taken, policy);
    this.#isolate(key, isIsolating ? isolationOf(policy) : undefined);
    return true; // the flush behind which it takes its turn
  }

  /**
   * Gives the graph queued policies, up to the first one that needs a flush: most concern no pod of
   * this node.
   *
   * @returns whether there is something to flush
   */
  takeTurn(): boolean {
    while (this.#waiting.size > 0) if (this.#takeNext()) return true;
    return false;
  }

  #takeNext(): boolean {
    const [first] = this.#waiting;
    if (first === undefined) return false;
    const isServed = ([, { namespace }]: typeof first): boolean => this.#served.has(namespace);
    const fresh = this.#waiting.entries().find((it) => !isServed(it));
    if (fresh === undefined) this.#served.clear();
    const [key, policy] = fresh ?? first;
    this.#served.add(policy.namespace);
    const isChanged = this.#put(key, policy);
    if (this.#waiting.size === 0) {
      this.#served.clear();
      this.#options.logger.info("no large policy queued any more", { last: key });
    }
    return isChanged;
  }

  #put(key: string, policy: NetworkPolicy | undefined): boolean {
    if (policy === undefined) this.#taken.delete(key);
    else this.#taken.set(key, policy);
    const isChanged = this.#options.update(key, policy);
    return this.#leave(key) || isChanged;
  }

  /** Takes a policy out of the queue. */
  #leave(key: string): boolean {
    this.#waiting.delete(key);
    return this.#isolate(key, undefined);
  }

  #isolate(key: string, policy: NetworkPolicy | undefined): boolean {
    if (policy === undefined && !this.#isolated.delete(key)) return false;
    if (policy !== undefined) this.#isolated.add(key);
    return this.#options.update(key + WAITING_SUFFIX, policy);
  }
}

/** One sentence for `/readyz` that names the queued policies; empty if there are none. */
export function formatWaiting(keys: readonly string[]): readonly string[] {
  if (keys.length === 0) return [];
  const more = keys.length > KEYS_SHOWN_MAX ? `, and ${keys.length - KEYS_SHOWN_MAX} more` : "";
  const shown = keys.slice(0, KEYS_SHOWN_MAX).join(", ");
  return [`Large policies wait for their turns, and isolate until then: ${shown}${more}`];
}

/** Clients may compare resource versions for equality. */
function isSameVersion(a: NetworkPolicy, b: NetworkPolicy): boolean {
  return a.resourceVersion !== "" && a.resourceVersion === b.resourceVersion;
}

/** Whether `a` isolates all that `b` isolates, as far as their selectors are the same. */
function isolatesAlike(a: NetworkPolicy, b: NetworkPolicy): boolean {
  return formatSelector(a.podSelector) === formatSelector(b.podSelector) &&
    DIRECTIONS.every((it) => a[it] !== undefined || b[it] === undefined);
}

/** A policy for the same pods and directions that allows nothing. */
function isolationOf(policy: NetworkPolicy): NetworkPolicy {
  const { name, ingress, egress } = policy;
  return {
    ...policy,
    name: name + WAITING_SUFFIX,
    ingress: ingress && [],
    egress: egress && [],
  };
}
