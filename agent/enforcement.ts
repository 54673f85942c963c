/**
 * What the kernel is to enforce, and from when on: nothing is written until `begin()`, when everything that
 * it takes is known, but where `standUp()` finds that something must stand in for policy until then
 * (`stand_in.ts`). Owns the loop (`loop.ts`) and the file with the program that was in force
 * (`program_file.ts`).
 */

import { sleep } from "../lib/base/async.ts";
import type { Logger } from "../lib/base/log.ts";
import type { Dataplane } from "../lib/dataplane/apply.ts";
import type { NetlinkSocket } from "../lib/netlink/socket.ts";
import type { PolicyGraph } from "../lib/policy/graph.ts";
import type { AttachmentStore } from "./attachments.ts";
import { CompileChoices } from "./compile_choices.ts";
import type { Concerns } from "./concerns.ts";
import type { IpvsWatch } from "./ipvs.ts";
import type { LargePolicies } from "./large_policies.ts";
import { EnforcementLoop, type EnforcementState } from "./loop.ts";
import { readHostRoutes, readLinks } from "./pod_links.ts";
import { ProgramFile } from "./program_file.ts";
import type { Settings } from "./settings.ts";
import { StandIn } from "./stand_in.ts";

/** The parts that enforcement reads from and writes to. */
export interface EnforcementOptions {
  readonly settings: Settings;
  readonly graph: PolicyGraph;
  readonly attachments: AttachmentStore;
  readonly largePolicies: LargePolicies;
  readonly ipvs: IpvsWatch;
  readonly concerns: Concerns;
  readonly dataplane: Dataplane;
  readonly route: NetlinkSocket;
  /** Written by the loop alone. */
  readonly state: EnforcementState;
  /** After an apply that changed something. */
  readonly onChanged: () => void;
  readonly logger: Logger;
}

/** How long the start waits for the stand-in to be in the kernel (ms); the loop keeps trying after it. */
const STAND_IN_MS_MAX = 10_000;

/** Drives the loop: first with the stand-in, if one is needed, then with the graph. */
export class Enforcement {
  readonly loop: EnforcementLoop;
  readonly #options: EnforcementOptions;
  readonly #programFile: ProgramFile;
  readonly #standIn: StandIn;
  readonly #choices: CompileChoices;
  #running: Promise<void> | undefined;

  constructor(options: EnforcementOptions) {
    const { settings, graph, attachments, largePolicies, ipvs, dataplane, route, logger } = options;
    this.#options = options;
    this.#programFile = new ProgramFile(`${settings.stateDir}/program`, logger);
    const standIn = new StandIn({
      remembered: () => this.#programFile.load(),
      attachments: () => attachments.all.values(),
      links: () => readLinks(route),
      hostRoutes: () => readHostRoutes(route),
      isTableAtWork: () => dataplane.isAtWork(),
      logger,
    });
    const choices = new CompileChoices(settings, ipvs);
    this.#standIn = standIn;
    this.#choices = choices;
    this.loop = new EnforcementLoop({
      flush: () => standIn.desired ?? graph.flush(),
      dataplane,
      compileOptions: () => standIn.isSkeleton ? choices.closed : choices.usual,
      resyncIntervalMs: settings.resyncIntervalMs,
      takeTurn: () => largePolicies.takeTurn(),
      concerns: options.concerns,
      state: options.state,
      onChanged: () => {
        options.onChanged();
        this.#remember();
      },
      logger,
    });
  }

  /** Whether the stand-in is enforced in place of the API server's policies. */
  get isStandIn(): boolean {
    return this.#standIn.isActive;
  }

  /** Sentences about it for `/readyz` and the status line. */
  get details(): readonly string[] {
    return this.#standIn.details;
  }

  /** Begins with the stand-in, if the kernel has no table and there are pods to protect. */
  standUp(signal: AbortSignal): void {
    if (this.#standIn.begin()) this.#running ??= this.loop.start(signal);
  }

  /** Resolves when the stand-in is in the kernel, or after a bounded time. */
  async stoodUp(signal: AbortSignal): Promise<void> {
    if (!this.isStandIn) return;
    await Promise.race([this.loop.nextApply(signal), sleep(STAND_IN_MS_MAX)]);
  }

  /** Enforces the graph's desired state from now on; resolves when the kernel has it, or `signal` aborts. */
  async begin(signal: AbortSignal): Promise<void> {
    this.#standIn.end();
    const epoch = this.loop.kick();
    this.#running ??= this.loop.start(signal);
    await this.loop.reaches(epoch, signal);
    if (!signal.aborted) this.#remember();
  }

  /** Call when another process has changed the table: the next apply reads it. */
  repair(signal: AbortSignal): void {
    this.#options.dataplane.invalidate();
    this.standUp(signal);
    this.loop.kick();
  }

  /** Call when a condition outside the table changed, as IPVS: the whole ruleset is compiled again. */
  recompile(): void {
    this.#choices.refresh();
    this.loop.kick();
  }

  /** Call when attachments have changed, after the graph was updated. */
  refresh(): void {
    this.#standIn.refresh();
  }

  /** Resolves when the loop has ended. */
  async ended(): Promise<void> {
    await this.#running;
  }

  /** Saves the desired state that is in force, unless it is saved already. */
  async save(): Promise<void> {
    await this.#programFile.save();
  }

  #remember(): void {
    const { enforced } = this.#options.state;
    if (!this.isStandIn && enforced !== undefined) this.#programFile.take(enforced);
  }
}
