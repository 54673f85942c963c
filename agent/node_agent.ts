/**
 * The agent of a node: its objects, in the order in which they depend on each other, how they start and how
 * they stop.
 *
 *   API server ──▶ Facts ──▶ FactIntake ──▶ PolicyGraph ──▶ EnforcementLoop ──▶ Dataplane ──▶ kernel
 *                             │  │  │          ▲  ▲           ▲  │     ▲           ▲   (table inet calyx)
 *                             │  │  └▶ LargePolicies ◀─ turn ─┼──┤     └─ StandIn  └── TableGuard
 *                             │  └▶ OwnNode ─▶ NodeRecord     │  │
 *                             ▼                  │  ▲         │  └──▶ FlowCut ──▶ kernel (table of flows)
 *   plugin ──▶ AgentSocket ─▶ AttachedPods       ▼  │         │
 *                │                  ▲        node.json        │
 *                │                  └── links that go         │
 *                └─ kick ─────────────────────────────────────┘ ──▶ waiters of the socket: "enforced"
 *
 *   Facts, EnforcementLoop, FlowCut, … ──▶ AgentState ──▶ /healthz /readyz /metrics, socket, systemd, log
 *
 * The graph is pure; everything that waits, reads or writes is here at the rim. When the agent stops,
 * however it stops, the rules stay in the kernel.
 */

import { sleep } from "../lib/base/async.ts";
import type { Logger } from "../lib/base/log.ts";
import { version } from "../lib/base/version.ts";
import { type ApiServer, openApiServer } from "../lib/credentials/api_server.ts";
import { settingsFromEnvironment } from "../lib/credentials/settings.ts";
import { Dataplane } from "../lib/dataplane/apply.ts";
import { NETLINK_NETFILTER, openNetlinkSocket } from "../lib/netlink/socket.ts";
import { PolicyGraph } from "../lib/policy/graph.ts";
import { reportAddressDoubts } from "./address_report.ts";
import { AgentState } from "./agent_state.ts";
import { AttachedPods } from "./attached_pods.ts";
import { BypassWatch } from "./bypass_watch.ts";
import { Concerns } from "./concerns.ts";
import { Enforcement } from "./enforcement.ts";
import { FactIntake } from "./fact_intake.ts";
import { areInSync, countObjects, Facts, newKindStates } from "./facts.ts";
import { FlowCut } from "./flow_cut.ts";
import { Forwarding } from "./forwarding.ts";
import { HealthServer } from "./health.ts";
import type { HttpServer } from "./http_server.ts";
import { IpvsWatch } from "./ipvs.ts";
import { openKernelSockets } from "./kernel_sockets.ts";
import { LargePolicies } from "./large_policies.ts";
import { watchLinks } from "./link_watch.ts";
import { newEnforcementState } from "./loop.ts";
import { cachedMtu } from "./mtu.ts";
import { NodeRecord } from "./node_record.ts";
import type { Notifier } from "./notify.ts";
import { OwnNode } from "./own_node.ts";
import type { Settings } from "./settings.ts";
import { serveAgentSocket } from "./socket.ts";
import { reportStatus } from "./status_report.ts";
import { TableGuard } from "./table_guard.ts";

/** The arguments of the constructor. */
export interface NodeAgentOptions {
  readonly settings: Settings;
  readonly environment: Readonly<Record<string, string>>;
  readonly notifier: Notifier;
  readonly logger: Logger;
}

/** How long requests in progress may take to end when the agent stops. */
const SHUTDOWN_MS_MAX = 2_000;

/** Runs once, and ends with its signal. */
export class NodeAgent implements AsyncDisposable {
  readonly #options: NodeAgentOptions;
  readonly #resources = new AsyncDisposableStack();
  readonly #objects: Objects;
  /** What runs until the signal aborts. */
  readonly #tasks: Promise<void>[] = [];
  #isBegun = false;

  /** @throws {Error} one sentence with what the kernel lacks, and how to have it */
  constructor(options: NodeAgentOptions) {
    this.#options = options;
    this.#objects = construct(options, this.#resources);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  /**
   * Enforces policy until `signal` aborts; the rules stay in force.
   *
   * @throws {Error} if it cannot: credentials that cannot be read, a socket that another agent has
   */
  async run(signal: AbortSignal): Promise<void> {
    const { settings, notifier, logger } = this.#options;
    const { bypass, enforcement, forwarding, ipvs, pods } = this.#objects;
    await this.#standUp(signal);
    const api = this.#resources.use(await this.#openApiServer());
    logger.info("API server chosen", { server: api.server });
    this.#tasks.push(
      ipvs.start(() => enforcement.recompile(), signal),
      bypass.start(signal),
      forwarding.start(signal),
    );
    const facts = this.#factsOf(api, signal);
    const state = this.#stateOf(api);
    const socket = this.#resources.use(await this.#serve(state));
    if (settings.healthPort !== 0) {
      const { healthHost: host, healthPort: port } = settings;
      this.#resources.use(new HealthServer({ host, port, state, logger }));
    }
    notifier.status(`waiting for ${api.server}`);
    notifier.watch(() => true, signal);
    this.#tasks.push(reportStatus({ notifier, state }, signal));
    // After the socket exists: a plugin that did not find it has created its link by now.
    pods.takeLinks();
    await facts.watch(signal);
    logger.info("agent stopping; the rules stay in force", { reason: String(signal.reason) });
    notifier.stopping();
    await Promise.all([...this.#tasks, enforcement.ended()]);
    const closed = Promise.all([socket.shutdown(), enforcement.save()]);
    await Promise.race([closed, sleep(SHUTDOWN_MS_MAX)]);
  }

  /** Reads the node's own state, and enforces the stand-in if one is needed, before the API server answers. */
  async #standUp(signal: AbortSignal): Promise<void> {
    const { pods, guard, dataplane, enforcement } = this.#objects;
    const { logger } = this.#options;
    await pods.load();
    guard.start({
      ownPortId: dataplane.portId,
      onForeignChange: () => enforcement.repair(signal),
    });
    enforcement.standUp(signal);
    if (enforcement.isStandIn) await enforcement.stoodUp(signal);
    const links = watchLinks({
      onGone: (names) => {
        if (pods.hasOneOf(names)) pods.forgetWithoutInterface();
        else if (!enforcement.isStandIn) return;
        enforcement.refresh();
        enforcement.loop.kick();
      },
      logger,
    });
    this.#resources.use(links);
  }

  async #openApiServer(): Promise<ApiServer> {
    const { settings: { kubeconfig, context }, environment, logger } = this.#options;
    return await openApiServer({
      flags: {
        ...(kubeconfig === undefined ? {} : { kubeconfig }),
        ...(context === undefined ? {} : { context }),
      },
      environment: settingsFromEnvironment(environment),
      userAgent: `calyx-agent/${version}`,
    }, {
      onNotRenewed: (error) => logger.warn("credentials not renewed", { error: error.message }),
      onUnusedAuthority: (reason) => logger.warn("CA certificate not used", { reason }),
    });
  }

  #factsOf(api: ApiServer, signal: AbortSignal): Facts {
    const { intake, enforcement, kinds, ownNode } = this.#objects;
    const { logger } = this.#options;
    return new Facts({
      ...{ api, logger, states: kinds },
      update: (kind, key, value) => {
        const isChanged = intake.update(kind, key, value);
        if (kind === "node") this.#begin(signal);
        return isChanged;
      },
      onChange: () => enforcement.loop.kick(),
      onInSync: () => {
        logger.info("all watches in sync", countObjects(kinds));
        this.#begin(signal);
        if (this.#isBegun) return;
        logger.warn("kernel left unchanged: own Node unknown", { reason: ownNode.missing });
      },
    });
  }

  /** Begins to enforce the API server's policies, once every kind is listed and the own Node is known. */
  #begin(signal: AbortSignal): void {
    const { settings, notifier, logger } = this.#options;
    const { enforcement, flowCut, graph, kinds, largePolicies, ownNode, pods } = this.#objects;
    if (this.#isBegun || !areInSync(kinds) || !ownNode.find()) return;
    this.#isBegun = true;
    if (ownNode.name !== settings.nodeName) {
      logger.warn("Node found by another name", { given: settings.nodeName, node: ownNode.name });
      graph.setOwnNode(ownNode.name);
      this.#objects.nodeRecord.write();
    }
    pods.forgetGone();
    largePolicies.start();
    const begun = enforcement.begin(signal);
    this.#tasks.push(reportAddressDoubts({ doubts: () => graph.addressDoubts(), logger }, signal));
    begun.then(() => {
      if (signal.aborted) return;
      notifier.ready();
      if (settings.flowCut) this.#tasks.push(flowCut.start(signal));
    });
  }

  #stateOf({ server }: ApiServer): AgentState {
    const { kinds, enforced, flowCut, ...others } = this.#objects;
    return new AgentState({
      ...others,
      facts: { states: kinds },
      loop: enforced,
      flowCut: flowCut.counts,
      server,
      unreadyAfterMs: this.#options.settings.unreadyAfterMs,
      nowMs: Date.now,
    });
  }

  async #serve(state: AgentState): Promise<HttpServer> {
    const { settings: { socketPath: path, interfacePrefix }, logger } = this.#options;
    const { enforcement, nodeRecord, pods } = this.#objects;
    return await serveAgentSocket({
      ...{ path, interfacePrefix, nodeRecord, state, logger },
      attachments: pods.attachments,
      onAttachment: (key, attachment) => {
        pods.take(key, attachment);
        enforcement.refresh();
      },
      loop: enforcement.loop,
      isStandIn: () => enforcement.isStandIn,
    });
  }
}

type Objects = ReturnType<typeof construct>;

/** Constructs each object after the ones that it needs. The kernel is not written here. */
function construct({ settings, logger }: NodeAgentOptions, resources: AsyncDisposableStack) {
  const { nodeName, stateDir, socketPath, interfacePrefix } = settings;
  const kernel = resources.use(openKernelSockets(settings.flowCut, logger));
  logger.info("agent started", { version, node: nodeName });
  const { route } = kernel;
  // Written by Facts, and by the loop.
  const kinds = newKindStates();
  const enforced = newEnforcementState();

  const concerns = new Concerns();
  const graph = new PolicyGraph({
    ...settings,
    onConcern: (kind, key, value) => concerns.note(kind, key, value),
  });
  const largePolicies = new LargePolicies({
    update: (key, policy) => graph.update("policy", key, policy),
    logger,
  });
  const pods = new AttachedPods({ stateDir, graph, route, logger });

  const guard = resources.use(new TableGuard(logger));
  const dataplane = new Dataplane(kernel.netfilter, logger, {
    mayOwn: settings.ownsTable,
    reader: kernel.tableReader,
    foreignChanges: () => guard.foreignChanges(),
  });
  const ipvs = new IpvsWatch({ mode: settings.ipvs, logger });
  const flowCut = new FlowCut({
    dumps: kernel.flowDumps,
    openUrgentDumps: () => openNetlinkSocket(NETLINK_NETFILTER),
    requests: kernel.netfilter,
    index: graph.index,
    enforced: () => enforced.enforced,
    hostAddresses,
    intervalMs: settings.resyncIntervalMs,
    logger,
  });
  const enforcement = new Enforcement({
    ...{ settings, graph, largePolicies, ipvs, concerns, dataplane, route, logger },
    attachments: pods.attachments,
    state: enforced,
    onChanged: () => flowCut.kick(),
  });

  const endpoints = () => [...enforced.enforced?.endpoints.values() ?? []];
  const { others: netfilter } = kernel;
  const bypass = new BypassWatch({ interfacePrefix, endpoints, route, netfilter, logger });
  const forwarding = new Forwarding({ endpoints, logger });
  const ownNode = new OwnNode({
    name: nodeName,
    isNameGiven: settings.isNodeNameGiven,
    nodes: () => graph.index.nodes(),
    isListed: () => kinds.node?.isInSync === true,
    hostAddresses,
  });
  const detectMtu = cachedMtu(route, logger, Date.now);
  const nodeRecord = new NodeRecord({
    ...{ socketPath, ownNode, logger },
    nodeOf: (name) => graph.index.node(name),
    mtu: () => settings.mtu || detectMtu(),
  });
  const intake = new FactIntake({ graph, largePolicies, pods, ownNode, nodeRecord, logger });
  return {
    ...{ kinds, enforced, graph, largePolicies, pods, guard, dataplane, ipvs, flowCut },
    ...{ enforcement, bypass, forwarding, ownNode, nodeRecord, intake },
  };
}

/** The addresses of this host, as canonical texts. */
function hostAddresses(): ReadonlySet<string> {
  return new Set(Deno.networkInterfaces().map((it) => it.address));
}
