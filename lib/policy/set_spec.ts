/**
 * What a rule's set holds, as a specification with a stable id: rules that mean the same pods, the
 * same named port or the same addresses share one set, in whatever policy they stand.
 */

import type { Family } from "../ip/address.ts";
import { type AddressRange, mergeRanges, subtractRanges } from "../ip/range.ts";
import { AddressPort } from "../model/address_port.ts";
import type { RangeSet } from "../model/desired.ts";
import { formatSelector, type Labels, type LabelSelector, matchesLabels } from "../model/labels.ts";
import type { Member } from "../model/member_set.ts";
import type { Node } from "../model/node.ts";
import type { AddressPeer } from "../model/policy.ts";
import type { Protocol, Workload } from "../model/workload.ts";
import { type PodSelection, selects } from "./select.ts";

/** A set whose members follow the pods or the nodes. */
export type SetSpec = PeerSetSpec | NamedPortSetSpec;

/** The addresses of the selected pods and of the selected nodes. */
export interface PeerSetSpec {
  readonly kind: "addresses";
  readonly id: string;
  readonly pods: readonly PodSelection[];
  readonly nodes: readonly LabelSelector[];
}

/** Address, protocol and number of named ports, of every selected pod that has them. */
export interface NamedPortSetSpec {
  readonly kind: "addressPorts";
  readonly id: string;
  readonly selection: PodSelection;
  readonly ports: readonly NamedPortName[];
}

/** A named port: protocol and name. */
export interface NamedPortName {
  readonly name: string;
  readonly protocol: Protocol;
}

/** A peer by pods or nodes, in the form that a set needs. */
export type SelectedPeer =
  | { readonly kind: "pods"; readonly selection: PodSelection }
  | { readonly kind: "nodes"; readonly selector: LabelSelector };

/** The set of the addresses that any of `peers` selects. */
export function peerSetSpec(peers: readonly SelectedPeer[]): PeerSetSpec {
  const parts = new Map(peers.map((it) => [formatPeer(it), it]));
  const all = [...parts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, it]) => it);
  return {
    kind: "addresses",
    id: joinIds(parts.keys()),
    pods: all.flatMap((it) => it.kind === "pods" ? it.selection : []),
    nodes: all.flatMap((it) => it.kind === "nodes" ? [it.selector] : []),
  };
}

/** The set of named ports on the pods that `selection` selects. */
export function namedPortSetSpec(
  selection: PodSelection,
  ports: readonly NamedPortName[],
): NamedPortSetSpec {
  const names = ports.map(({ name, protocol }) => `${name}/${protocol}`);
  const id = `port ${joinIds(names)} ${formatSelection(selection)}`;
  return { kind: "addressPorts", id, selection, ports };
}

/** The set of `ipBlock`s of one family. */
export function rangeSetOf(family: Family, peers: readonly AddressPeer[]): RangeSet {
  const ids = peers.map(({ cidr, except }) => {
    const excepted = except.filter((it) => it.address.family === family)
      .map((it) => it.network.toString()).sort().join(",");
    return `${cidr.network}${excepted === "" ? "" : ` except ${excepted}`}`;
  });
  const ranges = mergeRanges(peers.flatMap(rangesOf));
  return { kind: "ranges", id: `net ${joinIds(ids)}`, family, ranges };
}

const knownRanges = new WeakMap<AddressPeer, readonly AddressRange[]>();

/** The ranges of an `ipBlock`: its CIDR without the exceptions, which may overlap in any way. */
export function rangesOf(peer: AddressPeer): readonly AddressRange[] {
  if (peer.except.length === 0) return [peer.cidr.range];
  let ranges = knownRanges.get(peer);
  if (ranges === undefined) {
    const { family } = peer.cidr.address;
    const except = peer.except.filter((it) => it.address.family === family);
    ranges = subtractRanges([peer.cidr.range], except.map((it) => it.range));
    knownRanges.set(peer, ranges);
  }
  return ranges;
}

/** The id of a set: independent of the order and repetition of its parts. */
function joinIds(ids: Iterable<string>): string {
  return [...new Set(ids)].sort().join(" | ");
}

function formatPeer(peer: SelectedPeer): string {
  return peer.kind === "pods"
    ? `pods ${formatSelection(peer.selection)}`
    : `nodes [${formatSelector(peer.selector)}]`;
}

/** The members that one pod contributes to a set; none if the set does not select it. */
export function membersOf(
  spec: SetSpec,
  workload: Workload,
  namespaceLabels: Labels | undefined,
): readonly Member[] {
  if (spec.kind === "addresses") {
    const isSelected = spec.pods.some((it) => selects(it, workload, namespaceLabels));
    return isSelected ? workload.addresses : [];
  }
  if (!selects(spec.selection, workload, namespaceLabels)) return [];
  return workload.ports
    .filter((port) =>
      spec.ports.some((it) => it.name === port.name && it.protocol === port.protocol)
    )
    .flatMap(({ protocol, port }) =>
      workload.addresses.map((it) => new AddressPort(it, protocol, port))
    );
}

/** The members that one node contributes to a set. */
export function nodeMembersOf(spec: SetSpec, node: Node): readonly Member[] {
  const isSelected = spec.kind === "addresses" &&
    spec.nodes.some((it) => matchesLabels(it, node.labels));
  return isSelected ? node.addresses : [];
}

function formatSelection(selection: PodSelection): string {
  const where = selection.namespace ?? `[${formatSelector(selection.namespaceSelector)}]`;
  return `${where}/[${formatSelector(selection.podSelector)}]`;
}
