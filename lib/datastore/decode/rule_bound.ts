/**
 * How much of one direction of a policy is taken: one tenant's policy must not keep an agent from
 * everybody else's. What a rule costs grows with its parts, not with their product; a selector costs
 * more than an address, for it is held against every pod of the cluster, and an address less than a
 * rule, for it is an element of a set. What is beyond the bound allows nothing, and in a policy that
 * can deny it denies everything.
 */

import type { Problems } from "./fields.ts";

/** Rules, peers that select, and ports. */
const PARTS_MAX = 10_000;
/** Networks and exceptions. */
const ADDRESSES_MAX = 50_000;
/** Peers that select pods or nodes, and named ports. */
const SELECTORS_MAX = 500;

/** Counts the rules of one direction, in their order. */
export class RuleBound {
  readonly #problems: Problems;
  #parts = 0;
  #addresses = 0;
  #selectors = 0;

  constructor(problems: Problems) {
    this.#problems = problems;
  }

  /** Whether a rule with these peers and ports is within the bound still; one that is not is reported. */
  takes(
    peers: readonly unknown[] | undefined = [],
    ports: readonly unknown[] | undefined = [],
    path: string,
  ): boolean {
    this.#parts += 1 + ports.length;
    this.#selectors += ports.filter(isNamed).length;
    for (const peer of peers) {
      const addresses = addressCount(peer);
      this.#addresses += addresses ?? 0;
      if (addresses !== undefined) continue;
      this.#parts++;
      this.#selectors++;
    }
    const isWithin = this.#parts <= PARTS_MAX && this.#addresses <= ADDRESSES_MAX &&
      this.#selectors <= SELECTORS_MAX;
    if (isWithin) return true;
    const bound =
      `at most ${PARTS_MAX} rules and ports, ${ADDRESSES_MAX} networks and ${SELECTORS_MAX} selectors`;
    this.#problems.add(path, "this and what follows", `${bound} are taken`);
    return false;
  }
}

function isNamed(port: unknown): boolean {
  if (typeof port !== "object" || port === null) return false;
  return "destinationNamedPort" in port || ("port" in port && typeof port.port === "string");
}

/** The addresses of a peer, with their exceptions; `undefined` for one that selects. */
function addressCount(peer: unknown): number | undefined {
  if (typeof peer !== "object" || peer === null) return 1;
  if ("networks" in peer) return Math.max(1, lengthOf(peer.networks));
  if (!("ipBlock" in peer)) return undefined;
  const { ipBlock } = peer;
  if (typeof ipBlock !== "object" || ipBlock === null || !("except" in ipBlock)) return 1;
  return 1 + lengthOf(ipBlock.except);
}

function lengthOf(value: unknown): number {
  return Array.isArray(value) ? value.length : 0;
}
