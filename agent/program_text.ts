/**
 * The desired state as text and back: a JSON array a line, so that neither has to be done at once. It is
 * for this program alone, and for its very version: `program_file.ts` sees to that.
 */

import { Address } from "../lib/ip/address.ts";
import { AddressPort } from "../lib/model/address_port.ts";
import type {
  Desired,
  DesiredEndpoint,
  DesiredPolicy,
  DesiredProgram,
  DesiredSet,
  RangeSet,
} from "../lib/model/desired.ts";
import { MemberSet } from "../lib/model/member_set.ts";

/** A set as JSON has it: members in a list, numbers that JSON does not know as texts. */
type StoredSet =
  | { readonly kind: "addresses" | "addressPorts"; readonly id: string; readonly members: string[] }
  | (Omit<RangeSet, "ranges"> & { readonly ranges: readonly (readonly [string, string])[] });

/** An endpoint as JSON has it: addresses as texts, and nothing that is `undefined`. */
type StoredEndpoint = Partial<
  Omit<DesiredEndpoint, "addresses" | "attachedAddresses"> & {
    readonly addresses: readonly string[];
    readonly attachedAddresses: readonly string[];
  }
>;

type Line =
  | readonly ["endpoint", string, StoredEndpoint]
  | readonly ["program", DesiredProgram]
  | readonly ["policy", DesiredPolicy]
  | readonly ["set", StoredSet]
  | readonly ["hostAddresses", readonly string[]];

/** The lines, each with its end; conflicts, which are for people alone, are left out. */
export function* formatProgram(desired: Desired): Generator<string, void> {
  const format = (line: Line): string => `${JSON.stringify(line)}\n`;
  yield format(["hostAddresses", desired.hostAddresses.map(String)]);
  for (const [key, endpoint] of desired.endpoints) {
    const addresses = endpoint.addresses.map(String);
    const attachedAddresses = endpoint.attachedAddresses.map(String);
    yield format(["endpoint", key, { ...endpoint, addresses, attachedAddresses }]);
  }
  for (const program of desired.programs.values()) yield format(["program", program]);
  for (const policy of desired.policies.values()) yield format(["policy", policy]);
  for (const set of desired.sets.values()) yield format(["set", toStored(set)]);
}

/** Reads what `formatProgram()` wrote. @throws {SyntaxError | TypeError | RangeError} if it is not that */
export function parseProgram(text: string): Desired {
  const endpoints = new Map<string, DesiredEndpoint>();
  const programs = new Map<string, DesiredProgram>();
  const policies = new Map<string, DesiredPolicy>();
  const sets = new Map<string, DesiredSet>();
  let hostAddresses: readonly Address[] = [];
  for (const row of text.split("\n")) {
    if (row === "") continue;
    const line = JSON.parse(row) as Line;
    if (line[0] === "endpoint") endpoints.set(line[1], toEndpoint(line[2]));
    else if (line[0] === "program") programs.set(line[1].id, line[1]);
    else if (line[0] === "policy") policies.set(line[1].id, line[1]);
    else if (line[0] === "set") sets.set(line[1].id, fromStored(line[1]));
    else hostAddresses = line[1].map(Address.parse);
  }
  return { endpoints, programs, policies, sets, hostAddresses, conflicts: new Map() };
}

function toEndpoint(stored: StoredEndpoint): DesiredEndpoint {
  return {
    interfaceName: stored.interfaceName,
    workload: stored.workload ?? "",
    uid: stored.uid ?? "",
    addresses: (stored.addresses ?? []).map(Address.parse),
    attachedAddresses: (stored.attachedAddresses ?? []).map(Address.parse),
    ingress: stored.ingress,
    egress: stored.egress,
    hostEgress: stored.hostEgress,
  };
}

function toStored(set: DesiredSet): StoredSet {
  if (set.kind === "ranges") {
    const { kind, id, family } = set;
    const ranges = set.ranges.map(({ first, last }) => [String(first), String(last)] as const);
    return { kind, id, family, ranges };
  }
  return { kind: set.kind, id: set.id, members: [...set.members.members()].map(String) };
}

function fromStored(stored: StoredSet): DesiredSet {
  if (stored.kind === "ranges") {
    const ranges = stored.ranges.map(([first, last]) => ({
      first: BigInt(first),
      last: BigInt(last),
    }));
    return { ...stored, ranges };
  }
  const members = new MemberSet();
  const parse = stored.kind === "addresses" ? Address.parse : AddressPort.parse;
  for (const member of stored.members) members.add(parse(member));
  return { kind: stored.kind, id: stored.id, members };
}
