/** Node, `v1`. */

import type { Address } from "../../ip/address.ts";
import type { Prefix } from "../../ip/prefix.ts";
import type { Node } from "../../model/node.ts";
import type { Decoded, ResourceKind } from "../kind.ts";
import {
  type Fields,
  Problems,
  readLegacyAddress,
  readLegacyCidr,
  readList,
  readMetadata,
  readObject,
} from "./fields.ts";

/** All nodes. */
export const nodeKind: ResourceKind<Node> = {
  name: "nodes",
  kind: "Node",
  path: "/api/v1/nodes",
  decode: decodeNode,
};

/** Decodes a Node. */
export function decodeNode(object: unknown): Decoded<Node> {
  const problems = new Problems();
  const fields = readObject(object, "object", problems);
  const { name, labels } = readMetadata(fields, problems);
  if (name === "") {
    problems.add("metadata.name", name);
    return { value: undefined, problems: problems.all };
  }
  const spec = readObject(fields.spec, "spec", problems);
  const status = readObject(fields.status, "status", problems);
  const value = {
    name,
    labels,
    podCidrs: readPodCidrs(spec, problems),
    addresses: readAddresses(status, problems),
  };
  const aliases = readAliases(spec, status).filter((it) => it !== name);
  return {
    value: aliases.length === 0 ? value : { ...value, aliases },
    problems: problems.all,
  };
}

/**
 * Names of a machine that clouds give beside the Node's: addresses of the types Hostname, InternalDNS and
 * ExternalDNS, and the end of `aws:///zone/i-0abc` (`spec.providerID`). They only help to find a Node, so
 * a strange value is no problem.
 */
function readAliases(spec: Fields, status: Fields): readonly string[] {
  const ignored = new Problems();
  const list = readList(status.addresses, "status.addresses", ignored) ?? [];
  const names = list.flatMap((it) => {
    const { type, address } = readObject(it, "status.addresses[]", ignored);
    const isName = type === "Hostname" || type === "InternalDNS" || type === "ExternalDNS";
    return isName && typeof address === "string" ? [address] : [];
  });
  const { providerID } = spec;
  if (typeof providerID === "string") names.push(providerID.split("/").at(-1) ?? "");
  return [...new Set(names.filter((it) => it !== "").map((it) => it.toLowerCase()))];
}

/** `spec.podCIDRs`, or `spec.podCIDR` where only that is set. */
function readPodCidrs(spec: Fields, problems: Problems): readonly Prefix[] {
  const list = [...readList(spec.podCIDRs, "spec.podCIDRs", problems) ?? []];
  if (list.length === 0 && spec.podCIDR !== undefined && spec.podCIDR !== "") {
    list.push(spec.podCIDR);
  }
  return list.flatMap((text) => {
    return readLegacyCidr(text, "spec.podCIDRs", problems) ?? [];
  });
}

/** All IP addresses, also in entries for host names; names are skipped, since no packet carries one. */
function readAddresses(status: Fields, problems: Problems): readonly Address[] {
  const list = readList(status.addresses, "status.addresses", problems) ?? [];
  return list.flatMap((it) => {
    const { type, address } = readObject(it, "status.addresses[]", problems);
    const parsed = readLegacyAddress(address);
    if (parsed === undefined && (type === "InternalIP" || type === "ExternalIP")) {
      problems.add("status.addresses[].address", address, "an IP address is expected");
    }
    return parsed ?? [];
  });
}
