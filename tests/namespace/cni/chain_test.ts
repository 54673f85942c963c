/**
 * The plugin among others: `portmap` and `bandwidth` behind it in a list, addresses from `host-local`,
 * `static` and `dhcp` by delegation. The others are Debian's, called as libcni calls them; what comes
 * of it is asked of the kernel, with packets.
 */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { openCurrentNamespace } from "../../../lib/kernel/namespace.ts";
import { libc } from "../../../lib/kernel/symbols.ts";
import { addressesOf, callPlugin, type Fields } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { nodeIp, nodeLinks, nodeState } from "../../support/plugin/cni_node.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import {
  BANDWIDTH,
  CHAINED_PATH,
  CHAINED_PLUGINS,
  makeChainedPath,
  natRules,
  NO_BANDWIDTH,
  NO_PORTMAP,
  PORTMAP,
  rateOf,
} from "../../support/plugin/chained_plugins.ts";
import {
  CniRuntime,
  type PluginConfiguration,
  PluginFailure,
} from "../../support/plugin/cni_runtime.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { PodServers, probe } from "../../support/packet/probe.ts";
import { programTest, skippableTest } from "../../support/program/program.ts";
import { TestNamespace } from "../../support/kernel/test_namespace.ts";
import { PATIENCE_MS } from "../../support/until.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

const PORT = 80;

/** The versions in which both a reference plugin and ours answer ADD with interfaces. */
async function commonVersions(type: string): Promise<string[]> {
  const env = { CNI_COMMAND: "VERSION" };
  const { answer } = await callPlugin(`${CHAINED_PLUGINS}/${type}`, { env, stdin: "{}" });
  const versions = (answer.supportedVersions ?? []).filter((it) => it >= "0.3.0" && it <= "1.1.0");
  assert(versions.length >= 3, `${type} speaks too few versions`);
  return versions;
}

/** A runtime with a list that begins with ours, with the network's addresses. */
function runtimeOf(
  network: CniNetwork,
  cniVersion: string,
  ...others: readonly PluginConfiguration[]
): CniRuntime {
  const own = { type: "calyx", ipam: network.configuration().ipam };
  const plugins = [own, ...others];
  return new CniRuntime({
    cniVersion,
    name: "net1",
    plugins,
    folder: CHAINED_PLUGINS,
    env: { PATH: CHAINED_PATH },
  });
}

/** A machine beside the node: 192.0.2.2, the node is 192.0.2.1. */
class Neighbour extends TestNamespace {
  constructor() {
    super();
    nodeIp("link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", this.netnsName);
    nodeIp("addr", "add", "192.0.2.1/24", "dev", "lan0");
    nodeIp("link", "set", "lan0", "up");
    this.ip("addr", "add", "192.0.2.2/24", "dev", "eth0");
    this.ip("link", "set", "eth0", "up");
  }
}

skippableTest(
  "calyx with portmap behind it: the node's port reaches the pod, until DEL",
  NO_PORTMAP,
  async () => {
    requireIsolation();
    makeChainedPath();
    using neighbour = new Neighbour();
    using node = openCurrentNamespace();
    for (const cniVersion of await commonVersions("portmap")) {
      using network = new CniNetwork({}, ["10.244.0.0/24"]);
      using servers = new PodServers();
      const runtime = runtimeOf(network, cniVersion, PORTMAP);
      const portMappings = [{ hostPort: 8080, containerPort: PORT, protocol: "tcp" }];
      const ask = (namespace = neighbour.namespace, address = "192.0.2.1"): Promise<string> =>
        probe({ namespace, protocol: "TCP", address, port: 8080 }, PATIENCE_MS);
      // The second container gets the same port of the node, for another address.
      for (const id of ["server", "heir"]) {
        using container = new TestContainer(id);
        const result = await runtime.add(container, { portMappings });
        assertEquals(result.cniVersion, cniVersion);
        assertEquals(addressesOf(result), network.reserved());
        assertEquals(await ask(), "ECONNREFUSED", `${cniVersion} ${id}: the port is closed`);
        servers.tcp(container.namespace, PORT);
        assertEquals(await ask(), "open", `${cniVersion} ${id}: from outside`);
        assertEquals(await ask(node, "127.0.0.1"), "open", `${cniVersion} ${id}: from the node`);
        if (cniVersion >= "0.4.0") await runtime.check(container);
        await runtime.del(container);
        await runtime.del(container);
        assertEquals(natRules(id), []);
      }
      assertEquals([nodeState(), network.reserved()], [[], []]);
    }
    nodeIp("link", "del", "lan0");
  },
);

skippableTest(
  "calyx with portmap behind it: what portmap finds missing is no word of ours",
  NO_PORTMAP,
  async () => {
    requireIsolation();
    makeChainedPath();
    using network = new CniNetwork({}, ["10.244.0.0/24"]);
    using container = new TestContainer("server");
    const runtime = runtimeOf(network, "1.0.0", PORTMAP);
    const portMappings = [{ hostPort: 8080, containerPort: PORT, protocol: "tcp" }];
    await runtime.add(container, { portMappings });
    await runtime.check(container);
    new Deno.Command("iptables", { args: ["-t", "nat", "-F"] }).outputSync();
    const failure = await assertRejects(() => runtime.check(container), PluginFailure);
    assertEquals(failure.type, "portmap");
    await runtime.del(container);
    assertEquals([nodeState(), network.reserved()], [[], []]);
  },
);

skippableTest(
  "calyx before a plugin that fails: DEL in reverse takes all back",
  NO_PORTMAP,
  async () => {
    requireIsolation();
    makeChainedPath();
    using network = new CniNetwork();
    using container = new TestContainer("server");
    const runtime = runtimeOf(network, "1.0.0", PORTMAP);
    const portMappings = [{ hostPort: 70_000, containerPort: PORT, protocol: "tcp" }];
    const failure = await assertRejects(
      () => runtime.add(container, { portMappings }),
      PluginFailure,
    );
    assertEquals([failure.type, nodeLinks()], ["portmap", [container.hostName]]);
    // portmap refuses its own configuration at DEL too: runtimes go on, and so does this one.
    await runtime.del(container).catch((error) => assert(error instanceof PluginFailure));
    await network.call("DEL", container, { fields: { cniVersion: "1.0.0" } });
    assertEquals([nodeState(), network.reserved(), container.links], [[], [], ["lo"]]);
  },
);

skippableTest(
  "calyx with bandwidth behind it: the pair is shaped, both ways, until DEL",
  NO_BANDWIDTH,
  async () => {
    requireIsolation();
    makeChainedPath();
    for (const cniVersion of await commonVersions("bandwidth")) {
      using network = new CniNetwork();
      using container = new TestContainer("shaped");
      const runtime = runtimeOf(network, cniVersion, BANDWIDTH);
      const bandwidth = {
        ingressRate: 8_000_000,
        ingressBurst: 800_000,
        egressRate: 16_000_000,
        egressBurst: 800_000,
      };
      const result = await runtime.add(container, { bandwidth });
      const ifb = result.interfaces?.at(-1)?.name ?? "";
      assertEquals(result.interfaces?.slice(0, 2).map((it) => it.name), [
        container.hostName,
        "eth0",
      ]);
      assertEquals([rateOf(container.hostName), rateOf(ifb)], [1_000_000, 2_000_000], cniVersion);
      if (cniVersion >= "0.4.0") await runtime.check(container);
      await runtime.del(container);
      await runtime.del(container);
      assertEquals(nodeIp("link").filter((it) => it.ifname === ifb), []);
      assertEquals([nodeState(), network.reserved()], [[], []]);
    }
  },
);

programTest("calyx has host-local allocate, under another name", ["host-local"], async () => {
  requireIsolation();
  const folder = await Deno.makeTempDir({ dir: "/run" });
  await Deno.symlink(`${CHAINED_PLUGINS}/host-local`, `${folder}/reference`);
  const env = { CNI_PATH: `/nonexistent:${folder}` };
  using network = new CniNetwork();
  for (const cniVersion of ["0.2.0", ...await commonVersions("portmap")]) {
    using container = new TestContainer("delegated");
    const ipam = { ...network.hostLocal("10.9.0.0/24", "fd00:9::/64"), type: "reference" };
    const fields = { cniVersion, ipam };
    const answer = await network.add(container, { fields, env });
    assertEquals(addressesOf(answer), network.reserved(), cniVersion);
    assertEquals(network.reserved().length, 2);
    if (cniVersion >= "0.4.0") {
      const more = { ...fields, prevResult: answer };
      assertEquals((await network.call("CHECK", container, { fields: more, env })).code, 0);
      for (const address of network.reserved()) {
        await Deno.remove(`${network.dataDir}/net1/${address}`);
      }
      const { code, answer: { msg } } = await network.call("CHECK", container, {
        fields: more,
        env,
      });
      assertEquals(code, 1);
      assertMatch(msg ?? "", /host-local: Failed to find address/);
    }
    assertEquals((await network.call("DEL", container, { fields, env })).code, 0);
    assertEquals([nodeState(), network.reserved()], [[], []]);
  }
});

programTest("calyx takes addresses, routes and name servers from static", ["static"], async () => {
  requireIsolation();
  using network = new CniNetwork();
  for (const cniVersion of await commonVersions("portmap")) {
    using container = new TestContainer("fixed");
    const ipam: Fields = {
      type: "static",
      addresses: [
        // The gateway of the first one's subnet: its CHECK looks for that in the result.
        { address: "10.9.0.7/24", gateway: "10.9.0.1" },
        { address: "fd00:9::7/64" },
      ],
      routes: [{ dst: "198.51.100.0/24" }, { dst: "2001:db8::/32" }],
      dns: { nameservers: ["10.0.0.10"], search: ["example.org"] },
    };
    const env = { CNI_PATH: CHAINED_PLUGINS };
    const fields = { cniVersion, ipam };
    const answer = await network.add(container, { fields, env });
    assertEquals(answer.ips?.map((it) => [it.address, it.interface, it.gateway]), [
      ["10.9.0.7/32", 1, "10.9.0.1"],
      ["fd00:9::7/128", 1, undefined],
    ]);
    assertEquals(answer.routes, [
      { dst: "198.51.100.0/24", gw: "169.254.1.1" },
      { dst: "2001:db8::/32", gw: "fe80::ecee:eeff:feee:eeee" },
    ]);
    assertEquals(answer.dns, { nameservers: ["10.0.0.10"], search: ["example.org"] });
    assertEquals(container.ip("route", "show", "198.51.100.0/24")[0]?.gateway, "169.254.1.1");
    if (cniVersion >= "0.4.0") {
      const more = { ...fields, prevResult: answer };
      const checked = await network.call("CHECK", container, { fields: more, env });
      assertEquals([checked.code, checked.stdout], [0, ""], cniVersion);
    }
    assertEquals((await network.call("DEL", container, { fields, env })).code, 0);
    assertEquals(nodeState(), []);
  }
});

programTest(
  "calyx says clearly that dhcp is not there, or its daemon is not",
  ["dhcp"],
  async () => {
    requireIsolation();
    using network = new CniNetwork({ cniVersion: "1.0.0", ipam: { type: "dhcp" } });
    using container = new TestContainer("dhcp");
    const absent = await network.call("ADD", container, { env: { CNI_PATH: "/run:/nonexistent" } });
    assertEquals([absent.code, absent.answer.code], [1, 7]);
    assertMatch(absent.answer.msg ?? "", /"dhcp" is in none of CNI_PATH: \/run, \/nonexistent/);
    const idle = await network.call("ADD", container, { env: { CNI_PATH: CHAINED_PLUGINS } });
    assertEquals(idle.code, 1);
    assertMatch(idle.answer.msg ?? "", /error dialing DHCP daemon/);
    assertEquals([nodeState(), container.links], [[], ["lo"]]);
  },
);
