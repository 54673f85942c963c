/**
 * ADD, asked of the compiled plugin in every version of the specification: what it makes, what its result
 * says, whom it refuses. Whose interface is whose: identity_test.ts; with an agent: policy_test.ts.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { writeSysctl } from "../../../lib/kernel/sysctl.ts";
import { podDigestOf } from "../../../lib/model/link_alias.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { probeAll } from "../../support/packet/probe.ts";
import { addressesOf, type CniAnswer, type Fields } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { nodeIp, nodeLinks } from "../../support/plugin/cni_node.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import {
  assertError,
  assertNothingLeft,
  assertSilent,
  forEachVersion,
  type Version,
  VERSIONS,
} from "../../support/plugin/specification.ts";
import { findProgram } from "../../support/program/program.ts";
import { PATIENCE_MS, until } from "../../support/until.ts";

const GATEWAYS = ["169.254.1.1", "fe80::ecee:eeff:feee:eeee"];

/** Fields of each entry, as one line. */
function lines(entries: readonly Fields[], ...keys: readonly string[]): string[] {
  return entries.map((it) => keys.map((key) => it[key] ?? "-").join(" "));
}

/** Connects from `from` to a closed port of each of `addresses`: a refusal shows that it is reachable. */
async function connectFrom(from: TestContainer, addresses: readonly string[]): Promise<string[]> {
  const { namespace } = from;
  const probes = addresses.map((address) => ({
    namespace,
    protocol: "TCP" as const,
    address,
    port: 9,
  }));
  return [...new Set(await probeAll(probes, PATIENCE_MS))];
}

Deno.test("calyx ADD wires up pods of both families, which reach each other, and DEL leaves nothing", async () => {
  requireIsolation();
  using network = new CniNetwork({ mtu: 1400 });
  using a = new TestContainer("a");
  using b = new TestContainer("b");
  const added = await network.add(a);
  assertEquals(addressesOf(added), ["10.244.0.2", "fd00:10:244::2"]);
  const mac = added.interfaces?.[1]?.mac;

  const [host] = nodeIp("link", "show", a.hostName);
  assertEquals(
    [host?.address, host?.mtu, host?.ifalias],
    ["ee:ee:ee:ee:ee:ee", 1400, `calyx/net1/a/eth0/${podDigestOf("default", "a")}`],
  );
  // At once since Linux 6.8, within a second before.
  await until(
    "both ends are up",
    () =>
      [nodeIp("link", "show", a.hostName), a.ip("link", "show", "eth0")]
        .every(([it]) => it?.operstate === "UP"),
  );
  assertEquals(lines(nodeIp("route", "show", "dev", a.hostName), "dst", "scope"), [
    "10.244.0.2 link",
  ]);
  assertEquals(
    lines(nodeIp("neigh", "show", "dev", a.hostName, "nud", "permanent"), "dst", "lladdr").sort(),
    [`10.244.0.2 ${mac}`, `fd00:10:244::2 ${mac}`],
  );
  const [link] = a.ip("link", "show", "eth0");
  assertEquals([link?.address, link?.mtu], [mac, 1400]);
  assertEquals(a.ip("link", "show", "lo")[0]?.operstate, "UNKNOWN"); // that is a loopback's "up"
  const [{ addr_info: info = [] } = {}] = a.ip("addr", "show", "eth0") as { addr_info?: [] }[];
  assertEquals(lines(info, "local", "prefixlen", "scope", "tentative").slice(0, 2), [
    "10.244.0.2 32 global -",
    "fd00:10:244::2 128 global -",
  ]);
  assertEquals(lines(a.ip("route"), "dst", "gateway", "dev"), [
    "default 169.254.1.1 eth0",
    "169.254.1.1 - eth0",
  ]);
  const [route6] = a.ip("-6", "route", "show", "default");
  assertEquals([route6?.gateway, route6?.dev], ["fe80::ecee:eeff:feee:eeee", "eth0"]);
  assertEquals(lines(a.ip("neigh", "show", "nud", "permanent"), "dst", "lladdr").sort(), [
    "169.254.1.1 ee:ee:ee:ee:ee:ee",
    "fe80::ecee:eeff:feee:eeee ee:ee:ee:ee:ee:ee",
  ]);

  const second = await network.add(b);
  assertEquals(await connectFrom(a, addressesOf(second)), ["ECONNREFUSED"]);
  assertEquals(await connectFrom(b, addressesOf(added)), ["ECONNREFUSED"]);
  for (const it of [a, b]) assertSilent(await network.call("DEL", it), "DEL");
  assertNothingLeft(network);
  assertEquals(a.links, ["lo"]);
});

Deno.test("calyx ADD makes the interface that the result describes", async () => {
  requireIsolation();
  using network = new CniNetwork({ mtu: 1400 });
  await forEachVersion(VERSIONS, async (cniVersion) => {
    using container = new TestContainer(`c02-${cniVersion}`);
    const env = { CNI_IFNAME: "net7" };
    const answer = await network.add(container, { fields: { cniVersion }, env });
    assertEquals(answer, expectedResult(cniVersion, container, answer), cniVersion);
    const [link] = container.ip("addr", "show", "net7") as {
      mtu?: number;
      addr_info?: { local: string; scope: string }[];
    }[];
    const global = link?.addr_info?.filter((it) => it.scope === "global").map((it) => it.local);
    assertEquals([link?.mtu, global], [1400, addressesOf(answer)], cniVersion);
    const routes = [...container.ip("route"), ...container.ip("-6", "route", "show", "default")];
    const gateways = routes.filter((it) => it.dst === "default").map((it) => it.gateway);
    assertEquals(gateways, GATEWAYS, cniVersion);
    assertSilent(await network.call("DEL", container, { fields: { cniVersion }, env }), cniVersion);
  });
  assertNothingLeft(network);
});

/** The result of a version; addresses and link address are taken from the answer, in their form. */
function expectedResult(
  cniVersion: Version,
  { path, hostName }: TestContainer,
  answer: CniAnswer,
): CniAnswer {
  const [address = "", address6 = ""] = addressesOf(answer);
  assertMatch(address, /^10\.244\.0\.\d+$/);
  assertMatch(address6, /^fd00:10:244::[0-9a-f]+$/);
  const [route, route6] = [
    { dst: "0.0.0.0/0", gw: "169.254.1.1" },
    { dst: "::/0", gw: "fe80::ecee:eeff:feee:eeee" },
  ];
  if (cniVersion < "0.3.0") {
    const ip4 = { ip: `${address}/32`, routes: [route] };
    const ip6 = { ip: `${address6}/128`, routes: [route6] };
    return { cniVersion, ip4, ip6, dns: {} };
  }
  const mac = answer.interfaces?.[1]?.mac ?? "";
  assertMatch(mac, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
  const mtu = cniVersion < "1.1.0" ? {} : { mtu: 1400 };
  const versionOf = (version: string) => cniVersion < "1.0.0" ? { version } : {};
  return {
    cniVersion,
    interfaces: [
      { name: hostName, mac: "ee:ee:ee:ee:ee:ee", ...mtu },
      { name: "net7", mac, ...mtu, sandbox: path },
    ],
    ips: [
      { ...versionOf("4"), interface: 1, address: `${address}/32` },
      { ...versionOf("6"), interface: 1, address: `${address6}/128` },
    ],
    routes: [route, route6],
    ...(cniVersion < "1.0.0" ? { dns: {} } : {}),
  };
}

Deno.test("calyx ADD refuses a name that the container has, or that no link can have", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using container = new TestContainer("c03");
  container.ip("link", "add", "eth0", "type", "veth", "peer", "name", "other");
  for (const name of ["eth0", "other", "lo"]) {
    const outcome = await network.call("ADD", container, { env: { CNI_IFNAME: name } });
    assertError(outcome, 101, name);
    assertMatch(outcome.answer.msg ?? "", new RegExp(`\\b${name}\\b.*exists`));
    assertNothingLeft(network);
  }
  const outcome = await network.call("ADD", container, { env: { CNI_IFNAME: "a/b" } });
  assertError(outcome, 4, "a/b");
  assertEquals(container.links.sort(), ["eth0", "lo", "other"]);
});

Deno.test("calyx ADD hands on what an earlier plugin of the chain gave it", async () => {
  requireIsolation();
  using network = new CniNetwork();
  await forEachVersion(VERSIONS, async (cniVersion) => {
    using container = new TestContainer(`c04-${cniVersion}`);
    const prevResult = previousResult(cniVersion);
    const answer = await network.add(container, { fields: { cniVersion, prevResult } });
    assertEquals(answer.cniVersion, cniVersion);
    assertEquals(answer.dns, { nameservers: ["10.0.0.10"] }, cniVersion);
    if (cniVersion < "0.3.0") {
      assertEquals(addressesOf(answer)[0], "192.0.2.7", cniVersion); // one address a family
    } else {
      const { interfaces = [], ips = [], routes = [] } = answer;
      assertEquals(interfaces.map((it) => it.name), ["before0", container.hostName, "eth0"]);
      assertEquals(ips.map((it) => it.interface), [0, 2, 2], cniVersion);
      assertEquals(ips[0]?.address, "192.0.2.7/24", cniVersion);
      assertEquals(routes[0], { dst: "198.51.100.0/24", gw: "192.0.2.1" }, cniVersion);
    }
    assertSilent(
      await network.call("DEL", container, { fields: { cniVersion, prevResult: answer } }),
      cniVersion,
    );
  });
  assertNothingLeft(network);
});

function previousResult(cniVersion: Version): Fields {
  const dns = { nameservers: ["10.0.0.10"] };
  const [address, gateway] = ["192.0.2.7/24", "192.0.2.1"];
  const routes = [{ dst: "198.51.100.0/24", gw: gateway }];
  if (cniVersion < "0.3.0") return { cniVersion, ip4: { ip: address, gateway, routes }, dns };
  const version = cniVersion < "1.0.0" ? { version: "4" } : {};
  const ips = [{ ...version, interface: 0, address, gateway }];
  return { cniVersion, interfaces: [{ name: "before0" }], ips, routes, dns };
}

Deno.test("calyx ADD lets no pod reach what listens on the node's 127.0.0.1 alone", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using pod = new TestContainer("curious");
  await network.add(pod);
  // A pod that may send raw packets needs none of this to send what is sent here.
  writeSysctl("net/ipv4/conf/all/route_localnet", "1", pod.namespace);
  pod.ip("addr", "flush", "dev", "lo");
  pod.ip("route", "add", "127.0.0.0/8", "via", "169.254.1.1");
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const target = { namespace: pod.namespace, protocol: "TCP" as const, port };
  assertEquals(await probeAll([{ ...target, address: "127.0.0.1" }]), ["timeout"]);
  assertSilent(await network.call("DEL", pod), "DEL");
});

Deno.test("calyx ADD and DEL finish what a kill left half made", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using pod = new TestContainer("c1");
  const half = ["link", "add", pod.hostName, "address", "ee:ee:ee:ee:ee:ee", "type", "veth"];
  nodeIp(...half, "peer", "name", "eth0", "netns", pod.netnsName);
  assertSilent(await network.call("DEL", pod), "DEL of a half");
  assertNothingLeft(network);
  using other = new TestContainer("c0");
  nodeIp(...half, "peer", "name", "eth0", "netns", other.netnsName);
  await network.add(pod);
  assertEquals(nodeLinks(), [pod.hostName]);
  assertSilent(await network.call("DEL", pod), "DEL");
  assertNothingLeft(network);
});

Deno.test("calyx serves containers side by side, one coming while another goes", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using stack = new DisposableStack();
  const make = (prefix: string): TestContainer[] =>
    Array.from({ length: 6 }, (_, index) => stack.use(new TestContainer(`${prefix}${index}`)));
  const [first, second] = [make("first"), make("second")];
  const answers = await Promise.all(first.map((it) => network.add(it)));
  assertEquals(new Set(answers.flatMap(addressesOf)).size, 12);
  const [, later] = await Promise.all([
    Promise.all(first.map((it) => network.call("DEL", it))),
    Promise.all(second.map((it) => network.add(it))),
  ]);
  assertEquals(network.reserved(), later.flatMap(addressesOf).sort());
  assertEquals(nodeLinks(), second.map((it) => it.hostName).sort());
  for (const [index, from] of second.entries()) {
    const others = later.filter((_, at) => at !== index).flatMap(addressesOf);
    assertEquals(await connectFrom(from, others), ["ECONNREFUSED"]);
  }
  const gone = await Promise.all([...first, ...second].map((it) => network.call("DEL", it)));
  assertEquals(gone.map((it) => it.code), gone.map(() => 0));
  assertNothingLeft(network);
});

/** Ours, which is `undefined`, and the reference where it is installed. */
function programs(): (string | undefined)[] {
  const reference = findProgram("ptp");
  return reference === undefined ? [undefined] : [undefined, reference];
}

Deno.test("calyx refuses a second ADD, as the reference plugins do, in the allocator's words", async () => {
  requireIsolation();
  for (const it of programs()) {
    const program = it === undefined ? {} : { program: it };
    using network = new CniNetwork({ cniVersion: "1.0.0" });
    using container = new TestContainer("twice");
    using other = new TestContainer("twice");
    const fields = { ipam: network.hostLocal("10.244.0.0/24") };
    const first = await network.add(container, { fields, ...program });
    const again = await network.call("ADD", other, { fields, ...program });
    assertMatch(
      again.answer.msg ?? "",
      /10\.244\.0\.2 has been allocated to twice, duplicate allocation is not allowed/,
    );
    // 999 is the reference's code for errors without one; 100 is ours for addresses.
    assertEquals([again.code, again.answer.code === 100 || again.answer.code === 999], [1, true]);
    assertEquals(network.reserved(), addressesOf(first));
    const checked = await network.call("CHECK", container, { fields, ...program });
    assertMatch(checked.answer.msg ?? "", /prevResult.* missing/);
    assertEquals(checked.answer.code, it === undefined ? 7 : 999);
    for (const CNI_NETNS of [container.path, container.path, "/run/netns/none"]) {
      const changes = { fields, ...program, env: { CNI_NETNS } };
      assertSilent(await network.call("DEL", container, changes), it ?? "calyx");
    }
    assertEquals(network.reserved(), []);
  }
});
