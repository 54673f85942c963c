import { assertEquals, assertThrows } from "@std/assert";
import { Prefix } from "../../lib/ip/prefix.ts";
import { parseConfiguration } from "../protocol/configuration.ts";
import { CniError } from "../protocol/error.ts";
import {
  type HostLocalSettings,
  needsPodCidrs,
  parseHostLocal,
  parseReservationPlace,
  type ReservationPlace,
} from "./configuration.ts";
import { candidates, formatRangeSet } from "./range.ts";

const POD_CIDRS = ["10.244.3.0/24", "fd00:10:244:3::/64"];

function parse(fields: object, requested?: string, podCidrs = POD_CIDRS): HostLocalSettings {
  const json = { cniVersion: "1.0.0", name: "net1", ...fields };
  return parseHostLocal(parseConfiguration(JSON.stringify(json)), {
    podCidrs: podCidrs.map(Prefix.parse),
    requested,
  });
}

Deno.test("parseHostLocal() reads subnet, ranges and runtime ranges, in the allocator's order", () => {
  const { sets } = parse({
    runtimeConfig: { ipRanges: [[{ subnet: "10.9.0.0/30" }]] },
    ipam: {
      subnet: "10.1.0.0/24",
      rangeStart: "10.1.0.10",
      rangeEnd: "10.1.0.20",
      ranges: [[{ subnet: "10.2.0.0/24" }, { subnet: "10.3.0.0/24" }], [{ subnet: "fd00::/126" }]],
    },
  });
  assertEquals(sets.map(formatRangeSet), [
    "10.9.0.1-10.9.0.2",
    "10.1.0.10-10.1.0.20",
    "10.2.0.1-10.2.0.254,10.3.0.1-10.3.0.254",
    "fd00::1-fd00::3",
  ]);
});

Deno.test("parseReservationPlace() reads no more than where the files are", () => {
  const place = (ipam: unknown): ReservationPlace =>
    parseReservationPlace(
      parseConfiguration(JSON.stringify({ name: "net1", cniVersion: "1.0.0", ipam })),
    );
  const folder = "/var/lib/cni/networks/net1";
  assertEquals(place({ subnet: "nonsense" }), { folder, bootIdFile: undefined });
  assertEquals(place({ dataDir: 7, bootIdFile: "" }), { folder, bootIdFile: undefined });
  assertEquals(place({ dataDir: "/run/cni//", bootIdFile: "/run/boot-id" }), {
    folder: "/run/cni/net1",
    bootIdFile: "/run/boot-id",
  });
  for (const key of ["dataDir", "bootIdFile"]) {
    const error = assertThrows(() => place({ [key]: "x" }), CniError, `"ipam.${key}"`);
    assertEquals(error.code, 7);
  }
});

Deno.test("parseHostLocal() reads what a range excludes", () => {
  const ranges = [
    [{ subnet: "10.2.0.0/29", exclude: ["10.2.0.2", "10.2.0.4/31"] }],
    [{ subnet: "usePodCidr", exclude: ["10.244.3.2", "10.244.4.2", "fd00::1"] }],
  ];
  const { sets } = parse({ ipam: { subnet: "10.1.0.0/30", exclude: ["10.1.0.3"], ranges } });
  const given = sets.map((set) =>
    [...candidates(set, undefined)].slice(0, 3).map((it) => `${it.address}`)
  );
  assertEquals(given, [
    ["10.1.0.2"],
    ["10.2.0.3", "10.2.0.6"],
    ["10.244.3.3", "10.244.3.4", "10.244.3.5"],
  ]);
});

Deno.test("parseHostLocal() puts the node's pod CIDRs where they are asked for", () => {
  const ranges = [[{ subnet: "usePodCidr" }], [{ subnet: "usePodCidrIPv6" }]];
  const expected = [
    "10.244.3.1-10.244.3.254",
    "fd00:10:244:3::1-fd00:10:244:3:ffff:ffff:ffff:ffff",
  ];
  assertEquals(parse({ ipam: { ranges } }).sets.map(formatRangeSet), expected);
  const old = parse({ ipam: { subnet: "usePodCidr" } });
  assertEquals(old.sets.map(formatRangeSet), expected.slice(0, 1));
  const error = assertThrows(
    () => parse({ ipam: { ranges } }, undefined, ["10.0.0.0/8"]),
    CniError,
  );
  assertEquals(error.code, 11);
  assertEquals(error.message.includes('IPv6 pod CIDR for "usePodCidrIPv6"'), true, error.message);
});

Deno.test("needsPodCidrs() looks for the keywords and not further", () => {
  const needs = (ipam: object): boolean =>
    needsPodCidrs(parseConfiguration(JSON.stringify({ name: "n", cniVersion: "1.0.0", ipam })));
  assertEquals(needs({ subnet: "usePodCidr" }), true);
  assertEquals(
    needs({ ranges: [[{ subnet: "10.0.0.0/8" }], [{ subnet: "usePodCidrIPv6" }]] }),
    true,
  );
  assertEquals(needs({ ranges: [[{ subnet: "10.0.0.0/8" }]] }), false);
  assertEquals(needs({ ranges: "usePodCidr" }), false);
});

Deno.test("parseHostLocal() adds up the requested addresses of all three places", () => {
  const { requested } = parse({
    args: { cni: { ips: ["10.1.0.6"] } },
    runtimeConfig: { ips: ["10.1.0.7/24", "fd00::7"] },
    ipam: { subnet: "10.1.0.0/24" },
  }, "10.1.0.5/24");
  assertEquals(requested.map(String), ["10.1.0.5", "10.1.0.6", "10.1.0.7", "fd00::7"]);
  const same = parse({
    args: { cni: { ips: ["10.1.0.5"] } },
    runtimeConfig: { ips: ["10.1.0.5/24", "10.1.0.5"] },
    ipam: { subnet: "10.1.0.0/24" },
  }, "10.1.0.5");
  assertEquals(same.requested.map(String), ["10.1.0.5"], "named in three places, requested once");
});

Deno.test("parseHostLocal() says everything that is wrong", () => {
  const cases: readonly (readonly [object, string])[] = [
    [{ ipam: {} }, "No IP ranges"],
    [{ ipam: { ranges: [[]] } }, "Empty range set"],
    [{ ipam: { ranges: [[{}]] } }, '"ipam.ranges[0][0].subnet"'],
    [{ ipam: { subnet: "10.0.0.1/24" } }, "host bits"],
    [{ ipam: { subnet: "10.0.0.0/24", gateway: "x" } }, '"ipam.gateway"'],
    [{ ipam: { subnet: "10.0.0.0/24", ranges: [[{ subnet: "10.0.0.0/16" }]] } }, "overlap"],
    [{ ipam: { subnet: "10.0.0.0/24", routes: [{ dst: "x" }] } }, '"ipam.routes[0].dst"'],
    [{ ipam: { subnet: "10.0.0.0/24", exclude: "x" } }, '"ipam.exclude" must be a list of texts'],
    [
      { ipam: { ranges: [[{ subnet: "10.0.0.0/24", exclude: ["10.0.0.300"] }]] } },
      '"ipam.ranges[0][0].exclude": "10.0.0.300" is no address or CIDR',
    ],
    [{ ipam: { subnet: "10.0.0.0/24", exclude: ["10.0.1.0"] } }, '"10.0.1.0" is not in'],
    [{ ipam: { subnet: "10.0.0.0/24", exclude: ["10.0.0.0/8"] } }, '"10.0.0.0/8" is not in'],
    [{ ipam: { subnet: "10.0.0.0/24", exclude: ["fd00::1"] } }, '"fd00::1" is not in'],
    [{ ipam: { subnet: "10.0.0.0/24", exclude: ["10.0.0.0/24"] } }, "is excluded"],
    [{ ipam: { subnet: "10.0.0.0/24" }, args: { cni: { ips: ["x"] } } }, '"x"'],
    [{ ipam: { subnet: "10.0.0.0/24", dataDir: 5 } }, '"ipam.dataDir" must be a text: got 5'],
    [{ ipam: { subnet: "10.0.0.0/24", bootIdFile: {} } }, '"ipam.bootIdFile" must be a text'],
    [
      {
        cniVersion: "0.2.0",
        ipam: { ranges: [[{ subnet: "10.0.0.0/24" }], [{ subnet: "10.1.0.0/24" }]] },
      },
      "before 0.3.0",
    ],
  ];
  for (const [fields, message] of cases) {
    const error = assertThrows(() => parse(fields), CniError, message);
    assertEquals(error.code, 7, message);
  }
  const error = assertThrows(
    () => parse({ ipam: { subnet: "x", routes: [{ dst: "y" }] } }),
    CniError,
  );
  assertEquals(/"ipam\.subnet".*"ipam\.routes\[0\]\.dst"/.test(error.message), true, error.message);
});
