/** The reference plugin host-local of the machine, on the same files in turn with us. */

import { assertEquals } from "@std/assert";
import { Prefix } from "../../lib/ip/prefix.ts";
import { Chance } from "../../tests/support/chance.ts";
import { programTest } from "../../tests/support/program/program.ts";
import { callReference, ReservationFolder } from "../../tests/support/plugin/reservation_folder.ts";
import { parseConfiguration } from "../protocol/configuration.ts";
import { CniError } from "../protocol/error.ts";
import { parseHostLocal } from "./configuration.ts";
import { allocateAddresses, releaseOf } from "./host_local.ts";
import { completeRange } from "./range.ts";
import { REST_MS } from "./store.ts";

const RANGES = [[{ subnet: "10.1.0.0/29" }, { subnet: "10.2.0.0/29" }], [{ subnet: "fd00::/125" }]];
const SETS = RANGES.map((set) =>
  set.map(({ subnet }) => completeRange({ subnet: Prefix.parse(subnet) }))
);

/** Either of the two: both answer with addresses, or that there is none. */
interface Allocator {
  add(folder: ReservationFolder, containerId: string): Promise<string>;
  delete(folder: ReservationFolder, containerId: string): Promise<void>;
}

const REFERENCE: Allocator = {
  async add(folder, containerId) {
    const { ips, msg } = await callReference(folder, "ADD", containerId, RANGES);
    return ips?.map((it) => it.address).join(" ") ?? msg ?? "";
  },
  async delete(folder, containerId) {
    assertEquals(await callReference(folder, "DEL", containerId, RANGES), {});
  },
};

const OURS: Allocator = {
  add(folder, containerId) {
    // The other one lets nothing rest; what it gave back rests from when we notice.
    folder.use((it) => it.reservations);
    folder.nowMs += REST_MS;
    const wanted = { sets: SETS, requested: [] };
    const holder = { containerId, ifname: "eth0" };
    try {
      const ips = folder.use((it) => allocateAddresses(it, wanted, holder));
      return Promise.resolve(ips.map((it) => `${it.address}`).join(" "));
    } catch (error) {
      if (error instanceof CniError) return Promise.resolve(error.message);
      throw error;
    }
  },
  delete(folder, containerId) {
    folder.use((it) => releaseOf(it, { containerId, ifname: "eth0" }));
    return Promise.resolve();
  },
};

programTest(
  "host-local, ours and the reference plugin do the same to the same files",
  ["host-local"],
  async () => {
    const chance = new Chance();
    using alone = new ReservationFolder();
    using mixed = new ReservationFolder();
    let added = 0;
    const live: string[] = [];
    for (let step = 0; step < 120; step++) {
      const what = `seed ${chance.seed}, step ${step}`;
      const isAdd = live.length === 0 || chance.below(5) < 3;
      const containerId = isAdd
        ? `c${added++}`
        : live.splice(chance.below(live.length), 1)[0] ?? "";
      const allocator = chance.below(2) === 0 ? OURS : REFERENCE;
      if (isAdd) {
        const expected = await REFERENCE.add(alone, containerId);
        const actual = await allocator.add(mixed, containerId);
        assertEquals(actual, expected, what);
        if (!expected.startsWith("failed")) live.push(containerId);
        if (live.includes(containerId) && chance.below(4) === 0) {
          const again = await OURS.add(mixed, containerId);
          assertEquals(again, await REFERENCE.add(mixed, containerId), what);
        }
      } else {
        await REFERENCE.delete(alone, containerId);
        await allocator.delete(mixed, containerId);
      }
      assertEquals(mixed.files, alone.files, what);
    }
  },
);

/** What of a configuration is not the same in all. */
type Configured = Readonly<Record<string, unknown>> & { readonly ipam: object };

/** Configurations, and an address that is asked for; what comes of them is the reference plugin's word. */
const CONFIGURATIONS: readonly (readonly [Configured, requested?: string])[] = [
  [{ ipam: { subnet: "10.5.0.0/24" } }],
  [{ ipam: { subnet: "10.5.0.0/24", gateway: "10.5.0.254" } }],
  [{ ipam: { subnet: "10.5.0.0/24", gateway: "10.6.0.1" } }],
  [{ ipam: { subnet: "10.5.0.0/24", rangeStart: "10.5.0.20", rangeEnd: "10.5.0.21" } }],
  [{ ipam: { subnet: "10.5.0.0/29", rangeStart: "10.5.0.2", gateway: "10.5.0.3" } }],
  [{ ipam: { subnet: "10.5.0.0/30", rangeStart: "10.5.0.0", rangeEnd: "10.5.0.3" } }],
  [{ ipam: { subnet: "10.5.0.0/24", rangeStart: "10.5.0.30", rangeEnd: "10.5.0.20" } }],
  [{ ipam: { subnet: "10.5.0.0/24", rangeStart: "10.6.0.30" } }],
  [{ ipam: { subnet: "10.5.0.0/24", rangeEnd: "10.6.0.30" } }],
  [{ ipam: { subnet: "10.5.0.7/24" } }],
  [{ ipam: { subnet: "10.05.0.0/24" } }],
  [{ ipam: { subnet: "10.5.0.0/31" } }],
  [{ ipam: { subnet: "fd00::/126" } }],
  [{ ipam: { subnet: "fd00::/127" } }],
  [{ ipam: { subnet: "FD00:000A::/64", rangeStart: "fd00:a:0:0::00ff" } }],
  [{ ipam: { subnet: "10.5.0.0/24", ranges: [[{ subnet: "10.6.0.0/24" }]] } }],
  [{ ipam: { rangeStart: "10.6.0.9", ranges: [[{ subnet: "10.6.0.0/24" }]] } }],
  [{ ipam: { ranges: [[{ subnet: "10.6.0.0/24" }], [{ subnet: "fd00:1::/64" }]] } }],
  [{ ipam: { ranges: [[{ subnet: "10.6.0.0/30" }, { subnet: "10.7.0.0/30" }]] } }],
  [{ ipam: { ranges: [[{ subnet: "10.6.0.0/24" }, { subnet: "10.6.0.0/25" }]] } }],
  [{ ipam: { ranges: [[{ subnet: "10.6.0.0/24" }], [{ subnet: "10.6.0.0/25" }]] } }],
  [{ ipam: { ranges: [[{ subnet: "10.6.0.0/24" }, { subnet: "fd00::/64" }]] } }],
  [{
    ipam: {
      ranges: [
        [{ subnet: "10.6.0.0/24", rangeEnd: "10.6.0.9" }],
        [{ subnet: "10.6.0.0/24", rangeStart: "10.6.0.10" }],
      ],
    },
  }],
  [{ ipam: { ranges: [] } }],
  [{ ipam: { ranges: [[]] } }],
  [{ ipam: {}, runtimeConfig: { ipRanges: [[{ subnet: "10.8.0.0/24" }]] } }],
  [{
    ipam: { ranges: [[{ subnet: "10.6.0.0/24" }]] },
    runtimeConfig: { ipRanges: [[{ subnet: "10.8.0.0/24" }]] },
  }],
  [{ ipam: { subnet: "10.5.0.0/24" } }, "10.5.0.77"],
  [{ ipam: { subnet: "10.5.0.0/24" } }, "10.5.0.77/24"],
  [{ ipam: { subnet: "10.5.0.0/24" } }, "10.5.0.1"],
  [{ ipam: { subnet: "10.5.0.0/24" } }, "10.9.0.1"],
  [{ ipam: { subnet: "10.5.0.0/24" }, args: { cni: { ips: ["10.5.0.9"] } } }, "10.5.0.9"],
  [{ ipam: { subnet: "10.5.0.0/24" }, runtimeConfig: { ips: ["10.5.0.8/24", "10.5.0.8"] } }],
  [{
    ipam: { ranges: [[{ subnet: "10.6.0.0/24" }], [{ subnet: "fd00:1::/64" }]] },
    runtimeConfig: { ips: ["fd00:1::99"] },
    args: { cni: { ips: ["10.6.0.99"] } },
  }],
  [{ cniVersion: "0.2.0", ipam: { subnet: "10.5.0.0/24" } }],
  [{
    cniVersion: "0.2.0",
    ipam: { ranges: [[{ subnet: "10.5.0.0/24" }], [{ subnet: "10.6.0.0/24" }]] },
  }],
];

/**
 * Refused by both, but what is left behind is chance: the reference plugin takes the first address that
 * Go's map of them happens to give (`plugins/ipam/host-local/main.go`).
 */
const TWO_OF_ONE_RANGE: Configured = {
  ipam: { subnet: "10.5.0.0/24" },
  runtimeConfig: { ips: ["10.5.0.8", "10.5.0.9"] },
};

programTest("host-local, ours and the reference plugin refuse two addresses of one range", [
  "host-local",
], async () => {
  using ours = new ReservationFolder();
  using theirs = new ReservationFolder();
  const { ipam } = TWO_OF_ONE_RANGE;
  const { code } = await callReference(theirs, "ADD", "a", [], {
    fields: TWO_OF_ONE_RANGE,
    ...{ ipam, args: "" },
  });
  assertEquals([addConfigured(ours, "a", TWO_OF_ONE_RANGE, undefined), code === undefined], [
    false,
    false,
  ]);
});

programTest(
  "host-local, ours and the reference plugin understand a configuration alike",
  ["host-local"],
  async () => {
    for (const [fields, requested] of CONFIGURATIONS) {
      using ours = new ReservationFolder();
      using theirs = new ReservationFolder();
      const what = `${JSON.stringify(fields)} ${requested ?? ""}`;
      for (const containerId of ["a", "b", "c"]) {
        const { code } = await callReference(theirs, "ADD", containerId, [], {
          fields,
          ipam: fields.ipam,
          args: requested === undefined ? "" : `IP=${requested}`,
        });
        assertEquals(addConfigured(ours, containerId, fields, requested), code === undefined, what);
      }
      assertEquals(filesOf(ours), filesOf(theirs), what);
    }
  },
);

/** ADD by a configuration; whether there was an address. */
function addConfigured(
  folder: ReservationFolder,
  containerId: string,
  fields: object,
  requested: string | undefined,
): boolean {
  const text = JSON.stringify({ cniVersion: "1.0.0", name: "net1", ...fields });
  try {
    const settings = parseHostLocal(parseConfiguration(text), { podCidrs: [], requested });
    folder.use((it) => allocateAddresses(it, settings, { containerId, ifname: "eth0" }));
    return true;
  } catch (error) {
    if (error instanceof CniError) return false;
    throw error;
  }
}

/** The files, where there are any at all. */
function filesOf(folder: ReservationFolder): Readonly<Record<string, string>> {
  try {
    return folder.files;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    throw error;
  }
}

programTest(
  "host-local, the reference plugin takes our own file for nothing at all",
  ["host-local"],
  async () => {
    using folder = new ReservationFolder();
    await OURS.add(folder, "ours");
    const index = `${folder.path}/.calyx`;
    const text = await Deno.readTextFile(index);
    assertEquals(text.includes("10.1.0.2 ours eth0\n"), true);
    assertEquals(await callReference(folder, "CHECK", "ours", RANGES), {});
    assertEquals((await callReference(folder, "CHECK", "none", RANGES)).code, 999);
    await REFERENCE.add(folder, "theirs");
    await REFERENCE.delete(folder, "theirs");
    for (const name of ["calyx", "held", "end"]) await REFERENCE.delete(folder, name);
    assertEquals(await Deno.readTextFile(index), text);
    await REFERENCE.delete(folder, "ours");
    assertEquals(folder.addresses, []);
    assertEquals(await Deno.readTextFile(index), text);
  },
);

programTest(
  "host-local, what a killed reference plugin left is of use again",
  ["host-local"],
  async () => {
    using folder = new ReservationFolder();
    const ranges = [[{ subnet: "10.1.0.0/30", exclude: ["10.1.0.3"] }]]; // it knows no such key
    folder.write("10.1.0.2", "");
    const { msg } = await callReference(folder, "ADD", "a", ranges);
    assertEquals(msg?.includes("no IP addresses available"), true, msg);
    folder.use((it) => assertEquals(it.reclaimed, ["10.1.0.2"]));
    const { ips } = await callReference(folder, "ADD", "a", ranges);
    assertEquals(ips?.map((it) => it.address), ["10.1.0.2/30"]);
  },
);
