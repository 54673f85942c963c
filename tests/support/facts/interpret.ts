/**
 * What a `Desired` says of a flow, worked out by hand: so that the graph's output can be held against
 * the evaluator without a kernel between them.
 */

import { rangesContain } from "../../../lib/ip/range.ts";
import { AddressPort } from "../../../lib/model/address_port.ts";
import type { Desired, DesiredPort } from "../../../lib/model/desired.ts";
import { interfaceNameOf } from "../../../lib/model/interface_name.ts";
import type { Direction, RuleAction } from "../../../lib/model/policy.ts";
import type { Workload } from "../../../lib/model/workload.ts";
import type { Flow } from "../../../lib/policy/evaluate.ts";

/**
 * Whether `desired` lets the first packet of `flow` pass the policies of `workload`. What it leaves to
 * the data plane is here, too: the node reaches its pods, and no NetworkPolicy keeps a pod from itself.
 */
export function interpret(
  desired: Desired,
  workload: Workload,
  direction: Direction,
  flow: Flow,
): boolean {
  const endpoint = desired.endpoints.get(interfaceNameOf(workload.namespace, workload.name));
  if (endpoint === undefined) return false;
  const other = direction === "ingress" ? flow.source.address : flow.destination.address;
  const isHost = desired.hostAddresses.some((it) => it.toString() === other.toString());
  if (isHost && direction === "ingress") return true;
  const id = isHost ? endpoint.hostEgress : endpoint[direction];
  if (id === undefined) return true;
  const program = desired.programs.get(id);
  if (program === undefined) throw new Error(`Endpoint names a program that is not there: ${id}`);
  const ask = (ids: readonly string[]): RuleAction | undefined => {
    for (const rule of ids.flatMap((it) => desired.policies.get(it)?.rules ?? [])) {
      const peer = rule.peers === undefined || rule.peers.some((it) => isIn(desired, it, other));
      const port = rule.ports === undefined || rule.ports.some((it) => isPort(desired, it, flow));
      if (peer && port) return rule.action;
    }
    return undefined;
  };
  const admin = ask(program.admin);
  if (admin === "accept" || admin === "deny") return admin === "accept";
  if (program.namespaced.length > 0) {
    return endpoint.addresses.some((it) => it.toString() === other.toString()) ||
      ask(program.namespaced) === "accept";
  }
  return ask(program.baseline) !== "deny";
}

function isIn(desired: Desired, id: string, address: Flow["source"]["address"]): boolean {
  const set = desired.sets.get(id);
  if (set === undefined) throw new Error(`Rule names a set that is not there: ${id}`);
  if (set.kind === "ranges") {
    return set.family === address.family && rangesContain(set.ranges, address.value);
  }
  return set.members.has(address);
}

function isPort(desired: Desired, port: DesiredPort, flow: Flow): boolean {
  if (flow.protocol === undefined || flow.port === undefined) return false;
  if (port.kind === "named") {
    const set = desired.sets.get(port.set);
    const member = new AddressPort(flow.destination.address, flow.protocol, flow.port);
    return set?.kind === "addressPorts" && set.members.has(member);
  }
  const { port: number } = flow;
  return port.protocol === flow.protocol &&
    (port.ranges === undefined ||
      port.ranges.some((it) => number >= it.first && number <= it.last));
}
