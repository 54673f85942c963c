/**
 * Host-local, built in: one address from every set of ranges, round robin, under the lock of the
 * network's folder from the first look to the last write.
 */

import type { Address } from "../../lib/ip/address.ts";
import { Prefix } from "../../lib/ip/prefix.ts";
import type { Call } from "../call.ts";
import type { ValidAttachment } from "../protocol/configuration.ts";
import { CniError } from "../protocol/error.ts";
import type { ResultAddress, ResultDns } from "../protocol/result.ts";
import {
  type HostLocalSettings,
  needsPodCidrs,
  parseHostLocal,
  reservationFolder,
} from "./configuration.ts";
import type { Ipam, IpamContext, Lease } from "./ipam.ts";
import {
  type Candidate,
  candidates,
  formatRangeSet,
  rangeContains,
  type RangeSet,
} from "./range.ts";
import { parseResolvConf } from "./resolv_conf.ts";
import { ReservationStore } from "./store.ts";

/** The interface of a container that an address is for. */
export interface Holder {
  readonly containerId: string;
  readonly ifname: string;
}

export class HostLocalIpam implements Ipam {
  async allocate(call: Call, context: IpamContext): Promise<Lease> {
    const settings = await settingsOf(call, context);
    const dns = settings.resolvConf === undefined ? {} : await readDns(settings.resolvConf);
    const ips = allocateAddresses(settings, call.environment);
    return {
      result: { interfaces: [], ips, routes: settings.routes, dns },
      release: () => Promise.resolve(releaseAddresses(settings.folder, ips)),
    };
  }

  release({ configuration, environment }: Call): Promise<void> {
    releaseOf(reservationFolder(configuration), environment);
    return Promise.resolve();
  }

  check({ configuration, environment }: Call): Promise<void> {
    requireReservation(reservationFolder(configuration), environment);
    return Promise.resolve();
  }

  collect({ configuration }: Call, valid: readonly ValidAttachment[]): Promise<number> {
    return Promise.resolve(releaseInvalid(reservationFolder(configuration), valid));
  }

  async status(call: Call, context: IpamContext): Promise<void> {
    requireFreeAddress(await settingsOf(call, context));
  }
}

async function settingsOf(
  { configuration }: Call,
  context: IpamContext,
): Promise<HostLocalSettings> {
  const podCidrs = needsPodCidrs(configuration) ? await context.podCidrs() : [];
  return parseHostLocal(configuration, { podCidrs, requested: context.requested });
}

async function readDns(path: string): Promise<ResultDns> {
  try {
    return parseResolvConf(await Deno.readTextFile(path));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CniError("io", `Cannot read "ipam.resolvConf": ${reason}`, { cause: error });
  }
}

/**
 * Takes one address from every set.
 *
 * @throws {CniError} if one of them has none, the holder has one already, or a requested address
 * cannot be had; nothing is kept then
 */
export function allocateAddresses(settings: HostLocalSettings, holder: Holder): ResultAddress[] {
  using store = ReservationStore.open(settings.folder);
  const taken: Candidate[] = [];
  const requested = [...settings.requested];
  try {
    refuseDuplicate(store, settings.sets, holder);
    settings.sets.forEach((set, index) => {
      const at = requested.findIndex((it) => set.some((range) => rangeContains(range, it)));
      const candidate = at < 0
        ? findFree(store, set, index)
        : findRequested(store, set, requested.splice(at, 1)[0]);
      const { containerId, ifname } = holder;
      store.reserve({ address: candidate.address, containerId, ifname }, index);
      taken.push(candidate);
    });
    if (requested.length > 0) {
      throw new CniError(
        "addressUnavailable",
        `Requested IP ${requested.join(", ")} is in no range that is left`,
      );
    }
  } catch (error) {
    for (const { address } of taken) store.release(address);
    throw error;
  }
  return taken.map(({ address, range }) => ({
    address: new Prefix(address, range.subnet.length),
    gateway: range.gateway,
  }));
}

function refuseDuplicate(
  store: ReservationStore,
  sets: readonly RangeSet[],
  { containerId, ifname }: Holder,
): void {
  const held = store.of(containerId, ifname).find(({ address }) =>
    sets.some((set) => set.some((range) => rangeContains(range, address)))
  );
  if (held === undefined) return;
  throw new CniError(
    "addressUnavailable",
    `${held.address} has been allocated to ${containerId}, duplicate allocation is not allowed`,
    { details: `A second ADD of interface ${ifname}: DEL has to come before it` },
  );
}

function findFree(store: ReservationStore, set: RangeSet, index: number): Candidate {
  for (const candidate of candidates(set, store.lastReserved(index))) {
    if (store.isFree(candidate.address)) return candidate;
  }
  throw new CniError(
    "addressUnavailable",
    `failed to allocate for range ${index}: no IP addresses available in range set: ${
      formatRangeSet(set)
    }`,
  );
}

function findRequested(
  store: ReservationStore,
  set: RangeSet,
  address: Address | undefined,
): Candidate {
  const range = address && set.find((it) => rangeContains(it, address));
  if (address === undefined || range === undefined) {
    throw new CniError("addressUnavailable", `Requested IP ${address} is in no range`);
  }
  if (range.gateway.value === address.value) {
    throw new CniError("addressUnavailable", `Requested IP ${address} is the subnet's gateway`);
  }
  if (!store.isFree(address)) {
    throw new CniError(
      "addressUnavailable",
      `Requested IP ${address} is not available in range set ${formatRangeSet(set)}`,
    );
  }
  return { address, range };
}

/** Gives back these addresses and no others. */
function releaseAddresses(folder: string, ips: readonly ResultAddress[]): void {
  using store = ReservationStore.openExisting(folder);
  for (const { address } of ips) store?.release(address.address);
}

/** Gives back whatever the holder has, in whatever range it lies. */
export function releaseOf(folder: string, { containerId, ifname }: Holder): void {
  using store = ReservationStore.openExisting(folder);
  for (const { address } of store?.of(containerId, ifname) ?? []) store?.release(address);
}

/** @throws {CniError} if the holder has no address */
function requireReservation(folder: string, { containerId, ifname }: Holder): void {
  using store = ReservationStore.openExisting(folder);
  if ((store?.of(containerId, ifname) ?? []).length > 0) return;
  throw new CniError(
    "checkFailed",
    `No address is reserved for interface ${ifname} of container ${containerId}`,
  );
}

/** Gives back what no valid attachment holds; how many addresses that were. */
export function releaseInvalid(folder: string, valid: readonly ValidAttachment[]): number {
  using store = ReservationStore.openExisting(folder);
  const containers = new Set(valid.map((it) => it.containerId));
  const attachments = new Set(valid.map((it) => `${it.containerId}/${it.ifname}`));
  const isValid = (containerId: string, ifname: string | undefined): boolean =>
    ifname === undefined
      ? containers.has(containerId)
      : attachments.has(`${containerId}/${ifname}`);
  const stale = [...store?.reservations ?? []].filter((it) => !isValid(it.containerId, it.ifname));
  for (const { address } of stale) store?.release(address);
  return stale.length;
}

/** @throws {CniError} code 50 if a set has no free address */
function requireFreeAddress({ folder, sets }: HostLocalSettings): void {
  using store = ReservationStore.openExisting(folder);
  for (const set of sets) {
    let free = false;
    for (const { address } of candidates(set, undefined)) {
      free = store?.isFree(address) ?? true;
      if (free) break;
    }
    if (free) continue;
    throw new CniError("unavailable", `No IP address is free in ${formatRangeSet(set)}`);
  }
}
