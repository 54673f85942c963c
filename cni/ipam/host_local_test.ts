/** Allocation on disk. */

import { assertEquals, assertThrows } from "@std/assert";
import { Address } from "../../lib/ip/address.ts";
import { Prefix } from "../../lib/ip/prefix.ts";
import { ReservationFolder } from "../../tests/support/plugin/reservation_folder.ts";
import { CniError } from "../protocol/error.ts";
import { allocateAddresses, releaseInvalid, releaseOf } from "./host_local.ts";
import { completeRange, type RangeSet } from "./range.ts";
import { REST_MS } from "./store.ts";

/** Subnets, one set each, and what is excluded of them. */
function setsOf(subnets: readonly string[], exclude: readonly string[] = []): RangeSet[] {
  return subnets.map((it) => [
    completeRange({ subnet: Prefix.parse(it), exclude: exclude.map(Prefix.parse) }),
  ]);
}

/** Allocates from `sets`; what was given, as texts. */
function allocate(
  folder: ReservationFolder,
  sets: readonly RangeSet[],
  containerId: string,
  { ifname = "eth0", requested = [] }: {
    readonly ifname?: string;
    readonly requested?: readonly string[];
  } = {},
): string[] {
  const wanted = { sets, requested: requested.map((it) => Address.parse(it)) };
  const ips = folder.use((it) => allocateAddresses(it, wanted, { containerId, ifname }));
  return ips.map((it) => `${it.address}`);
}

function release(folder: ReservationFolder, containerId: string, ifname = "eth0"): void {
  folder.use((it) => releaseOf(it, { containerId, ifname }));
}

Deno.test("allocateAddresses() writes the reference plugin's files", () => {
  using folder = new ReservationFolder();
  assertEquals(allocate(folder, setsOf(["10.1.0.0/24", "fd00::/64"]), "c1"), [
    "10.1.0.2/24",
    "fd00::2/64",
  ]);
  assertEquals(folder.files, {
    "10.1.0.2": "c1\r\neth0",
    "fd00::2": "c1\r\neth0",
    "last_reserved_ip.0": "10.1.0.2",
    "last_reserved_ip.1": "fd00::2",
  });
  const mode = (name: string): number | null =>
    (Deno.statSync(`${folder.path}/${name}`).mode ?? 0) & 0o777;
  assertEquals([mode("10.1.0.2"), mode("last_reserved_ip.0"), mode("lock")], [0o600, 0o600, 0o750]);
});

Deno.test("allocateAddresses() goes on behind the last address, and around", () => {
  using folder = new ReservationFolder();
  const sets = setsOf(["10.1.0.0/29"]);
  const given = ["a", "b", "c"].flatMap((it) => allocate(folder, sets, it));
  release(folder, "a");
  given.push(...["d", "e", "f"].flatMap((it) => allocate(folder, sets, it)));
  const expected = ["2", "3", "4", "5", "6", "2"].map((it) => `10.1.0.${it}/29`);
  assertEquals(given, expected);
  const error = assertThrows(() => allocate(folder, sets, "g"), CniError);
  assertEquals(
    error.message,
    "failed to allocate for range 0: no IP addresses available in range set: 10.1.0.1-10.1.0.6",
  );
});

Deno.test("allocateAddresses() lets an address rest, and takes the longest rested if it must", () => {
  using folder = new ReservationFolder();
  const sets = setsOf(["10.1.0.0/29"]); // .2 to .6
  for (const id of ["a", "b", "c", "d"]) allocate(folder, sets, id);
  const free = (id: string): void => {
    folder.nowMs += 1000;
    release(folder, id);
  };
  free("a"); // .2
  assertEquals(allocate(folder, sets, "e"), ["10.1.0.6/29"]);
  free("d"); // .5
  free("c"); // .4
  // Round robin alone says .2, .4, .5.
  assertEquals(allocate(folder, sets, "f"), ["10.1.0.2/29"]);
  assertEquals(allocate(folder, sets, "g"), ["10.1.0.5/29"]);
  folder.nowMs += REST_MS;
  free("b"); // .3 rests, .4 does no more
  assertEquals(allocate(folder, sets, "h"), ["10.1.0.4/29"]);
  assertEquals(allocate(folder, sets, "i"), ["10.1.0.3/29"]);
  free("h");
  folder.nowMs -= 3600_000; // a clock that is set back keeps nothing from being used
  assertEquals(allocate(folder, sets, "j"), ["10.1.0.4/29"]);
});

Deno.test("allocateAddresses() gives out nothing that is excluded", () => {
  using folder = new ReservationFolder();
  const sets = setsOf(["10.1.0.0/29"], ["10.1.0.2/31", "10.1.0.6/32"]);
  assertEquals(allocate(folder, sets, "a"), ["10.1.0.4/29"]);
  assertThrows(
    () => allocate(folder, sets, "b", { requested: ["10.1.0.6"] }),
    CniError,
    "Requested IP 10.1.0.6 is excluded",
  );
  assertEquals(allocate(folder, sets, "b"), ["10.1.0.5/29"]);
  assertThrows(() => allocate(folder, sets, "c"), CniError, "no IP addresses available");
});

Deno.test("allocateAddresses() keeps nothing when one of the sets is exhausted", () => {
  using folder = new ReservationFolder();
  const sets = setsOf(["10.1.0.0/24", "10.2.0.0/30"]);
  allocate(folder, sets, "c1");
  assertThrows(() => allocate(folder, sets, "c2"), CniError, "range 1");
  assertEquals(folder.addresses, ["10.1.0.2", "10.2.0.2"]);
});

Deno.test("allocateAddresses() refuses a second time, and leaves the first address alone", () => {
  using folder = new ReservationFolder();
  const sets = setsOf(["10.1.0.0/24"]);
  allocate(folder, sets, "c1");
  assertThrows(() => allocate(folder, sets, "c1"), CniError, "duplicate allocation");
  assertEquals(folder.addresses, ["10.1.0.2"]);
  assertEquals(allocate(folder, sets, "c1", { ifname: "eth1" }), ["10.1.0.3/24"]);
});

Deno.test("allocateAddresses() gives what is requested, or says why not", () => {
  using folder = new ReservationFolder();
  const sets = setsOf(["10.1.0.0/24", "fd00::/64"]);
  assertEquals(allocate(folder, sets, "c1", { requested: ["fd00::99"] }), [
    "10.1.0.2/24",
    "fd00::99/64",
  ]);
  const cases: readonly (readonly [string, string])[] = [
    ["fd00::99", "not available"],
    ["10.1.0.1", "gateway"],
    ["192.0.2.1", "192.0.2.1 is in no range"],
    ["10.1.0.8 10.1.0.9", "10.1.0.9 is in no range that is left"],
  ];
  for (const [addresses, message] of cases) {
    const requested = addresses.split(" ");
    assertThrows(() => allocate(folder, sets, "c2", { requested }), CniError, message);
  }
  assertEquals(folder.addresses, ["10.1.0.2", "fd00::99"]);
});

Deno.test("allocateAddresses() takes back an address whose file a kill left empty", () => {
  using folder = new ReservationFolder();
  const sets = setsOf(["10.1.0.0/30"]);
  folder.write("10.1.0.2", "");
  assertEquals(allocate(folder, sets, "c1"), ["10.1.0.2/30"]);
  release(folder, "c1");
  folder.write("10.1.0.2", "\n");
  assertEquals(allocate(folder, sets, "c2"), ["10.1.0.2/30"]);
});

Deno.test("allocateAddresses() steps around what is no address file, and what it cannot read", () => {
  using folder = new ReservationFolder();
  const sets = setsOf(["10.1.0.0/29"]);
  folder.write("10.1.0.2", "\u0000\u0001 junk");
  Deno.mkdirSync(`${folder.path}/10.1.0.3`);
  Deno.symlinkSync("/nonexistent", `${folder.path}/10.1.0.4`);
  folder.write("last_reserved_ip.0", "junk");
  folder.write(".calyx", "calyx reservations 1\nfolder 1");
  assertEquals(allocate(folder, sets, "c1"), ["10.1.0.5/29"]);
  assertEquals(allocate(folder, sets, "c2"), ["10.1.0.6/29"]);
  assertThrows(() => allocate(folder, sets, "c3"), CniError, "no IP addresses");
  Deno.removeSync(`${folder.path}/last_reserved_ip.0`);
  Deno.mkdirSync(`${folder.path}/last_reserved_ip.0`);
  Deno.removeSync(`${folder.path}/.calyx`);
  Deno.mkdirSync(`${folder.path}/.calyx`);
  release(folder, "c1");
  assertEquals(allocate(folder, sets, "c4"), ["10.1.0.5/29"]);
  assertEquals(folder.use((it) => releaseInvalid(it, [])), { freed: 5, left: [] });
  assertEquals(folder.addresses, []);
});

Deno.test("allocateAddresses() finds the one free address of a range that is full", () => {
  using folder = new ReservationFolder();
  const sets = setsOf(["10.1.0.0/24"]);
  for (let index = 0; index < 253; index++) allocate(folder, sets, `c${index}`);
  release(folder, "c7");
  assertEquals(allocate(folder, sets, "new"), ["10.1.0.9/24"]);
});

Deno.test("releaseOf() frees by container and interface, of any range, and files of the old form", () => {
  using folder = new ReservationFolder();
  folder.write("10.1.0.2", "c1\r\neth0\n");
  folder.write("10.1.0.3", "c1\r\neth1");
  folder.write("10.9.0.4", "c1\r\neth0");
  folder.write("fd00::2", "c2\r\neth0");
  folder.write("10.1.0.5", "old\n");
  release(folder, "c1");
  assertEquals(folder.addresses, ["10.1.0.3", "10.1.0.5", "fd00::2"]);
  for (const _ of "twice") release(folder, "old", "eth7");
  assertEquals(folder.addresses, ["10.1.0.3", "fd00::2"]);
});

Deno.test("releaseOf() and releaseInvalid() know container ids of any length", () => {
  using folder = new ReservationFolder();
  const sets = setsOf(["10.1.0.0/24"]);
  const ids = [511, 512, 5000, 100_000].map((it) => "x".repeat(it));
  const valid = ids.map((containerId) => ({ containerId, ifname: "eth0" }));
  for (const id of ids) allocate(folder, sets, id);
  for (const id of ids) {
    assertThrows(() => allocate(folder, sets, id), CniError, "duplicate allocation");
  }
  assertEquals(folder.use((it) => releaseInvalid(it, valid)), { freed: 0, left: [] });
  assertEquals(folder.addresses.length, ids.length);
  for (const id of ids) release(folder, id);
  assertEquals(folder.addresses, []);
});

Deno.test("releaseInvalid() frees what no valid attachment holds", () => {
  using folder = new ReservationFolder();
  folder.write("10.1.0.2", "c1\r\neth0");
  folder.write("10.1.0.3", "c1\r\neth1");
  folder.write("10.1.0.4", "c2\r\neth0");
  folder.write("10.1.0.5", "c1");
  folder.write("10.1.0.6", "c1\r\neth0\r\nand more");
  const valid = [{ containerId: "c1", ifname: "eth0" }];
  assertEquals(folder.use((it) => releaseInvalid(it, valid)), { freed: 3, left: [] });
  assertEquals(folder.addresses, ["10.1.0.2", "10.1.0.5"]);
  folder.write("10.1.0.3/in the way", "");
  assertEquals(folder.use((it) => releaseInvalid(it, [])), { freed: 2, left: ["10.1.0.3"] });
});
