import { assertEquals, assertThrows } from "@std/assert";
import { Address } from "../../lib/ip/address.ts";
import { Prefix } from "../../lib/ip/prefix.ts";
import { CniError } from "./error.ts";
import { appendResult, type CniResult, encodeResult, parseResult } from "./result.ts";
import { CNI_VERSIONS, type CniVersion } from "./version.ts";

const RESULT: CniResult = {
  interfaces: [
    { name: "cali1", mac: "ee:ee:ee:ee:ee:ee", mtu: 1450 },
    { name: "eth0", mac: "02:00:00:00:00:01", mtu: 1450, sandbox: "/run/netns/a" },
  ],
  ips: [
    { address: Prefix.parse("10.1.0.5/32"), interface: 1 },
    { address: Prefix.parse("fd00::5/128"), interface: 1 },
  ],
  routes: [
    { dst: Prefix.parse("0.0.0.0/0"), gw: Address.parse("169.254.1.1"), priority: 7 },
    { dst: Prefix.parse("::/0"), gw: Address.parse("fe80::1") },
  ],
  dns: {},
};

const OLD = {
  ip4: { ip: "10.1.0.5/32", routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }] },
  ip6: { ip: "fd00::5/128", routes: [{ dst: "::/0", gw: "fe80::1" }] },
  dns: {},
};
const PLAIN = {
  interfaces: [
    { name: "cali1", mac: "ee:ee:ee:ee:ee:ee" },
    { name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/a" },
  ],
  routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }, { dst: "::/0", gw: "fe80::1" }],
};
const VERSIONED = {
  ...PLAIN,
  ips: [
    { version: "4", interface: 1, address: "10.1.0.5/32" },
    { version: "6", interface: 1, address: "fd00::5/128" },
  ],
  dns: {},
};
const UNVERSIONED_IPS = [
  { interface: 1, address: "10.1.0.5/32" },
  { interface: 1, address: "fd00::5/128" },
];
const EXPECTED: Readonly<Record<CniVersion, object>> = {
  "0.1.0": OLD,
  "0.2.0": OLD,
  "0.3.0": VERSIONED,
  "0.3.1": VERSIONED,
  "0.4.0": VERSIONED,
  "1.0.0": { ...PLAIN, ips: UNVERSIONED_IPS },
  "1.1.0": {
    interfaces: [
      { name: "cali1", mac: "ee:ee:ee:ee:ee:ee", mtu: 1450 },
      { name: "eth0", mac: "02:00:00:00:00:01", mtu: 1450, sandbox: "/run/netns/a" },
    ],
    ips: UNVERSIONED_IPS,
    routes: [
      { dst: "0.0.0.0/0", gw: "169.254.1.1", priority: 7 },
      { dst: "::/0", gw: "fe80::1" },
    ],
  },
};

Deno.test("encodeResult() has the form of each version", () => {
  for (const version of CNI_VERSIONS) {
    const json = JSON.parse(JSON.stringify(encodeResult(RESULT, version)));
    assertEquals(json, { cniVersion: version, ...EXPECTED[version] }, version);
  }
});

Deno.test("parseResult() reads what encodeResult() wrote, as far as the version has it", () => {
  for (const version of CNI_VERSIONS) {
    const json = JSON.parse(JSON.stringify(encodeResult(RESULT, version)));
    const again = JSON.parse(
      JSON.stringify(encodeResult(parseResult(json, version, "x"), version)),
    );
    assertEquals(again, json, version);
  }
});

Deno.test("encodeResult() has no old form for a result without addresses", () => {
  assertThrows(() => encodeResult({ ...RESULT, ips: [] }, "0.2.0"), CniError, "0.2.0");
  assertEquals(
    JSON.parse(JSON.stringify(encodeResult({ ...RESULT, ips: [], routes: [] }, "1.0.0"))),
    { cniVersion: "1.0.0", interfaces: PLAIN.interfaces },
  );
});

Deno.test("parseResult() names every field that is wrong", () => {
  const value = { ips: [{ address: "10.0.0.1" }, { gateway: "x", address: "::1/128" }], routes: 1 };
  const error = assertThrows(() => parseResult(value, "1.0.0", "prevResult"), CniError);
  assertEquals(error.code, 6);
  for (
    const name of ["prevResult.ips[0].address", "prevResult.ips[1].gateway", "prevResult.routes"]
  ) {
    assertEquals(error.message.includes(`"${name}"`), true, error.message);
  }
});

Deno.test("appendResult() keeps what was there, and moves the indexes of what is new", () => {
  const previous: CniResult = {
    interfaces: [{ name: "br0" }],
    ips: [],
    routes: [],
    dns: { nameservers: ["10.0.0.10"] },
  };
  const result = appendResult(previous, RESULT);
  assertEquals(result.interfaces.map((it) => it.name), ["br0", "cali1", "eth0"]);
  assertEquals(result.ips.map((it) => it.interface), [2, 2]);
  assertEquals(result.dns, { nameservers: ["10.0.0.10"] });
});
