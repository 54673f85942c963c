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

/** The agent's parts, read-only. */
export interface AgentParts {
  readonly facts: Pick<Facts, "states">;
  readonly loop: Readonly<EnforcementState>;
  readonly flowCut: Readonly<FlowCutCounts>;
  readonly ownNode: Pick<OwnNode, "name" | "missing" | "details">;
  readonly enforcement: { readonly details: readonly string[] };
  readonly ipvs: Pick<IpvsWatch, "isPresent" | "judgesOutput" | "details">;
  readonly bypass: Pick<BypassWatch, "counts" | "details">;
  readonly forwarding: Pick<Forwarding, "details">;
  /** Whether the kernel refuses other programs' changes of the table. */
  readonly dataplane: { readonly isOwned: boolean | undefined };
  readonly graph: { addressDoubts(): AddressDoubts };
  /** Keys (`namespace/name`) of the queued large policies. */
  readonly largePolicies: { readonly waiting: readonly string[] };
  /** The API server's URL. */
  readonly server: string;
  /** After this time without the API server it is not ready (ms); 0: it stays ready. */
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

  /** Doubted addresses in pods' statuses. */
  readonly doubts = (): AddressDoubts => this.#parts.graph.addressDoubts();

  /** Keys (`namespace/name`) of the queued large policies. */
  readonly waitingPolicies = (): readonly string[] => this.#parts.largePolicies.waiting;

  /** One sentence why the agent cannot enforce although every kind is listed; `undefined`: it can. */
  readonly missing = (): string | undefined => this.#parts.ownNode.missing;

  /** Further sentences for `/readyz`. */
  readonly moreDetails = (): readonly string[] => {
    const { enforcement, ownNode, forwarding } = this.#parts;
    return [...enforcement.details, ...ownNode.details, ...forwarding.details];
  };

  /** One sentence why policy is not in force; `undefined`: it is. */
  get unreadyReason(): string | undefined {
    return unreadyReason(this);
  }

  /** Sentences for `/readyz` that do not make the node unready: its other pods are not affected. */
  get details(): readonly string[] {
    return readyDetails(this);
  }

  /** The body of `GET /v1/status`. */
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
