/**
 * The configuration of host-local as the reference plugin reads it (`subnet` or `ranges`, `routes`,
 * `resolvConf`, `dataDir`, requested addresses), plus `usePodCidr` and `usePodCidrIPv6` as a subnet,
 * which stand for the node's pod CIDR of that family.
 */

import { Address } from "../../lib/ip/address.ts";
import { Prefix } from "../../lib/ip/prefix.ts";
import { CniError } from "../protocol/error.ts";
import { type NetworkConfiguration, requireNoProblems } from "../protocol/configuration.ts";
import { Fields, isJsonObject } from "../protocol/fields.ts";
import { readRoutes, type ResultRoute } from "../protocol/result.ts";
import { isAtLeast } from "../protocol/version.ts";
import { completeRange, type IpamRange, type RangeSet, validateRangeSets } from "./range.ts";

/** Where reservations are, unless configured otherwise. */
const DATA_DIR_DEFAULT = "/var/lib/cni/networks";

/** What to allocate from, and what goes into the result with it. */
export interface HostLocalSettings {
  readonly folder: string;
  readonly sets: readonly RangeSet[];
  /** Addresses that must be given out; each has to lie in a set of its own. */
  readonly requested: readonly Address[];
  readonly routes: readonly ResultRoute[];
  /** Path of a resolv.conf to read name servers from. */
  readonly resolvConf: string | undefined;
}

/** Subnets that stand for a pod CIDR, by family. */
const POD_CIDR_KEYWORDS: Readonly<Record<string, 4 | 6>> = { usePodCidr: 4, usePodCidrIPv6: 6 };

/**
 * The folder of the network's reservations. DEL needs nothing else, so nothing else is read here.
 *
 * @throws {CniError} code 7 if `dataDir` is no absolute path
 */
export function reservationFolder({ json, name }: NetworkConfiguration): string {
  const dataDir = isJsonObject(json.ipam) ? json.ipam.dataDir : undefined;
  const folder = typeof dataDir === "string" && dataDir !== "" ? dataDir : DATA_DIR_DEFAULT;
  if (!folder.startsWith("/")) {
    throw new CniError("invalidConfiguration", `"ipam.dataDir" must be absolute: got "${folder}"`);
  }
  return `${folder.replace(/\/+$/, "")}/${name}`;
}

/** Whether a subnet stands for a pod CIDR, so that the node has to be asked first. */
export function needsPodCidrs({ json }: NetworkConfiguration): boolean {
  if (!isJsonObject(json.ipam)) return false;
  const { subnet, ranges } = json.ipam;
  const isKeyword = (value: unknown): boolean =>
    typeof value === "string" && Object.hasOwn(POD_CIDR_KEYWORDS, value);
  return isKeyword(subnet) ||
    Array.isArray(ranges) && ranges.flat().some((it) => isJsonObject(it) && isKeyword(it.subnet));
}

/** What the configuration does not say itself. */
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
    folder: reservationFolder(configuration),
    sets: lists.map((list) => list.filter((it) => it !== undefined)),
    requested: readRequested(fields, context.requested),
    routes: readRoutes(ipam),
    resolvConf: ipam.text("resolvConf"),
  };
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

/** Reads ranges; a range that makes no sense is a problem and `undefined`. */
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
    try {
      return completeRange({ subnet, rangeStart, rangeEnd, gateway });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#problems.push(error.message);
      return undefined;
    }
  }

  #subnet(text: string): Prefix | undefined {
    const family = Object.hasOwn(POD_CIDR_KEYWORDS, text) ? POD_CIDR_KEYWORDS[text] : undefined;
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

/** `CNI_ARGS` IP, `args.cni.ips` and `runtimeConfig.ips` add up. */
function readRequested(fields: Fields, argument: string | undefined): Address[] {
  const texts = [
    ...(argument === undefined ? [] : [argument]),
    ...(fields.object("args")?.object("cni")?.texts("ips") ?? []),
    ...(fields.object("runtimeConfig")?.texts("ips") ?? []),
  ];
  return texts.flatMap((text): Address[] => {
    const address = text.includes("/") ? Prefix.tryParse(text)?.address : Address.tryParse(text);
    if (address !== undefined) return [address];
    fields.problems.push(`requested IP "${text}" is no address`);
    return [];
  });
}
