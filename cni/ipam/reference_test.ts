/** The reference plugin host-local of the machine, on the same files in turn with us. */

import { assertEquals } from "@std/assert";
import { Prefix } from "../../lib/ip/prefix.ts";
import { Chance } from "../../tests/support/chance.ts";
import { programTest } from "../../tests/support/program.ts";
import { callReference, ReservationFolder } from "../../tests/support/reservation_folder.ts";
import { CniError } from "../protocol/error.ts";
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
