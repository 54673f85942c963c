/**
 * EXECUTABLE calyx-agent: watch, compute, program, repeat. One per node.
 *
 *   API server ──▶ Facts ──▶ PolicyGraph ──▶ EnforcementLoop ──▶ Dataplane ──▶ kernel
 *                    │         ▲  ▲               ▲  │              (table inet calyx)
 *                    └─▶ LargePolicies ◀── turn ──┼──┤
 *                              │                  │  │
 *   plugin ──▶ AgentSocket ──▶ AttachmentFacts    │  ├──▶ waiters of the socket: "enforced"
 *                    └────────────── kick ────────┘  └──▶ FlowCut ──▶ kernel (table of flows)
 *   /healthz /readyz /metrics ◀── Facts, EnforcementLoop        systemd ◀── Notifier
 *
 * The graph is pure; everything that waits, reads or writes is here at the rim. When the agent stops,
 * however it stops, the rules stay in the kernel.
 */

import { nodeFilePath } from "../lib/agent_api/node.ts";
import { formatVersion, version } from "../lib/base/version.ts";
import { openApiServer } from "../lib/credentials/api_server.ts";
import { settingsFromEnvironment } from "../lib/credentials/settings.ts";
import { Dataplane } from "../lib/dataplane/apply.ts";
import { raiseDescriptorLimit } from "../lib/kernel/limit.ts";
import type { Node } from "../lib/model/node.ts";
import type { NetworkPolicy } from "../lib/model/policy.ts";
import { podDigestIn } from "../lib/model/link_alias.ts";
import { NETLINK_NETFILTER, NETLINK_ROUTE, openNetlinkSocket } from "../lib/netlink/socket.ts";
import { PolicyGraph } from "../lib/policy/graph.ts";
import { reportAddressDoubts } from "./address_report.ts";
import { AttachmentFacts } from "./attachment_facts.ts";
import { AttachmentStore } from "./attachments.ts";
import { BypassWatch } from "./bypass_watch.ts";
import { cleanup } from "./cleanup.ts";
import { CompileChoices } from "./compile_choices.ts";
import { Concerns } from "./concerns.ts";
import { DetachmentStore } from "./detachments.ts";
import { Facts } from "./facts.ts";
import { FlowCut } from "./flow_cut.ts";
import { Forwarding } from "./forwarding.ts";
import { HealthServer, readyDetails, unreadyReason } from "./health.ts";
import { IpvsWatch } from "./ipvs.ts";
import { missingConntrack, openNetfilter } from "./kernel_need.ts";
import { LargePolicies } from "./large_policies.ts";
import { watchLinks } from "./link_watch.ts";
import { EnforcementLoop } from "./loop.ts";
import { freshMtu } from "./mtu.ts";
import { writeNodeFile } from "./node_file.ts";
import { createNotifier } from "./notify.ts";
import { fail, openLog, print } from "./output.ts";
import { OwnNode } from "./own_node.ts";
import { hasInterface, readHostRoutes, readLinks, stopLearning } from "./pod_links.ts";
import { ProgramFile } from "./program_file.ts";
import { type Command, formatHelp, parseCommand, type Settings, VARIABLES } from "./settings.ts";
import { serveAgentSocket } from "./socket.ts";
import { StandIn } from "./stand_in.ts";
import { reportStatus } from "./status_report.ts";
import { guardTable } from "./table_guard.ts";
import { findUnknownVariables } from "./variables.ts";

/** How long requests in progress may take to end when the agent stops. */
const SHUTDOWN_MS_MAX = 2_000;
/** How long the rest waits for what stands in for policy; the loop goes on trying. */
const STAND_IN_MS_MAX = 10_000;

/** Runs the command line; resolves to the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let command: Command;
  try {
    command = parseCommand(args, Deno.env.toObject(), Deno.hostname());
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    const isQuestion = error.message.endsWith("?");
    return fail(`${error.message}${isQuestion ? " See" : "; see"} calyx-agent --help`);
  }
  switch (command.kind) {
    case "help":
      return print(formatHelp());
    case "version":
      return print(`${formatVersion("calyx-agent")}\n`);
    case "cleanup":
      return await cleanup(command.settings).then(print, fail);
    case "run":
      return await run(command.settings);
  }
}

async function run(settings: Settings): Promise<number> {
  const logger = openLog(settings);
  Deno.umask(0o077); // what we make, the socket above all, is root's alone from its first moment
  raiseDescriptorLimit();
  // An agent that ends over a promise that has no owner is a node whose policies are late.
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    const error: unknown = event.reason;
    const stack = error instanceof Error ? error.stack : undefined;
    logger.error("a fault of the agent; it goes on", { error, stack });
  });
  const stop = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(name, () => stop.abort(name));
  }
  const environment = Deno.env.toObject();
  for (const unknown of findUnknownVariables(environment, VARIABLES)) {
    logger.warn("environment variable is not known; see calyx-agent --help", { ...unknown });
  }
  const notifier = createNotifier(environment, logger);
  try {
    using netfilter = openNetfilter();
    using tableReader = openNetfilter();
    using route = openNetlinkSocket(NETLINK_ROUTE);
    using flowDumps = openNetlinkSocket(NETLINK_NETFILTER);
    const reason = settings.flowCut ? missingConntrack(flowDumps) : undefined;
    using others = openNetlinkSocket(NETLINK_NETFILTER);
    if (reason !== undefined) logger.warn("flows cannot be cut", { reason });
    logger.info("agent started", { version, node: settings.nodeName });

    const concerns = new Concerns();
    const graph = new PolicyGraph({
      ...settings,
      onConcern: (kind, key, value) => concerns.note(kind, key, value),
    });
    const attachments = new AttachmentStore(`${settings.stateDir}/attachments`, logger);
    await attachments.load();
    const attachmentFacts = new AttachmentFacts({
      update: (kind, key, value) => graph.update(kind, key, value),
      uidOf: (key) => graph.uidOf(key),
      keep: (key, uid) => detachments.set(key, uid),
    });
    const detachments = new DetachmentStore(`${settings.stateDir}/detachments`, logger);
    attachmentFacts.restore(await detachments.load());
    for (const [key, attachment] of attachments.all) attachmentFacts.take(key, attachment);
    const forgetWithoutInterface = (links = readLinks(route)): void => {
      const forgotten = attachments.retain((it) => hasInterface(links, it));
      if (forgotten.length === 0) return;
      logger.info("attachments without interface forgotten", { forgotten });
      for (const key of forgotten) attachmentFacts.take(key, undefined);
    };
    const links = readLinks(route);
    forgetWithoutInterface(links);
    stopLearning(route, links, logger);

    const dataplane = new Dataplane(netfilter, logger, {
      mayOwn: settings.ownsTable,
      reader: tableReader,
      foreignChanges: () => guard.foreignChanges(),
    });
    const largePolicies = new LargePolicies({
      update: (key, policy) => graph.update("policy", key, policy),
      logger,
    });
    const ipvs = new IpvsWatch({ mode: settings.ipvs, logger });
    const programFile = new ProgramFile(`${settings.stateDir}/program`, logger);
    const standIn = new StandIn({
      remembered: () => programFile.load(),
      attachments: () => attachments.all.values(),
      links: () => readLinks(route),
      hostRoutes: () => readHostRoutes(route),
      isTableAtWork: () => dataplane.isAtWork(),
      logger,
    });
    const options = new CompileChoices(settings, ipvs);
    const loop = new EnforcementLoop({
      flush: () => standIn.desired ?? graph.flush(),
      dataplane,
      compileOptions: () => standIn.isSkeleton ? options.closed : options.usual,
      resyncIntervalMs: settings.resyncIntervalMs,
      takeTurn: () => largePolicies.takeTurn(),
      concerns,
      onChanged: () => {
        flowCut.kick();
        rememberProgram();
      },
      logger,
    });
    const rememberProgram = (): void => {
      if (!standIn.isActive && loop.enforced !== undefined) programFile.take(loop.enforced);
    };
    const flowCut = new FlowCut({
      dumps: flowDumps,
      openUrgentDumps: () => openNetlinkSocket(NETLINK_NETFILTER),
      requests: netfilter,
      index: graph.index,
      enforced: () => loop.enforced,
      hostAddresses: () => new Set(Deno.networkInterfaces().map((it) => it.address)),
      intervalMs: settings.resyncIntervalMs,
      logger,
    });
    using guard = guardTable({
      ownPortId: dataplane.portId,
      onForeignChange: () => {
        dataplane.invalidate();
        standUp();
        loop.kick();
      },
      logger,
    });
    let enforcing: Promise<void> | undefined;
    const standUp = (): void => {
      if (standIn.begin()) enforcing ??= loop.start(stop.signal);
    };
    standUp();
    if (standIn.isActive) {
      await Promise.race([loop.nextApply(stop.signal), sleep(STAND_IN_MS_MAX)]);
    }
    using _links = watchLinks({
      onGone: (names) => {
        const isOurs = [...attachments.all.values()]
          .some((it) => names === undefined || names.has(it.interfaceName));
        if (isOurs) forgetWithoutInterface();
        else if (!standIn.isActive) return;
        standIn.refresh();
        loop.kick();
      },
      logger,
    });
    await using api = await openApiServer({
      flags: {
        ...(settings.kubeconfig === undefined ? {} : { kubeconfig: settings.kubeconfig }),
        ...(settings.context === undefined ? {} : { context: settings.context }),
      },
      environment: settingsFromEnvironment(environment),
      userAgent: `calyx-agent/${version}`,
    }, {
      onNotRenewed: (error) => logger.warn("credentials not renewed", { error: error.message }),
    });
    logger.info("API server chosen", { server: api.server });
    const watchingIpvs = ipvs.start(() => {
      options.refresh();
      loop.kick();
    }, stop.signal);
    const bypass = new BypassWatch({
      interfacePrefix: settings.interfacePrefix,
      endpoints: () => [...loop.enforced?.endpoints.values() ?? []],
      route,
      netfilter: others,
      logger,
    });
    const watchingBypass = bypass.start(stop.signal);
    const forwarding = new Forwarding({
      endpoints: () => loop.enforced?.endpoints.values() ?? [],
      logger,
    });
    const watchingForwarding = forwarding.start(stop.signal);
    let cutting: Promise<void> | undefined;
    let reporting: Promise<void> | undefined;
    const ownNode = new OwnNode({
      name: settings.nodeName,
      isNameGiven: settings.isNodeNameGiven,
      nodes: () => graph.index.nodes(),
      isListed: () => facts.states.node?.isInSync === true,
      hostAddresses: () => new Set(Deno.networkInterfaces().map((it) => it.address)),
    });
    let isBegun = false;
    /** Begins to enforce what the API server says, once all that it takes is known. */
    const begin = (): void => {
      if (isBegun || !facts.isInSync || !ownNode.find()) return;
      isBegun = true;
      if (ownNode.name !== settings.nodeName) {
        logger.warn("Node found by another name", { given: settings.nodeName, node: ownNode.name });
        graph.setOwnNode(ownNode.name);
        rememberNode();
      }
      attachmentFacts.forgetGone();
      largePolicies.start();
      standIn.end();
      const epoch = loop.kick();
      enforcing ??= loop.start(stop.signal);
      reporting = reportAddressDoubts({ doubts: health.doubts, logger }, stop.signal);
      loop.reaches(epoch, stop.signal).then(() => {
        if (stop.signal.aborted) return;
        notifier.ready();
        rememberProgram();
        if (settings.flowCut) cutting = flowCut.start(stop.signal);
      });
    };
    const takeNode = (name: string, node: Node | undefined): boolean => {
      const before = ownNode.details.join();
      const isChanged = graph.update("node", name, ownNode.complete(name, node));
      const [detail] = ownNode.details;
      if (detail !== undefined && detail !== before) logger.warn("own Node is gone", { detail });
      if (name === ownNode.name) rememberNode();
      begin();
      return isChanged;
    };
    const facts = new Facts({
      api,
      logger,
      update: (kind, key, value) => {
        if (kind === "node") return takeNode(key, value as Node | undefined);
        const isChanged = kind === "policy"
          ? largePolicies.take(key, value as NetworkPolicy | undefined)
          : graph.update(kind, key, value);
        if (kind === "workload") attachmentFacts.takeUid(key, graph.uidOf(key));
        return isChanged;
      },
      onChange: () => loop.kick(),
      onInSync: () => {
        logger.info("every watch in sync", countsOf(facts));
        begin();
        if (!isBegun) logger.warn("nothing is changed in the kernel", { reason: ownNode.missing });
      },
    });
    const detected = freshMtu(route, logger, Date.now);
    const mtu = (): number => settings.mtu || detected();
    const rememberNode = (): void => {
      const node = graph.index.node(ownNode.name);
      if (node === undefined) return;
      const { podCidrs } = node;
      const said = { nodeName: ownNode.name, podCidrs, mtu: mtu() };
      writeNodeFile(nodeFilePath(settings.socketPath), said, logger);
    };
    const health = {
      host: settings.healthHost,
      port: settings.healthPort,
      flowCut: flowCut.counts,
      ipvs,
      bypass,
      doubts: () => graph.addressDoubts(),
      waitingPolicies: () => largePolicies.waiting,
      missing: () => ownNode.missing,
      moreDetails: () => [...standIn.details, ...ownNode.details, ...forwarding.details],
      unreadyAfterMs: settings.unreadyAfterMs,
      nowMs: Date.now,
    };
    await using socket = await serveAgentSocket({
      path: settings.socketPath,
      ownNode,
      node: (name) => graph.index.node(name),
      mtu,
      interfacePrefix: settings.interfacePrefix,
      attachments,
      onAttachment: (key, attachment) => {
        attachmentFacts.take(key, attachment);
        standIn.refresh();
      },
      loop,
      isStandIn: () => standIn.isActive,
      unreadyReason: () => unreadyReason({ ...health, facts, loop }),
      status: () => ({
        version,
        node: ownNode.name,
        server: api.server,
        unreadyReason: unreadyReason({ ...health, facts, loop }),
        objects: countsOf(facts),
        applied: loop.counts,
        isTableOwned: dataplane.isOwned,
      }),
      logger,
    });
    await using _healthServer = settings.healthPort === 0
      ? undefined
      : new HealthServer({ ...health, facts, loop, logger });
    notifier.status(`waiting for ${api.server}`);
    notifier.watch(() => true, stop.signal);
    const telling = reportStatus({
      notifier,
      loop,
      unreadyReason: () => unreadyReason({ ...health, facts, loop }),
      details: () => readyDetails({ ...health, facts, loop }),
    }, stop.signal);

    // After the socket is there: whoever found none has made its link by now.
    for (const { name, alias } of readLinks(route).values()) {
      const podDigest = podDigestIn(alias);
      if (podDigest !== undefined) graph.update("link", name, { podDigest });
    }
    await facts.watch(stop.signal);
    logger.info("agent stops; the rules stay in force", { reason: String(stop.signal.reason) });
    notifier.stopping();
    await Promise.all([
      ...[enforcing, cutting, reporting, telling],
      ...[watchingIpvs, watchingBypass, watchingForwarding],
    ]);
    await Promise.race([
      Promise.all([socket.shutdown(), programFile.save()]),
      sleep(SHUTDOWN_MS_MAX),
    ]);
    return 0;
  } catch (error) {
    logger.error("agent cannot run", { error });
    return 1;
  }
}

function countsOf(facts: Facts): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(facts.states).map(([kind, state]) => [kind, state.objects]),
  );
}

function sleep(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

if (import.meta.main) Deno.exit(await main(Deno.args));
