/** Cases against the evaluator: each cell one flow, no packet. */

import { Address, type Family } from "../../lib/ip/address.ts";
import { evaluate, type FlowEnd, type Reason, resolveEnd } from "../../lib/policy/evaluate.ts";
import type { ConformanceCase, Snapshot } from "./case.ts";
import { decodeCluster, type DecodedCluster } from "./decode_cluster.ts";
import { addressOf, objectsOf } from "./objects.ts";
import { type CellPlace, formatExpectation, type Outcome, placesOf } from "./outcome.ts";

/** What came of every cell of `it`, over each of `families`. */
export function evaluateCase(it: ConformanceCase, families: readonly Family[]): Outcome[] {
  return it.steps.flatMap((step, index) =>
    families.flatMap((family) => {
      const places = placesOf(it, step, index, [family]);
      const objects = objectsOf(step.snapshot, family);
      const decoded = decodeCluster({
        namespaces: objects.namespaces.values(),
        nodes: objects.nodes.values(),
        pods: objects.pods.values(),
        policies: objects.networkpolicies.values(),
        clusterPolicies: objects.clusternetworkpolicies.values(),
      });
      return places.map((place) => evaluateCell(decoded, step.snapshot, place));
    })
  );
}

function evaluateCell(
  { cluster, problems }: DecodedCluster,
  { pods }: Snapshot,
  place: CellPlace,
): Outcome {
  const { cell, family } = place;
  if (cell.skip !== undefined) return { ...place, kind: "skipped", reason: cell.skip };
  const end = (key: string): FlowEnd | undefined => {
    const pod = pods.get(key);
    const address = pod === undefined ? undefined : addressOf(pod, family);
    return address === undefined ? undefined : resolveEnd(cluster, Address.parse(address));
  };
  const [source, destination] = [end(cell.from), end(cell.to)];
  if (source === undefined || destination === undefined) {
    return { ...place, kind: "skipped", reason: `a pod has no IPv${family} address` };
  }
  const { protocol, port, expected } = cell;
  const { allowed, ingress, egress } = evaluate(cluster, { source, destination, protocol, port });
  const got = {
    combined: allowed,
    ...(expected.ingress === undefined ? {} : { ingress: ingress.allowed }),
    ...(expected.egress === undefined ? {} : { egress: egress.allowed }),
  };
  const wanted = formatExpectation(expected);
  const found = formatExpectation(got);
  if (wanted === found) return { ...place, kind: "right" };
  const reason = [
    `ingress: ${formatReason(ingress.reason)}`,
    `egress: ${formatReason(egress.reason)}`,
    ...problems,
  ].join("; ");
  return { ...place, kind: "wrong", expected: wanted, got: found, reason };
}

/** Formats a reason for people: `notAllowed policies=x/base`. */
function formatReason({ kind, ...rest }: Reason): string {
  return [kind, ...Object.entries(rest).map(([name, value]) => `${name}=${value}`)].join(" ");
}
