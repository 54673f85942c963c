/**
 * The configuration of host-local as the reference plugin reads it, plus what it does not know and passes
 * over (`usePodCidr`, `exclude`, `bootIdFile`). What each key says: `keys.ts`.
 */

import { Address } from "../../lib/ip/address.ts";
import { Prefix } from "../../lib/ip/prefix.ts";
import { CniError } from "../protocol/error.ts";
import { type NetworkConfiguration, requireNoProblems } from "../protocol/configuration.ts";
import { Fields, isJsonObject } from "../protocol/fields.ts";
import { readRoutes, type ResultRoute } from "../protocol/result.ts";
import { isAtLeast } from "../protocol/version.ts";
import { DATA_DIR_DEFAULT } from "./keys.ts";
import { completeRange, type IpamRange, type RangeSet, validateRangeSets } from "./range.ts";

/** The ranges to allocate from, and the routes and DNS of the result. */
export interface HostLocalSettings {
  readonly sets: readonly RangeSet[];
  /** Addresses that must be given out; each has to lie in a set of its own. */
  readonly requested: readonly Address[];
  readonly routes: readonly ResultRoute[];
  /** Path of a resolv.conf to read name servers from. */
  readonly resolvConf: string | undefined;
}

/** Subnets that stand for a pod CIDR, by family. */
const POD_CIDR_KEYWORDS: Readonly<Record<string, 4 | 6>> = { usePodCidr: 4, usePodCidrIPv6: 6 };

/** Where the network's reservations are, and how to know that they are of this boot. */
export interface ReservationPlace {
  readonly folder: string;
  /** `undefined` = the kernel's. */
  readonly bootIdFile: string | undefined;
}

/**
 * Reads where reservations are. DEL needs nothing else, so nothing else is read here.
 *
 * @throws {CniError} code 7 if `dataDir` or `bootIdFile` is no absolute path
 */
export function parseReservationPlace({ json, name }: NetworkConfiguration): ReservationPlace {
  const { dataDir, bootIdFile } = isJsonObject(json.ipam) ? json.ipam : {};
  const folder = absolutePath("dataDir", dataDir) ?? DATA_DIR_DEFAULT;
  return {
    folder: `${folder.replace(/\/+$/, "")}/${name}`,
    bootIdFile: absolutePath("bootIdFile", bootIdFile),
  };
}

function absolutePath(key: string, value: unknown): string | undefined {
  if (typeof value !== "string" || value === "") return undefined;
  if (value.startsWith("/")) return value;
  throw new CniError("invalidConfiguration", `"ipam.${key}" must be absolute: got "${value}"`);
}

/** Whether a subnet is `usePodCidr…`, so that the plugin must ask for the node's pod CIDRs first. */
export function needsPodCidrs({ json }: NetworkConfiguration): boolean {
  if (!isJsonObject(json.ipam)) return false;
  const { subnet, ranges } = json.ipam;
  const isKeyword = (value: unknown): boolean =>
    typeof value === "string" && Object.hasOwn(POD_CIDR_KEYWORDS, value);
  return isKeyword(subnet) ||
    Array.isArray(ranges) && ranges.flat().some((it) => isJsonObject(it) && isKeyword(it.subnet));
}

/** Inputs from outside of the configuration. */
export interface HostLocalContext {
  readonly podCidrs: readonly Prefix[];
  /** `IP` of `CNI_ARGS`. */
  readonly requested: string | undefined;
}

/**
 * Parses and validates the configuration.
 *
 * @throws {CniError} code 7, listing what is wrong
 */
export function parseHostLocal(
  configuration: NetworkConfiguration,
  context: HostLocalContext,
): HostLocalSettings {
  const { json, cniVersion } = configuration;
  const fields = new Fields(json);
  const ipam = fields.object("ipam") ?? new Fields({}, "ipam", fields.problems);
  const runtime = fields.object("runtimeConfig");
  const reader = new RangeReader(context.podCidrs, fields.problems);
  const own = ipam.text("subnet") === undefined ? [] : [[reader.read(ipam)]];
  const lists = [
    ...(runtime?.objectLists("ipRanges") ?? []).map((list) => list.map((it) => reader.read(it))),
    ...own,
    ...(ipam.objectLists("ranges") ?? []).map((list) => list.map((it) => reader.read(it))),
  ];
  const settings: HostLocalSettings = {
    sets: lists.map((list) => list.filter((it) => it !== undefined)),
    requested: readRequested(fields, context.requested),
    routes: readRoutes(ipam),
    resolvConf: ipam.text("resolvConf"),
  };
  for (const key of ["dataDir", "bootIdFile"]) ipam.text(key); // read elsewhere, and leniently
  requireNoProblems(fields.problems);
  validateSets(settings.sets, !isAtLeast(cniVersion, "0.3.0"));
  return settings;
}

function validateSets(sets: readonly RangeSet[], old: boolean): void {
  if (sets.length === 0) {
    throw new CniError("invalidConfiguration", `No IP ranges specified: give "ipam.ranges"`);
  }
  try {
    validateRangeSets(sets);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new CniError("invalidConfiguration", error.message, { cause: error });
  }
  const sizeOf = (family: number): number =>
    sets.filter((it) => it[0]?.start.family === family).length;
  if (old && (sizeOf(4) > 1 || sizeOf(6) > 1)) {
    throw new CniError(
      "invalidConfiguration",
      "A cniVersion before 0.3.0 takes one range set of each family",
    );
  }
}

/** Reads ranges; an invalid one is noted as a problem and is `undefined`. */
class RangeReader {
  readonly #podCidrs: readonly Prefix[];
  readonly #problems: string[];

  constructor(podCidrs: readonly Prefix[], problems: string[]) {
    this.#podCidrs = podCidrs;
    this.#problems = problems;
  }

  read(fields: Fields): IpamRange | undefined {
    const subnet = fields.required(
      "subnet",
      "an IP prefix or usePodCidr",
      (text) => this.#subnet(text),
    );
    const rangeStart = fields.parsed("rangeStart", "an address", Address.tryParse);
    const rangeEnd = fields.parsed("rangeEnd", "an address", Address.tryParse);
    const gateway = fields.parsed("gateway", "an address", Address.tryParse);
    if (subnet === undefined) return undefined;
    const exclude = this.#excluded(fields, subnet);
    try {
      return completeRange({ subnet, rangeStart, rangeEnd, gateway, exclude });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#problems.push(error.message);
      return undefined;
    }
  }

  /** Reads `exclude`; what is no address or CIDR, or of another subnet than was written, is a problem. */
  #excluded(fields: Fields, subnet: Prefix): Prefix[] {
    const isPodCidr = familyOf(fields.text("subnet") ?? "") !== undefined;
    const excluded: Prefix[] = [];
    for (const text of fields.texts("exclude") ?? []) {
      const prefix = tryParseEither(text);
      const isInside = prefix !== undefined && prefix.length >= subnet.length &&
        subnet.contains(prefix.address);
      if (isInside) excluded.push(prefix);
      else if (prefix === undefined || !isPodCidr) {
        const wanted = prefix === undefined ? "no address or CIDR" : `not in ${subnet}`;
        this.#problems.push(`"${fields.nameOf("exclude")}": "${text}" is ${wanted}`);
      }
    }
    return excluded;
  }

  #subnet(text: string): Prefix | undefined {
    const family = familyOf(text);
    if (family === undefined) return Prefix.tryParse(text);
    const cidr = this.#podCidrs.find((it) => it.address.family === family);
    if (cidr === undefined) {
      const known = this.#podCidrs.join(", ") || "none";
      throw new CniError(
        "tryAgainLater",
        `The node has no IPv${family} pod CIDR for "${text}": its spec.podCIDRs are ${known}`,
        { details: "kube-controller-manager assigns them with --allocate-node-cidrs=true" },
      );
    }
    return cidr.network;
  }
}

/** The family of the pod CIDR that `subnet` stands for. */
function familyOf(subnet: string): 4 | 6 | undefined {
  return Object.hasOwn(POD_CIDR_KEYWORDS, subnet) ? POD_CIDR_KEYWORDS[subnet] : undefined;
}

/** An address alone, or a CIDR. */
function tryParseEither(text: string): Prefix | undefined {
  if (text.includes("/")) return Prefix.tryParse(text);
  const address = Address.tryParse(text);
  return address && Prefix.host(address);
}

/** `CNI_ARGS` IP, `args.cni.ips` and `runtimeConfig.ips` add up; one may be asked for several times. */
function readRequested(fields: Fields, argument: string | undefined): Address[] {
  const texts = [
    ...(argument === undefined ? [] : [argument]),
    ...(fields.object("args")?.object("cni")?.texts("ips") ?? []),
    ...(fields.object("runtimeConfig")?.texts("ips") ?? []),
  ];
  const addresses = new Map<string, Address>();
  for (const text of texts) {
    const address = tryParseEither(text)?.address;
    if (address !== undefined) addresses.set(String(address), address);
    else fields.problems.push(`requested IP "${text}" is no address`);
  }
  return [...addresses.values()];
}
