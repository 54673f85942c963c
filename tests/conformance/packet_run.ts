/**
 * Cases against real packets: each cell a flow of its own between two namespaces, through one agent
 * that serves all cases one after the other. What is blocked must vanish: any answer, be it a refusal,
 * is wrong. All cells of a step travel at once, so those that are blocked share one wait.
 */

import { Address, FAMILIES, type Family } from "../../lib/ip/address.ts";
import type { CaseStep, ConformanceCase, Snapshot } from "./case.ts";
import { addressOf, objectsOf } from "./objects.ts";
import { type CellPlace, formatExpectation, type Outcome, placesOf } from "./outcome.ts";
import { PacketCluster, type Service } from "./packet_cluster.ts";
import { type PacketProbe, sendProbes } from "./packet_probe.ts";
import type { ProbeResult } from "../support/packet/probe.ts";

/** How long a packet may be on its way before it counts as lost. */
const TIMEOUT_MS = 250;
/** For a second try of what should have come through: this machine may have been busy. */
const RETRY_TIMEOUT_MS = 30_000;
/** For further ones, once a second try has failed: what is blocked then is not late. */
const RETRY_TIMEOUT_MS_AFTER_FAILURE = 1_000;

const SELF = "packets to oneself never leave the pod";

/** Runs `cases` one after the other; every outcome goes to `onOutcome` as soon as it is known. */
export async function runPackets(
  cases: readonly ConformanceCase[],
  families: readonly Family[],
  onOutcome: (outcome: Outcome) => void,
): Promise<void> {
  await using cluster = await PacketCluster.start(servicesOf(cases));
  let retryTimeoutMs = RETRY_TIMEOUT_MS;
  for (const it of cases) {
    for (const [index, step] of it.steps.entries()) {
      const places = placesOf(it, step, index, families);
      const outcomes = await runStep(cluster, step, { places, families, retryTimeoutMs });
      if (outcomes.some((it) => it.kind === "wrong")) {
        retryTimeoutMs = RETRY_TIMEOUT_MS_AFTER_FAILURE;
      }
      outcomes.forEach(onOutcome);
    }
  }
}

/** Every port that any cell asks. */
function servicesOf(cases: readonly ConformanceCase[]): readonly Service[] {
  const cells = cases.flatMap((it) => it.steps).flatMap((it) => it.cells);
  const services = cells
    .filter((it) => it.skip === undefined)
    .map(({ protocol, port }): [string, Service] => [`${protocol}/${port}`, { protocol, port }]);
  return [...new Map(services).values()];
}

interface StepOptions {
  readonly places: readonly CellPlace[];
  readonly families: readonly Family[];
  readonly retryTimeoutMs: number;
}

async function runStep(
  cluster: PacketCluster,
  { snapshot }: CaseStep,
  { places, families, retryTimeoutMs }: StepOptions,
): Promise<Outcome[]> {
  const family = families.length === FAMILIES.length ? undefined : families[0];
  await cluster.enter(snapshot, objectsOf(snapshot, family));
  const sent: { readonly place: CellPlace; readonly probe: PacketProbe }[] = [];
  const outcomes: Outcome[] = [];
  for (const place of places) {
    const probe = probeOf(cluster, snapshot, place);
    if (typeof probe === "string") outcomes.push({ ...place, kind: "skipped", reason: probe });
    else sent.push({ place, probe });
  }
  const results = await ask(cluster, sent, TIMEOUT_MS);
  const lost = sent.filter(({ place }, index) =>
    place.cell.expected.combined && results[index] === "timeout"
  );
  const seconds = new Map(
    (await ask(cluster, lost, retryTimeoutMs)).map((it, index) => [lost[index]?.place, it]),
  );
  sent.forEach(({ place }, index) => {
    outcomes.push(outcomeOf(place, seconds.get(place) ?? results[index] ?? "timeout"));
  });
  return outcomes;
}

/** @returns a text saying why there is none */
function probeOf(
  cluster: PacketCluster,
  { pods }: Snapshot,
  { cell, family }: CellPlace,
): PacketProbe | string {
  if (cell.skip !== undefined) return cell.skip;
  if (cell.from === cell.to) return SELF;
  const [source, address] = [cell.from, cell.to].map((key) => {
    const pod = pods.get(key);
    return pod === undefined ? undefined : addressOf(pod, family);
  });
  const from = cluster.pods.get(cell.from)?.services;
  if (source === undefined || from === undefined || address === undefined) {
    return `a pod has no IPv${family} address`;
  }
  return {
    from,
    source: Address.parse(source),
    to: Address.parse(address),
    protocol: cell.protocol,
    port: cell.port,
  };
}

async function ask(
  cluster: PacketCluster,
  sent: readonly { readonly probe: PacketProbe }[],
  timeoutMs: number,
): Promise<ProbeResult[]> {
  if (sent.length === 0) return [];
  const pods = [...cluster.pods.values()].map((it) => it.services);
  return await sendProbes(sent.map((it) => it.probe), pods, timeoutMs);
}

function outcomeOf(place: CellPlace, result: ProbeResult): Outcome {
  const { combined } = place.cell.expected;
  if (result === (combined ? "open" : "timeout")) return { ...place, kind: "right" };
  const words: Readonly<Record<string, string>> = { open: "allowed", timeout: "blocked" };
  return {
    ...place,
    kind: "wrong",
    expected: formatExpectation({ combined }),
    got: words[result] ?? `an answer: ${result}`,
    reason: "",
  };
}
