/**
 * What the agent is at, in one place for all that say it: the health port, the socket, the service manager
 * and the log. Each part has one writer; nothing is copied, it is read when it is asked for.
 *
 *   part                      written by          part            written by
 *   facts.states              Facts               ipvs            IpvsWatch
 *   loop                      EnforcementLoop     bypass          BypassWatch
 *   enforcement               Enforcement         forwarding      Forwarding
 *   flowCut                   FlowCut             largePolicies   LargePolicies
 *   ownNode, graph            FactIntake          dataplane       EnforcementLoop
 */

import type { AgentStatus } from "../lib/agent_api/status.ts";
import { version } from "../lib/base/version.ts";
import type { AddressDoubts } from "../lib/policy/address_doubts.ts";
import type { BypassWatch } from "./bypass_watch.ts";
import { countObjects, type Facts } from "./facts.ts";
import type { FlowCutCounts } from "./flow_cut.ts";
import type { Forwarding } from "./forwarding.ts";
import type { IpvsWatch } from "./ipvs.ts";
import type { EnforcementState } from "./loop.ts";
import type { MetricsState } from "./metrics.ts";
import type { OwnNode } from "./own_node.ts";
import { type ReadinessState, readyDetails, unreadyReason } from "./readiness.ts";

/** The parts, as those see them who only read. */
export interface AgentParts {
  readonly facts: Pick<Facts, "states">;
  readonly loop: Readonly<EnforcementState>;
  readonly flowCut: Readonly<FlowCutCounts>;
  readonly ownNode: Pick<OwnNode, "name" | "missing" | "details">;
  readonly enforcement: { readonly details: readonly string[] };
  readonly ipvs: Pick<IpvsWatch, "isPresent" | "judgesOutput" | "details">;
  readonly bypass: Pick<BypassWatch, "counts" | "details">;
  readonly forwarding: Pick<Forwarding, "details">;
  /** Whether the kernel keeps others from changing the table. */
  readonly dataplane: { readonly isOwned: boolean | undefined };
  readonly graph: { addressDoubts(): AddressDoubts };
  /** Keys of the large policies that wait for their turns. */
  readonly largePolicies: { readonly waiting: readonly string[] };
  /** The API server's URL. */
  readonly server: string;
  /** After so long without the API server it is not ready; 0: it stays so. */
  readonly unreadyAfterMs: number;
  readonly nowMs: () => number;
}

/** The state of the agent, for reading: what /metrics and /readyz are made from, and the socket's status. */
export class AgentState implements MetricsState, ReadinessState {
  readonly facts: Pick<Facts, "states">;
  readonly loop: Readonly<EnforcementState>;
  readonly flowCut: Readonly<FlowCutCounts>;
  readonly ipvs: AgentParts["ipvs"];
  readonly bypass: AgentParts["bypass"];
  readonly unreadyAfterMs: number;
  readonly nowMs: () => number;
  readonly #parts: AgentParts;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.facts = parts.facts;
    this.loop = parts.loop;
    this.flowCut = parts.flowCut;
    this.ipvs = parts.ipvs;
    this.bypass = parts.bypass;
    this.unreadyAfterMs = parts.unreadyAfterMs;
    this.nowMs = parts.nowMs;
  }

  /** Addresses in pods' statuses that are to be doubted. */
  readonly doubts = (): AddressDoubts => this.#parts.graph.addressDoubts();

  /** Keys of the large policies that wait for their turns. */
  readonly waitingPolicies = (): readonly string[] => this.#parts.largePolicies.waiting;

  /** Why nothing can be enforced although every kind is known; `undefined`: nothing keeps from it. */
  readonly missing = (): string | undefined => this.#parts.ownNode.missing;

  /** What else people must know, one sentence each. */
  readonly moreDetails = (): readonly string[] => {
    const { enforcement, ownNode, forwarding } = this.#parts;
    return [...enforcement.details, ...ownNode.details, ...forwarding.details];
  };

  /** Why policy is not in force, in one sentence; `undefined` when it is. */
  get unreadyReason(): string | undefined {
    return unreadyReason(this);
  }

  /** What people should know, one sentence each: it does not make a node unready for all its other pods. */
  get details(): readonly string[] {
    return readyDetails(this);
  }

  /** What the socket says of the agent. */
  get status(): AgentStatus {
    const { ownNode, dataplane, server } = this.#parts;
    return {
      version,
      node: ownNode.name,
      server,
      unreadyReason: this.unreadyReason,
      objects: countObjects(this.facts.states),
      applied: this.loop.counts,
      isTableOwned: dataplane.isOwned,
    };
  }
}
