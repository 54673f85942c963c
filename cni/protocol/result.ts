/**
 * The result of ADD: one form inside, that of version 1.1.0, and its conversion from and to the forms
 * of all the others. CNI specification 1.1, section 5, "ADD Success"; the older forms are those of the
 * specifications of their versions.
 */

import { Address } from "../../lib/ip/address.ts";
import { Prefix } from "../../lib/ip/prefix.ts";
import { CniError } from "./error.ts";
import { Fields, isJsonObject } from "./fields.ts";
import { type CniVersion, isAtLeast } from "./version.ts";

/** An interface; those without `sandbox` are the host's. */
export interface ResultInterface {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  readonly sandbox?: string;
  readonly socketPath?: string;
  readonly pciID?: string;
}

/** An address with its prefix length; `interface` is an index into the interfaces. */
export interface ResultAddress {
  readonly address: Prefix;
  readonly gateway?: Address;
  readonly interface?: number;
}

/** A route inside the container. */
export interface ResultRoute {
  readonly dst: Prefix;
  readonly gw?: Address;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
}

/** Name resolution, as resolv.conf has it. */
export interface ResultDns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

/** What ADD gives back. */
export interface CniResult {
  readonly interfaces: readonly ResultInterface[];
  readonly ips: readonly ResultAddress[];
  readonly routes: readonly ResultRoute[];
  readonly dns: ResultDns;
}

/** The result of a plugin that did nothing. */
export const EMPTY_RESULT: CniResult = { interfaces: [], ips: [], routes: [], dns: {} };

/** Formats `result` as the configuration's version has it. */
export function formatResult(result: CniResult, version: CniVersion): string {
  return JSON.stringify(encodeResult(result, version), undefined, 4);
}

/**
 * The JSON value of `result` in `version`.
 *
 * @throws {CniError} code 7 if an old version has no place for a result without addresses
 */
export function encodeResult(result: CniResult, version: CniVersion): object {
  if (!isAtLeast(version, "0.3.0")) return encodeOldResult(result, version);
  const newest = isAtLeast(version, "1.1.0");
  const interfaces = result.interfaces.map(({ name, mac, mtu, sandbox, socketPath, pciID }) => ({
    name,
    mac,
    ...(newest ? { mtu, socketPath, pciID } : {}),
    sandbox,
  }));
  const ips = result.ips.map((it) => ({
    version: isAtLeast(version, "1.0.0") ? undefined : String(it.address.address.family),
    interface: it.interface,
    address: it.address,
    gateway: it.gateway,
  }));
  const routes = result.routes.map(({ dst, gw, ...more }) => ({
    dst,
    gw,
    ...(newest ? more : {}),
  }));
  const dnsIsSaid = Object.keys(result.dns).length > 0 || !isAtLeast(version, "1.0.0");
  return {
    cniVersion: version,
    ...(interfaces.length > 0 ? { interfaces } : {}),
    ...(ips.length > 0 ? { ips } : {}),
    ...(routes.length > 0 ? { routes } : {}),
    ...(dnsIsSaid ? { dns: result.dns } : {}),
  };
}

/** 0.1.0 and 0.2.0: the first address of each family, with the routes of that family. */
function encodeOldResult(result: CniResult, version: CniVersion): object {
  const configOf = (family: number): object | undefined => {
    const first = result.ips.find((it) => it.address.address.family === family);
    if (first === undefined) return undefined;
    const routes = result.routes
      .filter((it) => it.dst.address.family === family)
      .map(({ dst, gw }) => ({ dst, gw }));
    return {
      ip: first.address,
      gateway: first.gateway,
      ...(routes.length > 0 ? { routes } : {}),
    };
  };
  const ip4 = configOf(4);
  const ip6 = configOf(6);
  if (ip4 === undefined && ip6 === undefined) {
    throw new CniError(
      "invalidConfiguration",
      `cniVersion ${version} has no form for a result without an address`,
    );
  }
  return { cniVersion: version, ip4, ip6, dns: result.dns };
}

/**
 * Parses a result: `prevResult`, or what a delegate printed. It has the form of `version`, unless it
 * shows by its fields that it has the other one: a runtime may keep results of an older configuration.
 *
 * @param what how errors name it: `prevResult`
 * @throws {CniError} code 6, listing every field that is wrong
 */
export function parseResult(value: unknown, version: CniVersion, what: string): CniResult {
  if (!isJsonObject(value)) {
    throw new CniError("decode", `Cannot parse ${what}: it is no JSON object`);
  }
  const fields = new Fields(value, what);
  const isOld = "ip4" in value || "ip6" in value ||
    !isAtLeast(version, "0.3.0") && !("ips" in value || "interfaces" in value);
  const result = isOld ? readOldResult(fields) : readNewResult(fields);
  if (fields.problems.length > 0) {
    throw new CniError("decode", `Cannot parse ${what}: ${fields.problems.join("; ")}`);
  }
  return result;
}

const CIDR_TEXT = "an address with prefix length";

function readNewResult(fields: Fields): CniResult {
  const interfaces = (fields.objects("interfaces") ?? []).map((it) =>
    defined({
      name: it.text("name") ?? "",
      mac: it.text("mac"),
      mtu: it.integer("mtu"),
      sandbox: it.text("sandbox"),
      socketPath: it.text("socketPath"),
      pciID: it.text("pciID"),
    })
  );
  const ips = (fields.objects("ips") ?? []).flatMap((it): ResultAddress[] => {
    const address = it.required("address", CIDR_TEXT, Prefix.tryParse);
    const index = it.integer("interface", -1);
    const rest = defined({
      gateway: it.parsed("gateway", "an address", Address.tryParse),
      interface: index === -1 ? undefined : index,
    });
    return address === undefined ? [] : [{ address, ...rest }];
  });
  return { interfaces, ips, routes: readRoutes(fields), dns: readDns(fields) };
}

function readOldResult(fields: Fields): CniResult {
  const ips: ResultAddress[] = [];
  const routes: ResultRoute[] = [];
  for (const config of [fields.object("ip4"), fields.object("ip6")]) {
    if (config === undefined) continue;
    const address = config.required("ip", CIDR_TEXT, Prefix.tryParse);
    const gateway = config.parsed("gateway", "an address", Address.tryParse);
    if (address !== undefined) ips.push({ address, ...defined({ gateway }) });
    routes.push(...readRoutes(config));
  }
  return { interfaces: [], ips, routes, dns: readDns(fields) };
}

/** Reads `routes` of a result or of a configuration. */
export function readRoutes(fields: Fields): ResultRoute[] {
  return (fields.objects("routes") ?? []).flatMap((it): ResultRoute[] => {
    const dst = it.required("dst", "an IP prefix", Prefix.tryParse);
    const rest = defined({
      gw: it.parsed("gw", "an address", Address.tryParse),
      mtu: it.integer("mtu"),
      advmss: it.integer("advmss"),
      priority: it.integer("priority"),
      table: it.integer("table"),
      scope: it.integer("scope"),
    });
    return dst === undefined ? [] : [{ dst, ...rest }];
  });
}

/** Reads `dns` of a result or of a configuration. */
export function readDns(fields: Fields): ResultDns {
  const dns = fields.object("dns");
  if (dns === undefined) return {};
  return defined({
    nameservers: dns.texts("nameservers"),
    domain: dns.text("domain"),
    search: dns.texts("search"),
    options: dns.texts("options"),
  });
}

/** An object without its undefined fields. */
type Defined<T> =
  & { [K in keyof T as undefined extends T[K] ? never : K]: T[K] }
  & { [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined> };

function defined<T extends object>(object: T): Defined<T> {
  return Object.fromEntries(
    Object.entries(object).filter(([, value]) => value !== undefined),
  ) as Defined<T>;
}

/**
 * `result` behind `previous`, as a chained plugin hands it on: what was there first keeps its place, so
 * the indexes of our interfaces move.
 */
export function appendResult(previous: CniResult, result: CniResult): CniResult {
  const offset = previous.interfaces.length;
  const ips = result.ips.map((it) =>
    it.interface === undefined ? it : { ...it, interface: it.interface + offset }
  );
  return {
    interfaces: [...previous.interfaces, ...result.interfaces],
    ips: [...previous.ips, ...ips],
    routes: [...previous.routes, ...result.routes],
    dns: Object.keys(result.dns).length > 0 ? result.dns : previous.dns,
  };
}
