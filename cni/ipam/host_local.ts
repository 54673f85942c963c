/**
 * Host-local, built in: one address from every set of ranges, round robin, under the lock of the
 * network's folder from the first look to the last write. An address that was given back rests before
 * it is used again; where there are only such, the one that has rested longest goes first.
 */

import { messageOf } from "../../lib/base/error.ts";
import { Address } from "../../lib/ip/address.ts";
import { Prefix } from "../../lib/ip/prefix.ts";
import type { Call } from "../call.ts";
import type { ValidAttachment } from "../protocol/configuration.ts";
import { CniError } from "../protocol/error.ts";
import type { ResultAddress, ResultDns } from "../protocol/result.ts";
import { readBoot } from "./boot.ts";
import {
  type HostLocalSettings,
  needsPodCidrs,
  parseHostLocal,
  parseReservationPlace,
} from "./configuration.ts";
import type { Ipam, IpamContext, Lease } from "./ipam.ts";
import {
  type Candidate,
  candidates,
  formatRangeSet,
  isExcluded,
  rangeContains,
  type RangeSet,
} from "./range.ts";
import type { Holder, Reservation } from "./reservation.ts";
import { parseResolvConf } from "./resolv_conf.ts";
import { ReservationStore, type StoreOptions } from "./store.ts";

export class HostLocalIpam implements Ipam {
  async allocate(call: Call, context: IpamContext): Promise<Lease> {
    const settings = await settingsOf(call, context);
    const dns = settings.resolvConf === undefined ? {} : await readDns(settings.resolvConf);
    const holder = holderOf(call);
    const ips = withStore(call, (it) => allocateAddresses(it, settings, holder));
    const release = (): void =>
      withExistingStore(call, (store) => {
        for (const { address } of ips) store?.release(String(address.address), holder);
      });
    return {
      result: { interfaces: [], ips, routes: settings.routes, dns },
      release: () => Promise.resolve(release()),
    };
  }

  release(call: Call): Promise<void> {
    withExistingStore(call, (store) => store && releaseOf(store, holderOf(call)));
    return Promise.resolve();
  }

  check(call: Call, addresses: readonly Address[]): Promise<void> {
    withExistingStore(call, (store) => requireReservations(store, holderOf(call), addresses));
    return Promise.resolve();
  }

  listStale(call: Call, valid: readonly ValidAttachment[]): readonly ValidAttachment[] {
    const stale = withExistingStore(
      call,
      (store) => store === undefined ? [] : listInvalid(store, valid),
    );
    return stale.flatMap(({ holder: { containerId, ifname } = {} }) =>
      containerId === undefined || ifname === undefined ? [] : [{ containerId, ifname }]
    );
  }

  collect(call: Call, valid: readonly ValidAttachment[]): Promise<void> {
    const { freed, left, reason } = withExistingStore(
      call,
      (store) => store === undefined ? { freed: 0, left: [] } : releaseInvalid(store, valid),
    );
    if (freed > 0) call.log.info("stale addresses freed", { addresses: freed });
    if (left.length === 0) return Promise.resolve();
    const { folder } = parseReservationPlace(call.configuration);
    throw new CniError(
      "io",
      `Stale addresses could not be freed: ${left.join(", ")} in ${folder}`,
      {
        details: reason ??
          "They are not given out until the files or folders of these names are removed",
      },
    );
  }

  async status(call: Call, context: IpamContext): Promise<void> {
    const { sets } = await settingsOf(call, context);
    withStore(call, (store) => {
      requireFreeAddress(store, sets);
      store.requireRoom(sets.length);
    });
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
    const reason = messageOf(error);
    throw new CniError("io", `Cannot read "ipam.resolvConf": ${reason}`, { cause: error });
  }
}

function holderOf({ environment }: Call): Holder {
  const { containerId, ifname } = environment;
  return { containerId, ifname };
}

/** Runs `f` with the network's reservations open and locked; creates their folder if it is missing. */
function withStore<T>(call: Call, f: (store: ReservationStore) => T): T {
  return explained(call, (folder, options) => {
    using store = ReservationStore.open(folder, options);
    report(call, store);
    return f(store);
  });
}

/** The same without creating the folder: `undefined` if there is none. */
function withExistingStore<T>(call: Call, f: (store: ReservationStore | undefined) => T): T {
  return explained(call, (folder, options) => {
    using store = ReservationStore.openExisting(folder, options);
    report(call, store);
    return f(store);
  });
}

/** @throws {CniError} code 5 if the file system refuses */
function explained<T>(
  { configuration }: Call,
  f: (folder: string, options: StoreOptions) => T,
): T {
  const { folder, bootIdFile } = parseReservationPlace(configuration);
  try {
    return f(folder, { boot: readBoot(bootIdFile), nowMs: Date.now });
  } catch (error) {
    if (!(error instanceof Error) || !isFileError(error)) throw error;
    throw new CniError("io", `Cannot keep reservations in ${folder}: ${error.message}`, {
      details: `"ipam.dataDir" must be a folder that can be written to, with room on its disk`,
      cause: error,
    });
  }
}

/** Whether the file system refused; the runtime itself does so below /proc, /sys and /dev. */
function isFileError(error: Error): boolean {
  return !(error instanceof CniError) &&
    ("code" in error || error instanceof Deno.errors.NotCapable);
}

function report({ log }: Call, store: ReservationStore | undefined): void {
  const addresses = store?.reclaimed ?? [];
  if (addresses.length > 0) log.info("unused addresses freed", { addresses });
}

/**
 * Takes one address from every set.
 *
 * @throws {CniError} if one of them has none, the holder has one already, or a requested address
 * cannot be had; nothing is kept then
 * @throws {Error} if the file system does not let us
 */
export function allocateAddresses(
  store: ReservationStore,
  { sets, requested: wanted }: Pick<HostLocalSettings, "sets" | "requested">,
  holder: Holder,
): ResultAddress[] {
  const taken: Candidate[] = [];
  const requested = [...wanted];
  try {
    refuseDuplicate(store, sets, holder);
    sets.forEach((set, index) => {
      const at = requested.findIndex((it) => set.some((range) => rangeContains(range, it)));
      const [address] = at < 0 ? [] : requested.splice(at, 1);
      taken.push(
        address === undefined
          ? reserveFree(store, set, index, holder)
          : reserveRequested(store, set, index, holder, address),
      );
    });
    if (requested.length > 0) {
      throw new CniError(
        "addressUnavailable",
        `Requested IP ${requested.join(", ")} is in no range that is left`,
      );
    }
  } catch (error) {
    for (const { address } of taken) store.release(String(address), holder);
    throw error;
  }
  // The range's gateway is not in the result: the pods' gateway is another one.
  return taken.map(({ address, range }) => ({
    address: new Prefix(address, range.subnet.length),
  }));
}

function refuseDuplicate(
  store: ReservationStore,
  sets: readonly RangeSet[],
  holder: Holder,
): void {
  const held = store.of(holder).filter((it) => isHeldBy(store, it, holder))
    .map(Address.tryParse).filter((it) => it !== undefined);
  sets.forEach((set, index) => {
    const address = held.find((it) => set.some((range) => rangeContains(range, it)));
    if (address === undefined) return;
    throw new CniError(
      "addressUnavailable",
      `failed to allocate for range ${index}: ${address} has been allocated to ` +
        `${holder.containerId}, duplicate allocation is not allowed`,
      { details: `A second ADD of interface ${holder.ifname}: DEL has to come before it` },
    );
  });
}

/** Reserves the next free address; if all free ones rest, the one that was freed first. */
function reserveFree(
  store: ReservationStore,
  set: RangeSet,
  index: number,
  holder: Holder,
): Candidate {
  const resting: { readonly candidate: Candidate; readonly sinceMs: number }[] = [];
  for (const candidate of candidates(set, lastReserved(store, index))) {
    const address = String(candidate.address);
    if (!store.isFree(address)) continue;
    const sinceMs = store.restsSinceMs(address);
    if (sinceMs !== undefined) resting.push({ candidate, sinceMs });
    else if (store.reserve(address, holder, index)) return candidate;
  }
  resting.sort((a, b) => a.sinceMs - b.sinceMs);
  for (const { candidate } of resting) {
    if (store.reserve(String(candidate.address), holder, index)) return candidate;
  }
  if (store.readAgain()) return reserveFree(store, set, index, holder);
  throw new CniError(
    "addressUnavailable",
    `failed to allocate for range ${index}: no IP addresses available in range set: ${
      formatRangeSet(set)
    }`,
  );
}

function lastReserved(store: ReservationStore, index: number): Address | undefined {
  const text = store.lastReserved(index);
  return text === undefined ? undefined : Address.tryParse(text);
}

function reserveRequested(
  store: ReservationStore,
  set: RangeSet,
  index: number,
  holder: Holder,
  address: Address,
): Candidate {
  const refuse = (why: string): never => {
    throw new CniError("addressUnavailable", `Requested IP ${address} ${why}`);
  };
  const range = set.find((it) => rangeContains(it, address));
  if (range === undefined) return refuse("is in no range");
  if (range.gateway.value === address.value) return refuse("is the subnet's gateway");
  if (isExcluded(range, address)) return refuse("is excluded");
  if (store.reserve(String(address), holder, index)) return { address, range };
  return refuse(`is not available in range set ${formatRangeSet(set)}`);
}

/** Frees all addresses of the holder, of any range. */
export function releaseOf(store: ReservationStore, holder: Holder): void {
  const release = (address: string): boolean =>
    store.release(address, holder) || store.release(address, oldForm(holder));
  const isAsKnown = store.of(holder).map(release).every((it) => it);
  if (!isAsKnown && store.readAgain()) store.of(holder).forEach(release);
}

/**
 * Asserts that the addresses of a pod are reserved for it: others would soon be given to another pod.
 *
 * @throws {CniError} if the holder lacks one of these addresses, or has none at all
 */
function requireReservations(
  store: ReservationStore | undefined,
  holder: Holder,
  addresses: readonly Address[],
): void {
  const owner = `interface ${holder.ifname} of container ${holder.containerId}`;
  if (!store?.of(holder).some((it) => isHeldBy(store, it, holder))) {
    throw new CniError("checkFailed", `No address is reserved for ${owner}`);
  }
  const lost = addresses.map(String).filter((it) => !isHeldBy(store, it, holder));
  if (lost.length === 0) return;
  throw new CniError("checkFailed", `Address ${lost.join(", ")} is not reserved for ${owner}`);
}

/** Whether the file of an address names the holder, in either form. */
function isHeldBy(store: ReservationStore, address: string, holder: Holder): boolean {
  return store.isHeldBy(address, holder) || store.isHeldBy(address, oldForm(holder));
}

/** How files of the old form name a holder. */
function oldForm({ containerId }: Holder): Holder {
  return { containerId, ifname: undefined };
}

/** The reservations that no valid attachment holds, read from the files. */
function listInvalid(
  store: ReservationStore,
  valid: readonly ValidAttachment[],
): readonly Reservation[] {
  store.readAgain();
  const containers = new Set(valid.map((it) => it.containerId));
  const attachments = new Set(valid.map((it) => `${it.containerId}/${it.ifname}`));
  const isValid = ({ containerId, ifname }: Holder): boolean =>
    ifname === undefined
      ? containers.has(containerId)
      : attachments.has(`${containerId}/${ifname}`);
  return store.reservations.filter(({ holder }) => holder === undefined || !isValid(holder));
}

/** The result of freeing addresses. */
interface Released {
  readonly freed: number;
  /** Addresses that could not be freed. */
  readonly left: readonly string[];
  /** The file system's error for the last of them, if there was one. */
  readonly reason?: string;
}

/** Frees the addresses that no valid attachment holds; a failure does not stop it. */
export function releaseInvalid(
  store: ReservationStore,
  valid: readonly ValidAttachment[],
): Released {
  const left: string[] = [];
  let reason: string | undefined;
  let freed = 0;
  for (const { address, holder } of listInvalid(store, valid)) {
    try {
      const isFreed = holder === undefined
        ? store.discard(address)
        : store.release(address, holder);
      if (isFreed) freed++;
      else if (holder === undefined) left.push(address); // else another process freed it first
    } catch (error) {
      left.push(address);
      reason = messageOf(error);
    }
  }
  return { freed, left, ...(reason === undefined ? {} : { reason }) };
}

/** @throws {CniError} code 50 if a set has no free address */
function requireFreeAddress(store: ReservationStore, sets: readonly RangeSet[]): void {
  const full = sets.find((set) => !hasFreeAddress(store, set));
  if (full === undefined) return;
  if (store.readAgain()) return requireFreeAddress(store, sets);
  throw new CniError("unavailable", `No IP address is free in ${formatRangeSet(full)}`);
}

function hasFreeAddress(store: ReservationStore, set: RangeSet): boolean {
  for (const { address } of candidates(set, undefined)) {
    if (store.isFree(String(address))) return true;
  }
  return false;
}
