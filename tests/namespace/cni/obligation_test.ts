/**
 * What the CNI specification obliges a plugin to, one test an obligation (C01, C02, …), asked of the
 * compiled plugin in every version that knows it. Where the reference plugins are installed, the same
 * wrong calls go to them too and must end in the same way.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { createNamespace } from "../../../lib/kernel/namespace.ts";
import {
  addressesOf,
  type CallChanges,
  type CniAnswer,
  CniNetwork,
  type CniOutcome,
  type Container,
  type Fields,
  nodeIp,
  nodeLinks,
  nodeState,
  TestContainer,
} from "../../support/plugin/cni_network.ts";
import { StubAgent } from "../../support/plugin/cni_node.ts";
import { DIST } from "../../support/program/executable.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { findProgram } from "../../support/program/program.ts";
import { ScriptedIpam } from "../../support/plugin/scripted_ipam.ts";
import { PATIENCE_MS, until } from "../../support/until.ts";
import { removeNamespace } from "../../support/kernel/remove_namespace.ts";

const VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
type Version = typeof VERSIONS[number];
/** Those with CHECK, and with prevResult for DEL. */
const CHECK_VERSIONS: readonly Version[] = ["0.4.0", "1.0.0", "1.1.0"];
const GATEWAYS = ["169.254.1.1", "fe80::ecee:eeff:feee:eeee"];

/** A container that has no namespace, for calls that must not get that far. */
const NOBODY: Container = { containerId: "c1", path: "/run/netns/none", pod: "c1" };

/** Asserts that nothing of any pod is left on the node. */
function assertNothingLeft(network: CniNetwork): void {
  assertEquals([nodeState(), network.reserved()], [[], []]);
}

/** Asserts that a call did what it should and had nothing to say. */
function assertSilent({ code, stdout, stderr }: CniOutcome, what: string): void {
  assertEquals({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" }, what);
}

/** Asserts that a call failed as the specification has it: an error object on stdout (C20). */
function assertError({ code, answer, stdout }: CniOutcome, expected: number, what: string): void {
  assertEquals([code, answer.code], [1, expected], `${what}: ${stdout}`);
  const known = ["cniVersion", "code", "msg", "details"];
  assertEquals(Object.keys(answer).filter((it) => !known.includes(it)), [], what);
  assert(typeof answer.msg === "string" && answer.msg !== "", what);
  assert(answer.details === undefined || typeof answer.details === "string", what);
  assert(VERSIONS.some((it) => it === answer.cniVersion), what);
}

/** Calls for every version, two at a time: more would only wait for each other. */
async function forEachVersion(
  versions: readonly Version[],
  f: (version: Version) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < versions.length; at += 2) {
    await Promise.all(versions.slice(at, at + 2).map(f));
  }
}

Deno.test("C01 calyx exits 0 or 1, with the result or the error on stdout", async () => {
  requireIsolation();
  using network = new CniNetwork();
  await forEachVersion(VERSIONS, async (cniVersion) => {
    using container = new TestContainer(`c01-${cniVersion}`);
    const fields = { cniVersion };
    const added = await network.call("ADD", container, { fields });
    assertEquals([added.code, added.stderr], [0, ""], added.stdout);
    assertError(await network.call("ADD", NOBODY, { fields }), 8, cniVersion);
    assertSilent(await network.call("DEL", container, { fields }), cniVersion);
  });
  assertNothingLeft(network);
});

Deno.test("C02 calyx ADD makes the interface that the result describes", async () => {
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

Deno.test("C03 calyx ADD refuses a name that the container has, or that no link can have", async () => {
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

Deno.test("C04 calyx ADD hands on what an earlier plugin of the chain gave it", async () => {
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

Deno.test("C05 calyx DEL succeeds as often as it is asked, whatever has gone already", async () => {
  requireIsolation();
  using network = new CniNetwork();
  const losses: Readonly<Record<string, (container: TestContainer) => void>> = {
    "nothing": () => {},
    "the interface": (it) => it.ip("link", "del", "eth0"),
    "an address": (it) => it.ip("addr", "flush", "dev", "eth0"),
    "the reservations": () => Deno.removeSync(`${network.dataDir}/net1`, { recursive: true }),
  };
  for (const [what, lose] of Object.entries(losses)) {
    for (const cniVersion of ["0.2.0", "1.1.0"]) {
      using container = new TestContainer("c05");
      const fields = { cniVersion };
      assertSilent(await network.call("DEL", container, { fields }), `${what}: never added`);
      await network.add(container, { fields });
      lose(container);
      for (const time of ["once", "twice"]) {
        assertSilent(await network.call("DEL", container, { fields }), `${what}: ${time}`);
      }
      assertEquals(container.links, ["lo"]);
      assertNothingLeft(network);
    }
  }
});

Deno.test("C06 calyx DEL frees all without prevResult and without a namespace", async () => {
  requireIsolation();
  using network = new CniNetwork();
  const ways: readonly (readonly [string, CallChanges])[] = [
    ["no CNI_NETNS", { env: { CNI_NETNS: "" } }],
    ["a path that is gone", { env: { CNI_NETNS: "/run/netns/gone/ns" } }],
    ["a path to no namespace", { env: { CNI_NETNS: "/run" } }],
    ["prevResult null", { fields: { prevResult: null } }],
    ["prevResult empty", { fields: { prevResult: {} } }],
    ["prevResult broken", { fields: { prevResult: { ips: [{ address: 1 }] } } }],
    ["no CNI_ARGS", { env: { CNI_ARGS: "" } }],
    ["no CNI_ARGS that can be read", { env: { CNI_ARGS: "what" } }],
  ];
  for (const [what, changes] of ways) {
    using container = new TestContainer("c06");
    await network.add(container);
    assertSilent(await network.call("DEL", container, changes), what);
    assertNothingLeft(network);
  }
  for (const cniVersion of VERSIONS) {
    const container = { containerId: "c06", path: "/run/netns/short", pod: "c06" };
    createNamespace(container.path);
    await network.add(container, { fields: { cniVersion } });
    removeNamespace(container.path);
    assertSilent(await network.call("DEL", container, { fields: { cniVersion } }), cniVersion);
    assertEquals(network.reserved(), []);
  }
});

Deno.test("C06 calyx DEL refuses the plugin's own namespace, unless it is told to go on", async () => {
  requireIsolation();
  using network = new CniNetwork();
  const env = { CNI_NETNS: "/proc/self/ns/net" };
  assertError(await network.call("DEL", NOBODY, { env }), 8, "own namespace");
  for (const CNI_NETNS_OVERRIDE of ["1", "true"]) {
    const outcome = await network.call("DEL", NOBODY, { env: { ...env, CNI_NETNS_OVERRIDE } });
    assertSilent(outcome, CNI_NETNS_OVERRIDE);
  }
});

Deno.test("C06 calyx DEL has a delegate free its address, without a namespace too", async () => {
  requireIsolation();
  using ipam = new ScriptedIpam({ cniVersion: "1.0.0", ips: [{ address: "10.9.0.2/24" }] });
  using network = new CniNetwork({ cniVersion: "1.0.0", ipam: { type: ipam.type } });
  const env = { CNI_PATH: ipam.folder };
  using container = new TestContainer("c06");
  await network.add(container, { env });
  ipam.takeCalls();
  for (const CNI_NETNS of [container.path, "", "/run/netns/gone"]) {
    const { code, stdout } = await network.call("DEL", container, { env: { ...env, CNI_NETNS } });
    assertEquals([code, stdout, ipam.takeCalls()], [0, "", ["DEL"]]);
  }
  assertNothingLeft(network);
});

/** What somebody does to a pod, and the words of CHECK then. */
const DAMAGES: Readonly<
  Record<string, readonly [(container: TestContainer, answer: CniAnswer) => void, RegExp]>
> = {
  "link gone": [(it) => it.ip("link", "del", "eth0"), /no interface eth0/],
  "link down": [(it) => it.ip("link", "set", "eth0", "down"), /eth0 in the pod is down/],
  "host link down": [
    (it) => nodeIp("link", "set", it.hostName, "down"),
    /cali[0-9a-f]{11} on the node is down/,
  ],
  "address gone": [
    (it, answer) => it.ip("addr", "del", `${addressesOf(answer)[0]}/32`, "dev", "eth0"),
    /has no address 10\.244\.0\.\d+/,
  ],
  "address6 gone": [
    (it, answer) => it.ip("addr", "del", `${addressesOf(answer)[1]}/128`, "dev", "eth0"),
    /has no address fd00:10:244::/,
  ],
  "link address changed": [
    (it) => it.ip("link", "set", "eth0", "address", "02:00:00:00:00:09"),
    /has link address 02:00:00:00:00:09 instead of/,
  ],
  "default route gone": [(it) => it.ip("route", "del", "default"), /no route 0\.0\.0\.0\/0/],
  "default route elsewhere": [
    (it) => {
      it.ip("link", "add", "other", "type", "veth", "peer", "name", "rehto");
      it.ip("link", "set", "other", "up");
      it.ip("route", "replace", "default", "dev", "other");
    },
    /route 0\.0\.0\.0\/0 does not leave by eth0 and 169\.254\.1\.1/,
  ],
  "host route gone": [
    (it, answer) => nodeIp("route", "del", addressesOf(answer)[0] ?? "", "dev", it.hostName),
    /the node has no route 10\.244\.0\.\d+ by cali/,
  ],
  "neighbour gone": [
    (it, answer) => nodeIp("neigh", "del", addressesOf(answer)[0] ?? "", "dev", it.hostName),
    /no permanent neighbour 10\.244\.0/,
  ],
  "default route6 gone": [
    (it) => it.ip("-6", "route", "del", "default"),
    /no route ::\/0/,
  ],
  "host route6 gone": [
    (it, answer) => nodeIp("-6", "route", "del", addressesOf(answer)[1] ?? "", "dev", it.hostName),
    /the node has no route fd00:10:244::\S+ by cali/,
  ],
  "neighbour taken over": [
    (it, answer) => {
      const [address = ""] = addressesOf(answer);
      nodeIp("neigh", "replace", address, "lladdr", "02:00:00:00:00:09", "dev", it.hostName);
    },
    /sends what is for 10\.244\.0\.\d+ to 02:00:00:00:00:09/,
  ],
  "address on the node": [
    (_, answer) => nodeIp("addr", "add", `${addressesOf(answer)[0]}/32`, "dev", "lo"),
    /the node has the address 10\.244\.0\.\d+ itself/,
  ],
};

Deno.test("C07 calyx CHECK passes right after ADD, and names what is missing or wrong", async () => {
  requireIsolation();
  using network = new CniNetwork();
  const cells = Object.entries(DAMAGES).flatMap(([what, damage], index) =>
    // Every damage in one version, and the first in all of them.
    CHECK_VERSIONS.filter((_, at) => index === 0 || index % CHECK_VERSIONS.length === at)
      .map((cniVersion) => ({ what, damage, cniVersion }))
  );
  for (const { what, damage: [harm, expected], cniVersion } of cells) {
    using container = new TestContainer("c07");
    const answer = await network.add(container, { fields: { cniVersion } });
    const fields = { cniVersion, prevResult: answer };
    assertSilent(await network.call("CHECK", container, { fields }), `${what} ${cniVersion}`);
    harm(container, answer);
    const outcome = await network.call("CHECK", container, { fields });
    assertError(outcome, 102, what);
    assertMatch(outcome.answer.msg ?? "", expected, what);
    nodeIp("addr", "flush", "dev", "lo", "to", "10.244.0.0/24");
    assertSilent(await network.call("DEL", container, { fields }), what);
  }
  assertNothingLeft(network);
});

Deno.test("C07 calyx CHECK finds that an address is reserved no more, or by somebody else", async () => {
  requireIsolation();
  using network = new CniNetwork();
  const harms: Readonly<Record<string, (path: string) => Promise<void>>> = {
    "gone": (path) => Deno.remove(path),
    "another's": (path) => Deno.writeTextFile(path, "other\r\neth0"),
    "another interface's": (path) => Deno.writeTextFile(path, "c07\r\neth1"),
  };
  for (const [what, harm] of Object.entries(harms)) {
    for (const index of [0, 1]) {
      using container = new TestContainer("c07");
      const prevResult = await network.add(container);
      const address = addressesOf(prevResult)[index] ?? "";
      await harm(`${network.dataDir}/net1/${address}`);
      const outcome = await network.call("CHECK", container, { fields: { prevResult } });
      assertError(outcome, 102, what);
      assertEquals(outcome.answer.msg?.includes(address), true, `${what}: ${outcome.stdout}`);
      assertSilent(await network.call("DEL", container), what);
      await network.call("DEL", container, { env: { CNI_CONTAINERID: "other" } });
      await network.call("DEL", container, { env: { CNI_IFNAME: "eth1" } });
      assertNothingLeft(network);
    }
  }
});

Deno.test("C07 calyx CHECK goes by prevResult, and leaves to later plugins what is theirs", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using container = new TestContainer("c07");
  const answer = await network.add(container);
  const check = (prevResult: unknown): Promise<CniOutcome> =>
    network.call("CHECK", container, { fields: { prevResult } });
  container.ip("addr", "add", "192.0.2.9/32", "dev", "eth0");
  container.ip("route", "add", "198.51.100.0/24", "via", "169.254.1.1", "dev", "eth0");
  container.ip("link", "set", "eth0", "mtu", "1300");
  container.ip("link", "add", "later0", "type", "veth", "peer", "name", "later1");
  const { interfaces = [], ips = [] } = answer;
  assertSilent(await check(answer), "later changes");
  assertSilent(
    await check({
      ...answer,
      interfaces: [...interfaces, { name: "later0", sandbox: container.path }],
      ips: [...ips, { address: "192.0.2.10/24", interface: interfaces.length }],
    }),
    "a later plugin's interface and address",
  );
  assertError(await check({ ...answer, interfaces: [] }), 102, "no interface of ours");
  assertError(
    await check({ ...answer, ips: [...ips, { address: "192.0.2.8/32" }] }),
    102,
    "address",
  );
  assertError(await network.call("CHECK", container), 7, "no prevResult");
  assertSilent(await network.call("DEL", container), "DEL");
  assertNothingLeft(network);
});

Deno.test("C08 calyx CHECK, DEL, GC and STATUS run the delegate, and return its error", async () => {
  requireIsolation();
  using ipam = new ScriptedIpam({ cniVersion: "1.1.0", ips: [{ address: "10.9.0.2/24" }] });
  using network = new CniNetwork({ ipam: { type: ipam.type } });
  const env = { CNI_PATH: `/nonexistent:${ipam.folder}` };
  using container = new TestContainer("c08");
  const prevResult = await network.add(container, { env });
  const attachments = [{ containerID: "c08", ifname: "eth0" }];
  const fields = { prevResult, "cni.dev/valid-attachments": attachments };
  ipam.takeCalls();
  const commands = ["CHECK", "STATUS", "GC", "DEL"];
  for (const command of commands) {
    const { code, stdout, stderr } = await network.call(command, container, { fields, env });
    assertEquals([code, stdout, ipam.takeCalls()], [0, "", [command]], command);
    assertEquals(stderr, `scripted ${command}\n`);
  }
  await network.add(container, { env });
  for (const command of commands) {
    ipam.fail(command, JSON.stringify({ code: 123, msg: "for a reason", details: "of mine" }));
    const outcome = await network.call(command, container, { fields, env });
    const { msg, details } = outcome.answer;
    assertError(outcome, command === "STATUS" ? 50 : 123, command);
    assertEquals([msg, details], ["for a reason", "of mine"], command);
  }
  // What is ours is gone all the same.
  assertEquals([container.links, nodeState()], [["lo"], []]);
  ipam.fail("STATUS", JSON.stringify({ code: 51, msg: "and worse" }));
  assertError(await network.call("STATUS", container, { fields, env }), 51, "degraded");
});

Deno.test("C09 calyx STATUS says whether ADD would be served, and ADD never needs it", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using container = new TestContainer("c09");
  const fields = { ipam: network.hostLocal("10.244.0.0/30", "fd00:10:244::/64") };
  const status = (more: Fields = {}): Promise<CniOutcome> =>
    network.call("STATUS", container, { fields: { ...fields, ...more } });
  assertSilent(await status(), "free");
  await network.add(container, { fields });
  // The reference's host-local answers 0 here, and the next ADD fails.
  const full = await status();
  assertError(full, 50, "full");
  assertMatch(full.answer.msg ?? "", /10\.244\.0\.1-10\.244\.0\.2/);
  await network.call("DEL", container, { fields });
  assertSilent(await status(), "free again");
  assertError(await status({ agent_socket: "/run/none.sock" }), 50, "no agent");
  assertError(await status({ agent_socket: "none.sock" }), 7, "nonsense");
  assertError(await status({ ipam: { type: "none" } }), 50, "no delegate");
  await using agent = new StubAgent();
  const waiting = { agent_socket: agent.path };
  assertSilent(await status(waiting), "agent ready");
  agent.ready = "Nothing is in the kernel yet";
  const unready = await status(waiting);
  assertError(unready, 50, "agent not ready");
  assertMatch(unready.answer.msg ?? "", /calyx-agent is not ready: Nothing is in the kernel yet/);
  for (
    const more of [{ policy_setup_timeout_action: "closed" }, { policy_setup_timeout_seconds: 0 }]
  ) {
    assertSilent(await status({ ...waiting, ...more }), "pods start closed then");
  }
  for (const cniVersion of VERSIONS.slice(0, -1)) {
    assertError(await status({ cniVersion }), 1, cniVersion);
  }
  assertNothingLeft(network);
});

Deno.test("C10 calyx GC frees what no valid attachment holds, and goes on past what fails", async () => {
  requireIsolation();
  using ipam = new ScriptedIpam({ cniVersion: "1.1.0", ips: [{ address: "10.9.0.2/24" }] });
  using network = new CniNetwork();
  using kept = new TestContainer("kept");
  using stale = new TestContainer("stale");
  const gone = { containerId: "gone", path: "/run/netns/gone", pod: "gone" };
  createNamespace(gone.path);
  const prevResult = await network.add(kept);
  await network.add(stale);
  await network.add(gone);
  removeNamespace(gone.path); // and with it the pair: the addresses are all that is left
  await until("the interfaces of the namespace are gone", () => nodeLinks().length <= 2);
  const before = nodeState();
  const valid = [{ containerID: "kept", ifname: "eth0" }, { containerID: "other", ifname: "eth0" }];
  const fields = { "cni.dev/valid-attachments": valid };
  for (const cniVersion of VERSIONS.slice(0, -1)) {
    const outcome = await network.call("GC", NOBODY, { fields: { ...fields, cniVersion } });
    assertError(outcome, 1, cniVersion);
  }
  assertError(await network.call("GC", NOBODY), 7, "no list is not an empty one");
  assertError(
    await network.call("GC", NOBODY, { fields: { "cni.dev/valid-attachments": {} } }),
    7,
    "nor is anything else",
  );
  assertEquals(nodeState(), before);

  ipam.fail("GC", JSON.stringify({ code: 123, msg: "for a reason" }));
  const failing = await network.call("GC", NOBODY, {
    fields: { ...fields, ipam: { type: ipam.type } },
    env: { CNI_PATH: ipam.folder },
  });
  assertError(failing, 123, "delegate fails");
  assertEquals([nodeLinks(), stale.links], [[kept.hostName], ["lo"]]);
  assertEquals(network.reserved().length, 6);

  // The reference's GC answers 0 here, and the addresses stay taken.
  assertSilent(await network.call("GC", NOBODY, { fields }), "GC");
  assertEquals(network.reserved(), addressesOf(prevResult));
  assertSilent(await network.call("GC", NOBODY, { fields }), "GC again");
  assertSilent(await network.call("CHECK", kept, { fields: { prevResult } }), "the living one");
  // How libcni writes the list of a runtime that has no container left.
  const none = { "cni.dev/valid-attachments": null };
  assertSilent(await network.call("GC", NOBODY, { fields: none }), "null");
  assertNothingLeft(network);
  assertSilent(await network.call("DEL", kept), "DEL");
});

Deno.test("C11 calyx VERSION answers without its stdin, and in the caller's version with it", async () => {
  using network = new CniNetwork();
  const stdins = [["", "1.1.0"], ["what", "1.1.0"], [`{"cniVersion":"9.9.9"}`, "1.1.0"]]
    .concat(VERSIONS.map((it) => [JSON.stringify({ cniVersion: it }), it]));
  for (const [stdin = "", cniVersion] of stdins) {
    const outcome = await network.call("VERSION", NOBODY, { stdin });
    assertEquals([outcome.code, outcome.stderr], [0, ""], stdin);
    assertEquals(outcome.answer, { cniVersion, supportedVersions: [...VERSIONS] }, stdin);
  }
  const { stdout: text } = await network.call("VERSION", NOBODY, { stdin: "" });
  const list = VERSIONS.map((it) => JSON.stringify(it)).join();
  const compact = text.replaceAll(/\s/g, "");
  assertEquals(compact, `{"cniVersion":"1.1.0","supportedVersions":[${list}]}`);
  // A pipe that nobody writes to, and nobody closes.
  const child = new Deno.Command(`${DIST}/calyx`, {
    env: { CNI_COMMAND: "VERSION" },
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const late = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  const { success, stdout } = await child.output();
  clearTimeout(late);
  await child.stdin.close().catch(() => {});
  assert(success, "VERSION waited for stdin");
  const { supportedVersions } = JSON.parse(new TextDecoder().decode(stdout));
  assertEquals(supportedVersions, [...VERSIONS]);
});

Deno.test("C12 calyx serves containers side by side, one coming while another goes", async () => {
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
  const gone = await Promise.all([...first, ...second].map((it) => network.call("DEL", it)));
  assertEquals(gone.map((it) => it.code), gone.map(() => 0));
  assertNothingLeft(network);
});

Deno.test("C13 calyx gives a delegate its environment and the whole configuration", async () => {
  requireIsolation();
  using ipam = new ScriptedIpam({ cniVersion: "1.0.0", ips: [{ address: "10.9.0.2/24" }] });
  using network = new CniNetwork({ cniVersion: "1.0.0" });
  using container = new TestContainer("c13");
  const TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const env = { CNI_PATH: `/nonexistent:${ipam.folder}:/usr/lib/cni`, TRACEPARENT };
  const fields = { ipam: { type: ipam.type, some: { key: [1, "ü"] } }, more: { keys: true } };
  const { code, stderr } = await network.call("ADD", container, { fields, env });
  assertEquals([code, stderr], [0, "scripted ADD\n"]);
  const expected = { ...network.environment("ADD", container), ...env };
  assertEquals(ipam.environmentOf("ADD"), expected);
  assertEquals(JSON.parse(ipam.stdinOf("ADD")), network.configuration(fields));
  ipam.takeCalls();
  await network.call("DEL", container, { fields, env });
  assertEquals(ipam.environmentOf("DEL"), { ...expected, CNI_COMMAND: "DEL" });
  assertEquals(JSON.parse(ipam.stdinOf("DEL")), network.configuration(fields));

  const failures: readonly (readonly [string, number, RegExp])[] = [
    [`{"code":123,"msg":"for a reason"}`, 123, /^for a reason$/],
    ["", 999, /scripted ADD failed with exit code 1 and without a reason/],
  ];
  for (const [stdout, expectedCode, message] of failures) {
    ipam.fail("ADD", stdout);
    ipam.takeCalls();
    const outcome = await network.call("ADD", container, { fields, env });
    assertError(outcome, expectedCode, stdout);
    assertMatch(outcome.answer.msg ?? "", message);
    assertEquals(ipam.takeCalls(), ["ADD", "DEL"]);
    assertNothingLeft(network);
  }
});

Deno.test("C14 calyx reads a delegate's result in every version's form, with what it leaves out", async () => {
  requireIsolation();
  await forEachVersion(VERSIONS, async (cniVersion) => {
    const version = cniVersion < "1.0.0" ? { version: "4" } : {};
    const address = `10.9.0.${10 + VERSIONS.indexOf(cniVersion)}`;
    const result = cniVersion < "0.3.0"
      ? { cniVersion, ip4: { ip: `${address}/24` } }
      : { cniVersion, ips: [{ ...version, address: `${address}/24` }] };
    using ipam = new ScriptedIpam(result);
    using network = new CniNetwork({ cniVersion, ipam: { type: ipam.type } });
    using container = new TestContainer(`c14-${cniVersion}`);
    const env = { CNI_PATH: ipam.folder };
    const answer = await network.add(container, { env });
    assertEquals([answer.cniVersion, addressesOf(answer)], [cniVersion, [address]]);
    assertEquals((await network.call("DEL", container, { env })).code, 0);
  });
  assertEquals(nodeState(), []);
  using empty = new ScriptedIpam({ cniVersion: "1.0.0" });
  using network = new CniNetwork({ cniVersion: "1.0.0", ipam: { type: empty.type } });
  using container = new TestContainer("c14");
  const outcome = await network.call("ADD", container, { env: { CNI_PATH: empty.folder } });
  assertError(outcome, 100, "no address");
  assertEquals(empty.takeCalls(), ["ADD", "DEL"]);
});

Deno.test("C15 calyx names key and value of what it does not support, and every bad variable", async () => {
  using network = new CniNetwork();
  const field = await network.call("ADD", NOBODY, { fields: { datastore_type: "etcdv3" } });
  assertError(field, 2, "unsupported field");
  assertMatch(field.answer.msg ?? "", /"datastore_type": "etcdv3"/);
  const required: Readonly<Record<string, readonly string[]>> = {
    ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
    CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
    DEL: ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
    GC: ["CNI_PATH"],
    STATUS: ["CNI_PATH"],
  };
  for (const [command, names] of Object.entries(required)) {
    const empty = { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "", CNI_PATH: "" };
    const outcome = await network.call(command, NOBODY, { env: empty });
    assertError(outcome, 4, command);
    assertEquals(outcome.answer.msg, `required env variables [${names.join(",")}] missing`);
  }
  const env = { CNI_CONTAINERID: "-", CNI_IFNAME: "a b", CNI_NETNS: "" };
  const outcome = await network.call("ADD", NOBODY, { env });
  assertError(outcome, 4, "all kinds of wrong");
  for (const name of Object.keys(env)) assertMatch(outcome.answer.msg ?? "", new RegExp(name));
});

Deno.test("C16 calyx takes container ids and network names of the specification's form only", async () => {
  using network = new CniNetwork();
  const bad = ["../x", "-a", ".a", "_a", "a/b", "a b", "a:b", "ü", "a\n"];
  for (const id of bad) {
    assertError(await network.call("ADD", NOBODY, { env: { CNI_CONTAINERID: id } }), 4, id);
    assertError(await network.call("ADD", NOBODY, { fields: { name: id } }), 7, id);
  }
  for (const name of [undefined, "", 1, null]) {
    assertError(await network.call("ADD", NOBODY, { fields: { name } }), 7, String(name));
  }
  for (const id of ["a", "0", "a.B-c_d", "a".repeat(200)]) {
    // Accepted: the next thing that is wrong is the namespace.
    const changes = { env: { CNI_CONTAINERID: id }, fields: { name: id } };
    assertError(await network.call("ADD", NOBODY, changes), 8, id);
  }
});

Deno.test("C17 calyx takes interface names that the kernel takes", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using untouched = new TestContainer("c17-untouched");
  const wrong = ["a".repeat(16), "é".repeat(8), ".", "..", "a/b", "a:b", "a b", "a\tb", "a\n"]
    .concat("eth%d", "%", "all", "default"); // a pattern to the kernel, and what its sysctls call all
  for (const name of wrong) {
    for (const command of ["ADD", "DEL"]) {
      const outcome = await network.call(command, untouched, { env: { CNI_IFNAME: name } });
      assertError(outcome, 4, name);
      assertMatch(outcome.answer.msg ?? "", /CNI_IFNAME/);
    }
  }
  assertNothingLeft(network);
  for (const name of ["a", "a".repeat(15), "net-1.2_3", "..."]) {
    using container = new TestContainer("c17");
    await network.add(container, { env: { CNI_IFNAME: name } });
    assertEquals(container.links, ["lo", name]);
    assertSilent(await network.call("DEL", container, { env: { CNI_IFNAME: name } }), name);
  }
  assertNothingLeft(network);
});

Deno.test("C18 calyx allows configuration keys that it does not know", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using container = new TestContainer("c18");
  const fields = {
    "example.org/key": { a: [1] },
    capabilities: { portMappings: true },
    args: { labels: { a: "b" } },
    ipam: { ...network.hostLocal("10.244.0.0/24"), unknown: 1 },
  };
  assertEquals(addressesOf(await network.add(container, { fields })).length, 1);
  assertSilent(await network.call("DEL", container, { fields }), "DEL");
  assertNothingLeft(network);
});

Deno.test("C19 calyx answers in the version of the configuration, and prints nothing else", async () => {
  requireIsolation();
  using network = new CniNetwork({ log_level: "debug" });
  await forEachVersion(VERSIONS, async (cniVersion) => {
    using container = new TestContainer(`c19-${cniVersion}`);
    const fields = { cniVersion };
    const added = await network.call("ADD", container, { fields });
    assertEquals(added.answer.cniVersion, cniVersion);
    assertEquals(added.stdout, JSON.stringify(added.answer, undefined, 4) + "\n");
    if (CHECK_VERSIONS.includes(cniVersion)) {
      const prevResult = added.answer;
      const checked = await network.call("CHECK", container, { fields: { ...fields, prevResult } });
      assertEquals([checked.code, checked.stdout], [0, ""]);
    }
    const deleted = await network.call("DEL", container, { fields });
    assertEquals([deleted.code, deleted.stdout], [0, ""]);
    const failed = await network.call("ADD", NOBODY, { fields });
    assertEquals(failed.answer.cniVersion, cniVersion);
  });
  using container = new TestContainer("c19");
  const unsaid = await network.add(container, { fields: { cniVersion: undefined } });
  assertEquals([unsaid.cniVersion, addressesOf(unsaid).length], ["0.1.0", 2]);
  await network.call("DEL", container);
  assertNothingLeft(network);
});

Deno.test("C20 calyx keeps the specification's error codes, and has its own from 100 on", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using container = new TestContainer("c20");
  const broken = { fields: { prevResult: { ips: 1 } } };
  const cases: readonly (readonly [string, string, CallChanges, number])[] = [
    ["version", "ADD", { fields: { cniVersion: "2.0.0" } }, 1],
    ["unsupported field", "ADD", { fields: { device_type: "netkit" } }, 2],
    ["variables", "ADD", { env: { CNI_IFNAME: "" } }, 4],
    ["arguments", "ADD", { env: { CNI_ARGS: "X=1" } }, 4],
    ["resolv.conf", "ADD", {
      fields: { ipam: { ...network.hostLocal("10.244.0.0/24"), resolvConf: "/nonexistent" } },
    }, 5],
    ["no JSON", "ADD", { stdin: "{" }, 6],
    ["prevResult", "ADD", broken, 6],
    ["configuration", "ADD", { fields: { mtu: "big" } }, 7],
    ["namespace", "ADD", { env: { CNI_NETNS: "/nonexistent" } }, 8],
    ["own namespace", "ADD", { env: { CNI_NETNS: "/proc/self/ns/net" } }, 8],
    ["agent", "ADD", { fields: { agent_socket: "/run/none.sock" } }, 11],
    ["address", "ADD", { env: { CNI_ARGS: "IP=192.0.2.1" } }, 100],
    ["interface", "ADD", { env: { CNI_IFNAME: "lo" } }, 101],
    ["check", "CHECK", { fields: { prevResult: { ips: [] } } }, 102],
  ];
  for (const [what, command, changes, code] of cases) {
    assertError(await network.call(command, container, changes), code, what);
    assertNothingLeft(network);
  }
});

/** A wrong call, and how the reference plugins' main library answers it. */
interface Stimulus {
  readonly name: string;
  readonly command: string;
  readonly changes?: CallChanges;
  readonly code: number;
  /** What both messages speak of. */
  readonly message: RegExp;
  /**
   * Our code where the reference has none of its own and says 999; `message` is the same then. Also
   * for commands that older reference plugins do not know at all.
   */
  readonly ours?: number;
}

const STIMULI: readonly Stimulus[] = [
  {
    name: "no variable but the command",
    command: "ADD",
    changes: { env: { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "", CNI_PATH: "" } },
    code: 4,
    message: /required env variables \[CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH\] missing/,
  },
  { name: "unknown command", command: "FOO", code: 4, message: /unknown CNI_COMMAND: FOO/ },
  {
    name: "future version",
    command: "ADD",
    changes: { fields: { cniVersion: "9.9.9" } },
    code: 1,
    message: /incompatible CNI version/i,
  },
  {
    name: "no name",
    command: "ADD",
    changes: { fields: { name: undefined } },
    code: 7,
    message: /missing network name/,
  },
  {
    name: "bad name",
    command: "ADD",
    changes: { fields: { name: "../n" } },
    code: 7,
    message: /invalid characters .*in network name/,
  },
  { name: "empty stdin", command: "ADD", changes: { stdin: "" }, code: 6, message: /network conf/ },
  {
    name: "container id",
    command: "ADD",
    changes: { env: { CNI_CONTAINERID: "../x" } },
    code: 4,
    message: /invalid characters in containerID/,
  },
  {
    name: "long interface name",
    command: "ADD",
    changes: { env: { CNI_IFNAME: "a".repeat(16) } },
    code: 4,
    message: /(interface name|CNI_IFNAME).* (too long|longer)/,
  },
  {
    name: "CHECK before it was there",
    command: "CHECK",
    changes: { fields: { cniVersion: "0.3.1" } },
    code: 1,
    message: /config version does not allow CHECK/,
  },
  {
    name: "unknown arguments",
    command: "ADD",
    changes: { env: { CNI_ARGS: "FOO=1" } },
    code: 999,
    message: /ARGS: unknown args \["?FOO/,
    ours: 4,
  },
  {
    name: "no such namespace",
    command: "ADD",
    changes: { env: { CNI_NETNS: "/run/netns/none" } },
    code: 999,
    message: /netns.*\/run\/netns\/none/i,
    ours: 8,
  },
];

Deno.test("calyx ends wrong calls as the reference plugins do", async () => {
  requireIsolation();
  const reference = findProgram("ptp");
  using network = new CniNetwork({ cniVersion: "1.0.0" });
  using container = new TestContainer("golden");
  for (const { name, command, changes = {}, code, message, ours = code } of STIMULI) {
    const outcome = await network.call(command, container, changes);
    assertError(outcome, ours, name);
    assertMatch(outcome.answer.msg ?? "", message, name);
    if (reference === undefined) continue;
    const theirs = await network.call(command, container, { ...changes, program: reference });
    assertEquals([theirs.code, theirs.answer.code], [1, code], `${name}, reference`);
    assertMatch(theirs.answer.msg ?? "", message, `${name}, reference`);
    assertEquals(outcome.stdout, JSON.stringify(outcome.answer, undefined, 4) + "\n");
  }
  const future = await network.call("ADD", container, { fields: { cniVersion: "9.9.9" } });
  assertMatch(future.answer.details ?? "", /"9\.9\.9".*0\.1\.0.*1\.1\.0/);
  const gc = await network.call("GC", container, { fields: { "cni.dev/valid-attachments": [] } });
  assertError(gc, 1, "GC before it was there");
  assertMatch(gc.answer.msg ?? "", /config version does not allow GC/);
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

Deno.test("calyx explains itself when it is run without a command, as the reference plugins do", async () => {
  requireIsolation();
  for (const it of programs()) {
    const program = it === undefined ? {} : { program: it };
    using network = new CniNetwork();
    const { code, stdout, stderr } = await network.call("", NOBODY, { stdin: "", ...program });
    assertEquals([code, stdout], [0, ""]);
    assertMatch(stderr, /CNI .*plugin/);
    assertMatch(
      stderr,
      /CNI protocol versions supported: 0\.1\.0, 0\.2\.0, 0\.3\.0, 0\.3\.1, 0\.4\.0/,
    );
  }
});
