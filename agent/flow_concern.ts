/**
 * Which flows a change of the desired state can concern: those from and to the pods of this node whose
 * list of policies or whose policies' rules changed, and those from and to the addresses that came into
 * or left a set of a policy in use. The verdict on every other flow is as before. Pure: what to do with
 * it is flow_cut.ts's.
 */

import type { Desired, DesiredEndpoint, DesiredPolicy } from "../lib/model/desired.ts";
import { addressOf } from "../lib/model/member_set.ts";
import { type Direction, DIRECTIONS } from "../lib/model/policy.ts";

/**
 * Addresses as canonical texts. A flow is concerned if it comes from one of the sources, or goes (after
 * destination NAT) to one of the destinations.
 */
export interface FlowConcern {
  readonly sources: ReadonlySet<string>;
  readonly destinations: ReadonlySet<string>;
}

/** An earlier desired state. Its sets change in place, so their revisions are kept beside it. */
interface Seen {
  readonly desired: Desired;
  readonly revisions: ReadonlyMap<string, number>;
}

/** Takes the desired states in the order in which they are enforced. */
export class FlowConcerns {
  #seen: Seen | undefined;

  /**
   * Returns the addresses whose flows may have another verdict since the last call.
   *
   * @returns "everything" at the first call, after `forget()`, when the host's addresses changed, and
   * when a set's log does not reach back
   */
  take(desired: Desired): FlowConcern | "everything" {
    const seen = this.#seen;
    this.#seen = { desired, revisions: revisionsOf(desired) };
    return seen === undefined ? "everything" : compare(seen, desired);
  }

  /** Call when the last change was not handled: the next one then concerns everything. */
  forget(): void {
    this.#seen = undefined;
  }
}

function revisionsOf({ sets }: Desired): ReadonlyMap<string, number> {
  const revisions = new Map<string, number>();
  for (const [id, set] of sets) if (set.kind !== "ranges") revisions.set(id, set.members.revision);
  return revisions;
}

function compare(seen: Seen, desired: Desired): FlowConcern | "everything" {
  if (seen.desired.hostAddresses.join() !== desired.hostAddresses.join()) return "everything";
  const ends = { sources: new Set<string>(), destinations: new Set<string>() };
  if (desired !== seen.desired) compareEndpoints(seen.desired, desired, ends);
  return compareSets(seen, desired, ends) ? ends : "everything";
}

interface Ends {
  readonly sources: Set<string>;
  readonly destinations: Set<string>;
}

/** Adds a pod's addresses: as sources for its egress, as destinations for its ingress. */
function endsOf(ends: Ends, direction: Direction): Set<string> {
  return direction === "egress" ? ends.sources : ends.destinations;
}

function compareEndpoints(before: Desired, after: Desired, ends: Ends): void {
  const changed = changedPrograms(before, after);
  for (const name of new Set([...before.endpoints.keys(), ...after.endpoints.keys()])) {
    const [former, latter] = [before.endpoints.get(name), after.endpoints.get(name)];
    const isMoved = addressesOf(former) !== addressesOf(latter);
    for (const direction of DIRECTIONS) {
      const [was, is] = [former?.[direction], latter?.[direction]];
      if (was === undefined && is === undefined) continue;
      if (was === is && !isMoved && (is === undefined || !changed.has(is))) continue;
      for (const endpoint of [former, latter]) {
        for (const address of endpoint?.addresses ?? []) {
          endsOf(ends, direction).add(address.toString());
        }
      }
    }
  }
}

function addressesOf(endpoint: DesiredEndpoint | undefined): string {
  return endpoint?.addresses.join() ?? "";
}

/** Ids of the policy chains with a policy whose rules changed. */
function changedPrograms(before: Desired, after: Desired): ReadonlySet<string> {
  const changed = new Set<string>();
  for (const program of after.programs.values()) {
    const policies = [...program.admin, ...program.namespaced, ...program.baseline];
    if (policies.some((id) => before.policies.get(id) !== after.policies.get(id))) {
      changed.add(program.id);
    }
  }
  return changed;
}

/** @returns whether every set's log reaches back to the earlier revision */
function compareSets(seen: Seen, desired: Desired, ends: Ends): boolean {
  let directions: ReadonlyMap<string, ReadonlySet<Direction>> | undefined;
  for (const [id, set] of desired.sets) {
    const revision = seen.revisions.get(id);
    // A new set comes with a new policy, and all pods that it governs are concerned already.
    if (set.kind === "ranges" || revision === undefined) continue;
    const former = seen.desired.sets.get(id);
    const isSame = former !== undefined && former.kind === set.kind &&
      former.members === set.members;
    if (isSame && set.members.revision === revision) continue;
    const changes = isSame ? set.members.changesSince(revision) : undefined;
    if (changes === undefined) return false;
    const members = [...changes.added, ...changes.removed];
    if (set.kind === "addressPorts") {
      // A named port belongs to the receiver, in ingress and in egress rules.
      for (const it of members) ends.destinations.add(addressOf(it).toString());
      continue;
    }
    directions ??= directionsOf(desired);
    for (const direction of directions.get(id) ?? []) {
      // The other end: the caller in ingress rules, the called end in egress rules.
      const others = direction === "ingress" ? ends.sources : ends.destinations;
      for (const it of members) others.add(addressOf(it).toString());
    }
  }
  return true;
}

/** In which directions policies name a set as a peer. */
function directionsOf({ policies }: Desired): ReadonlyMap<string, ReadonlySet<Direction>> {
  const directions = new Map<string, Set<Direction>>();
  for (const policy of policies.values()) {
    for (const id of peersOf(policy)) {
      const known = directions.get(id) ?? new Set();
      directions.set(id, known.add(policy.direction));
    }
  }
  return directions;
}

function peersOf({ rules }: DesiredPolicy): readonly string[] {
  return rules.flatMap((rule) => rule.peers ?? []);
}
