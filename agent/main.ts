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

import { createLogger, JOURNAL_PREFIXES, type Logger } from "../lib/base/log.ts";
import { escapeControls } from "../lib/base/printable.ts";
import { raiseDescriptorLimit } from "../lib/kernel/limit.ts";
import { formatVersion, version } from "../lib/base/version.ts";
import { openApiServer } from "../lib/credentials/api_server.ts";
import { settingsFromEnvironment } from "../lib/credentials/settings.ts";
import { isJournal, STDERR } from "../lib/kernel/journal.ts";
import { Dataplane } from "../lib/dataplane/apply.ts";
import type { NetworkPolicy } from "../lib/model/policy.ts";
import { podDigestIn } from "../lib/model/link_alias.ts";
import { NETLINK_NETFILTER, NETLINK_ROUTE, openNetlinkSocket } from "../lib/netlink/socket.ts";
import { PolicyGraph } from "../lib/policy/graph.ts";
import { reportAddressDoubts } from "./address_report.ts";
import { AttachmentFacts } from "./attachment_facts.ts";
import { AttachmentStore } from "./attachments.ts";
import { BypassWatch } from "./bypass_watch.ts";
import { Concerns } from "./concerns.ts";
import { Facts } from "./facts.ts";
import { FlowCut } from "./flow_cut.ts";
import { HealthServer, readyDetails, unreadyReason } from "./health.ts";
import { IpvsWatch } from "./ipvs.ts";
import { missingConntrack, openNetfilter } from "./kernel_need.ts";
import { LargePolicies } from "./large_policies.ts";
import { EnforcementLoop } from "./loop.ts";
import { freshMtu } from "./mtu.ts";
import { nodeAnswerOf, nodeFilePath, writeNodeFile } from "./node_file.ts";
import { createNotifier } from "./notify.ts";
import { hasInterface, readLinks, stopLearning } from "./pod_links.ts";
import { type Command, formatHelp, parseCommand, type Settings, VARIABLES } from "./settings.ts";
import { serveAgentSocket } from "./socket.ts";
import { reportStatus } from "./status_report.ts";
import { guardTable } from "./table_guard.ts";
import { findUnknownVariables } from "./variables.ts";

/** How long requests in progress may take to end when the agent stops. */
const SHUTDOWN_MS_MAX = 2_000;

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
      return await cleanup(command.settings);
    case "run":
      return await run(command.settings);
  }
}

async function run(settings: Settings): Promise<number> {
  const logger = openLog(settings);
  Deno.umask(0o077); // what we make, the socket above all, is root's alone from its first moment
  raiseDescriptorLimit();
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
    using netfilter = openNetfilter();
    using tableReader = openNetfilter();
    using route = openNetlinkSocket(NETLINK_ROUTE);
    using flowDumps = openNetlinkSocket(NETLINK_NETFILTER);
    const reason = settings.flowCut ? missingConntrack(flowDumps) : undefined;
    using others = openNetlinkSocket(NETLINK_NETFILTER);
    if (reason !== undefined) logger.warn("flows cannot be cut", { reason });
    logger.info("agent started", { version, node: settings.nodeName, server: api.server });

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
    });
    for (const [key, attachment] of attachments.all) attachmentFacts.take(key, attachment);
    const links = readLinks(route);
    const forgotten = attachments.retain((it) => hasInterface(links, it));
    if (forgotten.length > 0) logger.info("attachments without interface forgotten", { forgotten });
    for (const key of forgotten) attachmentFacts.take(key, undefined);
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
    let compileOptions = { ...settings, judgesOutput: ipvs.judgesOutput };
    const loop = new EnforcementLoop({
      flush: () => graph.flush(),
      dataplane,
      compileOptions: () => compileOptions,
      resyncIntervalMs: settings.resyncIntervalMs,
      takeTurn: () => largePolicies.takeTurn(),
      concerns,
      onChanged: () => flowCut.kick(),
      logger,
    });
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
        loop.kick();
      },
      logger,
    });
    const watchingIpvs = ipvs.start(() => {
      compileOptions = { ...settings, judgesOutput: ipvs.judgesOutput };
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
    let enforcing: Promise<void> | undefined;
    let cutting: Promise<void> | undefined;
    let reporting: Promise<void> | undefined;
    const facts = new Facts({
      api,
      logger,
      update: (kind, key, value) => {
        const isChanged = kind === "policy"
          ? largePolicies.take(key, value as NetworkPolicy | undefined)
          : graph.update(kind, key, value);
        if (kind === "workload") attachmentFacts.takeUid(key, graph.uidOf(key));
        if (kind === "node" && key === settings.nodeName) rememberNode();
        return isChanged;
      },
      onChange: () => loop.kick(),
      onInSync: () => {
        logger.info("every watch in sync", countsOf(facts));
        largePolicies.start();
        enforcing = loop.start(stop.signal);
        reporting = reportAddressDoubts({ doubts: health.doubts, logger }, stop.signal);
        loop.nextApply(stop.signal).then(() => {
          notifier.ready();
          if (settings.flowCut) cutting = flowCut.start(stop.signal);
        });
      },
    });
    const detected = freshMtu(route, logger, Date.now);
    const mtu = (): number => settings.mtu || detected();
    const rememberNode = (): void => {
      const node = graph.index.node(settings.nodeName);
      if (node === undefined) return;
      const answer = nodeAnswerOf(settings.nodeName, node, mtu());
      writeNodeFile(nodeFilePath(settings.socketPath), answer, logger);
    };
    const health = {
      host: settings.healthHost,
      port: settings.healthPort,
      flowCut: flowCut.counts,
      ipvs,
      bypass,
      doubts: () => graph.addressDoubts(),
      waitingPolicies: () => largePolicies.waiting,
      unreadyAfterMs: settings.unreadyAfterMs,
      nowMs: Date.now,
    };
    await using socket = await serveAgentSocket({
      path: settings.socketPath,
      nodeName: settings.nodeName,
      node: () => graph.index.node(settings.nodeName),
      mtu,
      interfacePrefix: settings.interfacePrefix,
      attachments,
      onAttachment: (key, attachment) => attachmentFacts.take(key, attachment),
      loop,
      status: () => ({
        version,
        node: settings.nodeName,
        server: api.server,
        ready: unreadyReason({ ...health, facts, loop }) ?? true,
        objects: countsOf(facts),
        applied: loop.counts,
        tableOwned: dataplane.isOwned,
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
    await Promise.all([enforcing, cutting, reporting, telling, watchingIpvs, watchingBypass]);
    await Promise.race([socket.shutdown(), sleep(SHUTDOWN_MS_MAX)]);
    return 0;
  } catch (error) {
    logger.error("agent cannot run", { error });
    return 1;
  }
}

/** Removes the table and what else the agent keeps; running pods keep their interfaces. */
async function cleanup(settings: Settings): Promise<number> {
  const logger = openLog(settings);
  try {
    using netfilter = openNetfilter();
    const isRemoved = await new Dataplane(netfilter, logger).remove();
    for (const path of [`${settings.stateDir}/attachments`, nodeFilePath(settings.socketPath)]) {
      await Deno.remove(path, { recursive: true }).catch(() => {});
    }
    return print(
      isRemoved ? "Removed table inet calyx\n" : "There is no table inet calyx: nothing to do\n",
    );
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

/** On stderr; where that is the journal, each line says how severe it is. */
function openLog({ logLevel }: Settings): Logger {
  const prefixes = isJournal(STDERR, Deno.env.get("JOURNAL_STREAM")) ? JOURNAL_PREFIXES : undefined;
  return createLogger({ level: logLevel, prefixes });
}

function countsOf(facts: Facts): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(facts.states).map(([kind, state]) => [kind, state.objects]),
  );
}

function sleep(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

function print(text: string): number {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
  return 0;
}

function fail(message: string): number {
  const isToJournal = isJournal(STDERR, Deno.env.get("JOURNAL_STREAM"));
  const text = `${isToJournal ? JOURNAL_PREFIXES.error : ""}calyx-agent: ${
    escapeControls(message)
  }`;
  Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
  return 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
