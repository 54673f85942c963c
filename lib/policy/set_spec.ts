/**
 * What a rule's set holds, as a specification with a stable id: rules that mean the same pods, the
 * same named port or the same addresses share one set, in whatever policy they stand.
 */

import type { Family } from "../ip/address.ts";
import { type AddressRange, subtractRanges } from "../ip/range.ts";
import type { RangeSet } from "../model/desired.ts";
import { formatSelector, type Labels, type LabelSelector, matchesLabels } from "../model/labels.ts";
import type { Member } from "../model/member_set.ts";
import type { Node } from "../model/node.ts";
import type { AddressPeer } from "../model/policy.ts";
import { type Protocol, PROTOCOL_NUMBERS, type Workload } from "../model/workload.ts";
import { type PodSelection, selects } from "./select.ts";

/** A set whose members follow the pods or the nodes. */
export type SetSpec = PodSetSpec | NamedPortSetSpec | NodeSetSpec;

/** The addresses of the selected nodes. */
export interface NodeSetSpec {
  readonly kind: "addresses";
  readonly id: string;
  readonly nodes: LabelSelector;
}

/** The addresses of the selected pods. */
export interface PodSetSpec {
  readonly kind: "addresses";
  readonly id: string;
  readonly selection: PodSelection;
}

/** Address, protocol and number of a named port, of every selected pod that has it. */
export interface NamedPortSetSpec {
  readonly kind: "addressPorts";
  readonly id: string;
  readonly selection: PodSelection;
  readonly port: string;
  readonly protocol: Protocol;
}

/** The set of the pods that `selection` selects. */
export function podSetSpec(selection: PodSelection): PodSetSpec {
  return { kind: "addresses", id: `pods ${formatSelection(selection)}`, selection };
}

/** The set of the nodes that `selector` selects. */
export function nodeSetSpec(selector: LabelSelector): NodeSetSpec {
  return { kind: "addresses", id: `nodes [${formatSelector(selector)}]`, nodes: selector };
}

/** The set of a named port on the pods that `selection` selects. */
export function namedPortSetSpec(
  selection: PodSelection,
  port: string,
  protocol: Protocol,
): NamedPortSetSpec {
  const id = `port ${port}/${protocol} ${formatSelection(selection)}`;
  return { kind: "addressPorts", id, selection, port, protocol };
}

/** The set of an `ipBlock`: its CIDR without the exceptions, which may overlap in any way. */
export function rangeSetOf(peer: AddressPeer): RangeSet {
  const family: Family = peer.cidr.address.family;
  const except = peer.except.filter((it) => it.address.family === family);
  const ranges: readonly AddressRange[] = subtractRanges(
    [peer.cidr.range],
    except.map((it) => it.range),
  );
  const excepted = except.map((it) => it.network.toString()).sort().join(",");
  const id = `net ${peer.cidr.network}${excepted === "" ? "" : ` except ${excepted}`}`;
  return { kind: "ranges", id, family, ranges };
}

/** The members that one pod brings into a set; none when the set does not select it. */
export function membersOf(
  spec: PodSetSpec | NamedPortSetSpec,
  workload: Workload,
  namespaceLabels: Labels | undefined,
): readonly Member[] {
  if (!selects(spec.selection, workload, namespaceLabels)) return [];
  if (spec.kind === "addresses") return workload.addresses.map(String);
  return workload.ports
    .filter((it) => it.name === spec.port && it.protocol === spec.protocol)
    .flatMap((it) => workload.addresses.map((address) => formatAddressPort(`${address}`, it)));
}

/** The members that one node brings into a set of nodes. */
export function nodeMembersOf(spec: NodeSetSpec, node: Node): readonly Member[] {
  return matchesLabels(spec.nodes, node.labels) ? node.addresses.map(String) : [];
}

/** Formats a member of an `addressPorts` set: `address,protocol number,port`. */
export function formatAddressPort(
  address: string,
  port: { readonly protocol: Protocol; readonly port: number },
): Member {
  return `${address},${PROTOCOL_NUMBERS[port.protocol]},${port.port}`;
}

function formatSelection(selection: PodSelection): string {
  const where = selection.namespace ?? `[${formatSelector(selection.namespaceSelector)}]`;
  return `${where}/[${formatSelector(selection.podSelector)}]`;
}
