/**
 * What a `Desired` says of a flow, worked out by hand: so that the graph's output can be held against
 * the evaluator without a kernel between them.
 */

import { rangesContain } from "../../lib/ip/range.ts";
import type { Desired, DesiredPort } from "../../lib/model/desired.ts";
import { interfaceNameOf } from "../../lib/model/interface_name.ts";
import type { Direction } from "../../lib/model/policy.ts";
import { PROTOCOL_NUMBERS, type Workload } from "../../lib/model/workload.ts";
import type { Flow } from "../../lib/policy/evaluate.ts";

/** Whether `desired` lets the first packet of `flow` pass the policies of `workload`. */
export function interpret(
  desired: Desired,
  workload: Workload,
  direction: Direction,
  flow: Flow,
): boolean {
  const endpoint = desired.endpoints.get(interfaceNameOf(workload.namespace, workload.name));
  if (endpoint === undefined) return false;
  const id = endpoint[direction];
  if (id === undefined) return true;
  const other = direction === "ingress" ? flow.source.address : flow.destination.address;
  for (const policyId of desired.programs.get(id)?.policies ?? []) {
    for (const rule of desired.policies.get(policyId)?.rules ?? []) {
      const peer = rule.peers === undefined || rule.peers.some((it) => isIn(desired, it, other));
      const port = rule.ports === undefined || rule.ports.some((it) => isPort(desired, it, flow));
      if (peer && port) return true;
    }
  }
  return false;
}

function isIn(desired: Desired, id: string, address: Flow["source"]["address"]): boolean {
  const set = desired.sets.get(id);
  if (set === undefined) throw new Error(`Rule names a set that is not there: ${id}`);
  if (set.kind === "ranges") {
    return set.family === address.family && rangesContain(set.ranges, address.value);
  }
  return set.members.has(address.toString());
}

function isPort(desired: Desired, port: DesiredPort, flow: Flow): boolean {
  if (flow.protocol === undefined || flow.port === undefined) return false;
  if (port.kind === "named") {
    const set = desired.sets.get(port.set);
    const member = `${flow.destination.address},${PROTOCOL_NUMBERS[flow.protocol]},${flow.port}`;
    return set?.kind === "addressPorts" && set.members.has(member);
  }
  const { port: number } = flow;
  return port.protocol === flow.protocol &&
    (port.ranges === undefined ||
      port.ranges.some((it) => number >= it.first && number <= it.last));
}
