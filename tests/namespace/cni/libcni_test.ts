/**
 * The compiled plugin under libcni, the library that container runtimes call plugins with: its own
 * conversion of results and its own cache, in every version and with every command. Not for what a
 * runtime never does: input_test.ts has the wrong calls.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { encodeResult, parseResult } from "../../../cni/protocol/result.ts";
import { CNI_VERSIONS, type CniVersion } from "../../../cni/protocol/version.ts";
import {
  BANDWIDTH,
  natRules,
  NO_BANDWIDTH,
  NO_PORTMAP,
  PORTMAP,
  rateOf,
} from "../../support/plugin/chained_plugins.ts";
import { addressesOf, type CniAnswer, type Fields } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { nodeLinks, nodeState } from "../../support/plugin/cni_node.ts";
import { type Container, TestContainer } from "../../support/plugin/container.ts";
import { expectedOf, readNode } from "../../support/plugin/cni_node.ts";
import { StubAgent } from "../../support/plugin/stub_agent.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { type ConfigurationList, Libcni, type LibcniAnswer } from "../../support/plugin/libcni.ts";
import { findLibcni } from "../../support/plugin/libcni_driver.ts";
import { TestNode } from "../../support/node/node.ts";
import { skippableTest } from "../../support/program/program.ts";
import { until } from "../../support/until.ts";

const NO_LIBCNI = findLibcni().problem;
/** Those in which runtimes write lists. */
const LIST_VERSIONS: readonly CniVersion[] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
const CHECK_VERSIONS: readonly CniVersion[] = ["0.4.0", "1.0.0", "1.1.0"];

/** A list of the network's plugin, and of others behind it. */
function listOf(
  network: CniNetwork,
  cniVersion: string,
  fields: Fields = {},
  ...others: readonly Fields[]
): ConfigurationList {
  const { ipam } = network.configuration();
  return { cniVersion, name: "net1", plugins: [{ type: "calyx", ipam, ...fields }, ...others] };
}

/** The result in the version in which the plugin gave it. */
function resultOf({ results = {} }: LibcniAnswer, version: string): CniAnswer {
  const result = results[version];
  if (result === undefined) throw new Error(`No result in ${version}`);
  return result;
}

/** A result in one form, of any plugin: without `dns` if it is empty, which plugins may leave out. */
function normalized({ dns, ...result }: CniAnswer): Fields {
  return dns === undefined || Object.keys(dns).length === 0 ? result : { ...result, dns };
}

skippableTest(
  "calyx under libcni: ADD, CHECK and DEL of a list, in every version",
  NO_LIBCNI,
  async () => {
    requireIsolation();
    for (const version of LIST_VERSIONS) {
      using network = new CniNetwork();
      using container = new TestContainer("c1");
      using libcni = new Libcni(listOf(network, version));
      const result = resultOf(await libcni.do("ADD", { container }), version);
      assertEquals(readNode(network), expectedOf(container, result).sort(), version);
      const [kept, ...others] = Object.entries(libcni.cache);
      assertEquals(others, []);
      assertEquals([kept?.[0], kept?.[1].kind], ["net1-c1-eth0", "cniCacheV1"]);
      assertEquals(kept?.[1].result, result);
      assertEquals(resultOf(await libcni.do("cached result", { container }), version), result);
      const { failure } = await libcni.call("CHECK", { container });
      if (CHECK_VERSIONS.includes(version)) assertEquals(failure, undefined);
      else assertMatch(failure?.message ?? "", /does not support the CHECK command/);
      for (const time of ["once", "twice"]) {
        await libcni.do("DEL", { container });
        assertEquals([readNode(network), container.links, libcni.cache], [[], ["lo"], {}], time);
      }
    }
  },
);

skippableTest(
  "calyx under libcni: one plugin without a list, in every version and without one",
  NO_LIBCNI,
  async () => {
    requireIsolation();
    for (const version of [undefined, ...CNI_VERSIONS]) {
      using network = new CniNetwork({ cniVersion: version });
      using container = new TestContainer("c1");
      using libcni = new Libcni(network.configuration());
      const spoken = version ?? "0.1.0";
      const result = resultOf(await libcni.do("ADD", { container }), spoken);
      assertEquals(readNode(network), expectedOf(container, result).sort(), spoken);
      const { failure } = await libcni.call("CHECK", { container });
      if (CHECK_VERSIONS.some((it) => it === version)) assertEquals(failure, undefined);
      else assertMatch(failure?.message ?? "", /does not support the CHECK command/);
      for (const time of ["once", "twice"]) {
        await libcni.do("DEL", { container });
        assertEquals([readNode(network), container.links, libcni.cache], [[], ["lo"], {}], time);
      }
    }
  },
);

skippableTest(
  "calyx converts results as libcni does, from every version to every other",
  NO_LIBCNI,
  async () => {
    requireIsolation();
    const pairs: string[] = [];
    for (const from of CNI_VERSIONS) {
      const routes = [{ dst: "198.51.100.0/24" }, { dst: "0.0.0.0/0" }, { dst: "2001:db8::/32" }];
      const dns = { nameservers: ["10.0.0.10"], search: ["example.org"], options: ["ndots:5"] };
      using network = new CniNetwork({ cniVersion: from, dns });
      using container = new TestContainer("c1");
      const configuration = network.configuration();
      const ipam = { ...network.hostLocal("10.244.0.0/24", "fd00:10:244::/64"), routes };
      using libcni = new Libcni({ ...configuration, ipam });
      const { results = {} } = await libcni.do("ADD", { container });
      const given = parseResult(resultOf({ results }, from), from, "result");
      for (const [to, theirs] of Object.entries(results)) {
        const ours = JSON.parse(JSON.stringify(encodeResult(given, to as CniVersion)));
        assertEquals(normalized(ours), normalized(theirs), `${from} to ${to}`);
        pairs.push(`${from} ${to}`);
      }
      await libcni.do("DEL", { container });
      assertEquals(readNode(network), []);
    }
    assertEquals(pairs.length, CNI_VERSIONS.length ** 2, pairs.join());
  },
);

skippableTest(
  "calyx under libcni: what its cache holds is what CHECK goes by, and DEL needs none of it",
  NO_LIBCNI,
  async () => {
    requireIsolation();
    using network = new CniNetwork();
    using container = new TestContainer("c1");
    // An administrator changes the version of the list while the pod runs.
    const changes = CHECK_VERSIONS.flatMap((from) => CHECK_VERSIONS.map((to) => [from, to]));
    for (const [from = "", to = ""] of changes) {
      using libcni = new Libcni(listOf(network, from));
      await libcni.do("ADD", { container });
      const configuration = listOf(network, to);
      await libcni.do("CHECK", { container, configuration });
      await libcni.do("DEL", { container, configuration });
      assertEquals(readNode(network), [], `${from} to ${to}`);
    }
    for (const version of CHECK_VERSIONS) {
      using libcni = new Libcni(listOf(network, version));
      const result = resultOf(await libcni.do("ADD", { container }), version);
      const [[name, kept] = ["", {}]] = Object.entries(libcni.cache);
      const [first, ...ips] = result.ips ?? [];
      const wrong = { ...result, ips: [{ ...first, address: "192.0.2.1/32" }, ...ips] };
      libcni.spoilCache(name, JSON.stringify({ ...kept, result: wrong }));
      const { failure } = await libcni.call("CHECK", { container });
      assertEquals(failure?.plugin?.code, 102);
      assertMatch(failure?.plugin?.msg ?? "", /Address 192\.0\.2\.1 is not reserved/);
      libcni.spoilCache(
        name,
        version === "1.0.0" ? "junk" : JSON.stringify({ ...kept, result: 1 }),
      );
      await libcni.do("DEL", { container });
      assertEquals([readNode(network), container.links, libcni.cache], [[], ["lo"], {}], version);
    }
  },
);

skippableTest(
  "calyx under libcni: portmap and bandwidth behind it, with what the runtime knows",
  NO_LIBCNI ?? NO_PORTMAP ?? NO_BANDWIDTH,
  async () => {
    requireIsolation();
    const known = {
      ips: ["10.244.0.77"],
      portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
      bandwidth: {
        ingressRate: 8_000_000,
        ingressBurst: 800_000,
        egressRate: 16_000_000,
        egressBurst: 800_000,
      },
    };
    const own = { capabilities: { ips: true } };
    for (const version of ["0.3.1", "0.4.0", "1.0.0"]) {
      using network = new CniNetwork({}, ["10.244.0.0/24"]);
      using container = new TestContainer("chained");
      using libcni = new Libcni(listOf(network, version, own, PORTMAP, BANDWIDTH));
      const { capabilities = [] } = await libcni.do("validate");
      assertEquals([...capabilities].sort(), ["bandwidth", "ips", "portMappings"]);
      const result = resultOf(await libcni.do("ADD", { container, known }), version);
      const ifb = result.interfaces?.at(-1)?.name ?? "";
      assertEquals(addressesOf(result), known.ips);
      assert(natRules("10.244.0.77").length > 0, "portmap has rules");
      assertEquals([rateOf(container.hostName), rateOf(ifb)], [1_000_000, 2_000_000]);
      if (version >= "0.4.0") await libcni.do("CHECK", { container, known });
      if (version === "1.0.0") {
        // Without the runtime's capabilities: the library has them in its cache.
        await libcni.do("GC", { valid: [] });
      } else {
        await libcni.do("DEL", { container, known });
        await libcni.do("DEL", { container, known });
      }
      assertEquals([nodeState(), network.reserved(), libcni.cache], [[], [], {}], version);
      assertEquals([natRules("10.244.0.77"), container.links], [[], ["lo"]], version);
    }
  },
);

/** As a runtime names an attachment that is valid. */
function attachmentOf({ containerId }: Container) {
  return { ContainerID: containerId, IfName: "eth0" };
}

skippableTest(
  "calyx under libcni: GC frees what is cached and not valid, and what no cache knows",
  NO_LIBCNI,
  async () => {
    requireIsolation();
    await using agent = new StubAgent();
    using network = new CniNetwork();
    using others = new CniNetwork({}, ["10.245.0.0/24", "fd00:10:245::/64"]);
    const own = { agent_socket: agent.path, mtu: 1400 };
    using libcni = new Libcni(listOf(network, "1.1.0", own));
    const other: ConfigurationList = { ...listOf(others, "1.1.0", own), name: "net2" };
    using living = new TestContainer("living");
    using stale = new TestContainer("stale");
    using elsewhere = new TestContainer("elsewhere");
    using gone = new TestContainer("gone");
    const result = resultOf(await libcni.do("ADD", { container: living }), "1.1.0");
    for (const container of [stale, gone]) await libcni.do("ADD", { container });
    await libcni.do("ADD", { container: elsewhere, configuration: other });
    // The library's cache was lost with this one.
    using leaked = new TestContainer("leaked");
    using forgetful = new Libcni(listOf(network, "1.1.0", own));
    await forgetful.do("ADD", { container: leaked });
    gone[Symbol.dispose](); // its namespace, and with it the pair

    // In a version without GC, only what the cache knows.
    await libcni.do("GC", {
      configuration: listOf(network, "1.0.0", own),
      valid: [attachmentOf(living), attachmentOf(stale)],
    });
    assertEquals(Object.keys(libcni.cache).map((it) => it.split("-")[1]).sort(), [
      "elsewhere",
      "living",
      "stale",
    ]);
    assertEquals(network.reserved().length, 6);
    assertEquals(nodeLinks().length, 4);

    await libcni.do("GC", {
      valid: [attachmentOf(living), { ContainerID: "none", IfName: "eth0" }],
    });
    const links = nodeLinks();
    assertEquals(links, [living.hostName, elsewhere.hostName].sort());
    assertEquals(network.reserved(), addressesOf(result));
    assertEquals([stale.links, leaked.links], [["lo"], ["lo"]]);
    assertEquals([...agent.known].sort(), ["elsewhere", "living"]);
    const { attachments = [] } = await libcni.do("cached attachments");
    assertEquals(attachments.map((it) => `${it.Network} ${it.ContainerID}`).sort(), [
      "net1 living",
      "net2 elsewhere",
    ]);
    for (const time of ["once", "twice"]) {
      await libcni.do("CHECK", { container: living });
      await libcni.do("GC", { valid: [attachmentOf(living)] });
      assertEquals(network.reserved(), addressesOf(result), time);
    }
    await libcni.do("CHECK", { container: elsewhere, configuration: other });
    await libcni.do("GC", { configuration: { ...other, disableGC: true }, valid: [] });
    assertEquals(nodeLinks(), links);

    // A runtime without any container has no list at all: a Go program writes that as null.
    await libcni.do("GC", { valid: null });
    await libcni.do("GC", { configuration: other, valid: null });
    assertEquals([readNode(network), readNode(others), libcni.cache], [[], [], {}]);
    assertEquals([...agent.known], []);
  },
);

skippableTest(
  "calyx under libcni: GC without any word of what is valid is refused",
  NO_LIBCNI,
  async () => {
    requireIsolation();
    using network = new CniNetwork();
    using container = new TestContainer("c1");
    using libcni = new Libcni(listOf(network, "1.1.0"));
    using forgetful = new Libcni(listOf(network, "1.1.0"));
    const result = resultOf(await libcni.do("ADD", { container }), "1.1.0");
    const { failure } = await forgetful.call("GC");
    assertEquals(failure?.plugin?.code, 7);
    assertEquals(network.reserved(), addressesOf(result));
    await libcni.do("DEL", { container });
    assertEquals(readNode(network), []);
  },
);

skippableTest(
  "calyx under libcni: STATUS is 50 when the range is full, and when the agent is not there",
  NO_LIBCNI,
  async () => {
    requireIsolation();
    using network = new CniNetwork({}, ["10.244.0.0/30"]);
    using container = new TestContainer("c1");
    using other = new TestContainer("c2");
    using libcni = new Libcni(listOf(network, "1.1.0"));
    await libcni.do("STATUS");
    await libcni.do("ADD", { container });
    const { failure: full } = await libcni.call("STATUS");
    assertEquals(full?.plugin?.code, 50);
    assertMatch(full?.plugin?.msg ?? "", /10\.244\.0\.1-10\.244\.0\.2/);
    const { failure: refused } = await libcni.call("ADD", { container: other });
    assertEquals(refused?.plugin?.code, 100);
    await libcni.do("STATUS", { configuration: listOf(network, "1.0.0") }); // it cannot be asked
    await libcni.do("DEL", { container });
    await libcni.do("STATUS");
    const configuration = listOf(network, "1.1.0", { agent_socket: "/run/none.sock" });
    const { failure: alone } = await libcni.call("STATUS", { configuration });
    assertEquals(alone?.plugin?.code, 50);
    assertEquals(readNode(network), []);
  },
);

skippableTest(
  "calyx under libcni: its errors come through with code, message and details",
  NO_LIBCNI,
  async () => {
    requireIsolation();
    using network = new CniNetwork();
    using container = new TestContainer("c1");
    using twin = new TestContainer("c1");
    using libcni = new Libcni(listOf(network, "1.1.0"));
    await libcni.do("ADD", { container });
    const before = readNode(network);
    const missing = { containerId: "c2", path: "/run/netns/none", pod: "c2" };
    const cases: readonly (readonly [number, RegExp, Container, Fields])[] = [
      [2, /"datastore_type": "etcdv3"/, container, { datastore_type: "etcdv3" }],
      [7, /mtu/, container, { mtu: "big" }],
      [8, /\/run\/netns\/none/, missing, {}],
      [11, /\/run\/none\.sock/, { ...missing, path: twin.path }, {
        agent_socket: "/run/none.sock",
      }],
      [100, /has been allocated to c1/, twin, {}],
      [101, /eth0 exists/, container, {}],
    ];
    for (const [code, message, container, fields] of cases) {
      const configuration = listOf(network, "1.1.0", fields);
      const { failure } = await libcni.call("ADD", { container, configuration });
      assertEquals(failure?.plugin?.code, code, failure?.message);
      assertMatch(failure?.plugin?.msg ?? "", message);
      assertMatch(failure?.message ?? "", /^plugin type="calyx" failed \(add\): /);
      assert(failure?.message.includes(failure.plugin?.msg ?? "?"));
      assertEquals(readNode(network), before);
    }
    const { failure } = await libcni.call("ADD", { container: missing });
    assertEquals(typeof failure?.plugin?.details, "undefined");
    await libcni.do("DEL", { container });
    assertEquals(readNode(network), []);
  },
);

skippableTest(
  "calyx under libcni: VERSION and validation know every version and no other",
  NO_LIBCNI,
  async () => {
    requireIsolation();
    using network = new CniNetwork();
    using libcni = new Libcni(listOf(network, "1.1.0"));
    const { versions = [] } = await libcni.do("VERSION");
    assertEquals(versions, [...CNI_VERSIONS]);
    for (const version of CNI_VERSIONS) {
      const capabilities = { ips: true, ipRanges: false };
      const configuration = listOf(network, version, { capabilities });
      const list = await libcni.do("validate", { configuration });
      assertEquals(list.capabilities, ["ips"], version);
      const single = { ...network.configuration(), cniVersion: version, capabilities };
      const one = await libcni.do("validate", { configuration: single });
      assertEquals(one.capabilities, ["ips"], version);
    }
    const { failure } = await libcni.call("validate", {
      configuration: { ...network.configuration(), cniVersion: "0.5.0" },
    });
    assertMatch(failure?.message ?? "", /calyx does not support config version "0\.5\.0"/);
    // Of several versions a runtime takes the newest that it knows.
    using container = new TestContainer("c1");
    const configuration = { ...listOf(network, "0.4.0"), cniVersions: ["0.3.1", "1.0.0", "1.1.0"] };
    const { results } = await libcni.do("ADD", { container, configuration });
    assertEquals(libcni.cache["net1-c1-eth0"]?.result, results?.["1.1.0"]);
    await libcni.do("DEL", { container, configuration });
  },
);

skippableTest(
  "calyx under libcni: DEL frees all when the namespace is gone, and the log names the trace",
  NO_LIBCNI,
  async () => {
    requireIsolation();
    const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    const traceParent = `00-${trace}-00f067aa0ba902b7-01`;
    for (const version of LIST_VERSIONS) {
      using network = new CniNetwork();
      using container = new TestContainer("gone");
      const log = `${network.dataDir}/log`;
      using libcni = new Libcni(listOf(network, version, { log_file_path: log }));
      await libcni.do("ADD", { container, traceParent });
      container[Symbol.dispose](); // its namespace, and with it the pair
      await libcni.do("DEL", { container, traceParent });
      assertEquals([network.reserved(), libcni.cache], [[], {}], version);
      const lines = (await Deno.readTextFile(log)).trim().split("\n");
      const events: Fields[] = lines.map((it) => JSON.parse(it));
      assertEquals(new Set(events.map((it) => it.traceId)), new Set([trace]), version);
    }
    await until("the interfaces of the namespaces are gone", () => nodeLinks().length === 0);
  },
);

skippableTest(
  "calyx under libcni, with the agent: policy before start, and DEL without the agent",
  NO_LIBCNI,
  async () => {
    requireIsolation();
    await using node = await TestNode.start();
    using network = new CniNetwork();
    const own = {
      agent_socket: "/run/calyx/agent.sock",
      ipam: network.hostLocal("usePodCidr", "usePodCidrIPv6"),
    };
    using libcni = new Libcni(listOf(network, "1.1.0", own));
    using container = new TestContainer("web");
    using late = new TestContainer("late");
    await node.createPod("web");
    await node.createPolicy("closed", { podSelector: {}, policyTypes: ["Ingress", "Egress"] });
    await libcni.do("STATUS");
    const result = resultOf(await libcni.do("ADD", { container }), "1.1.0");
    assertMatch(addressesOf(result).join(), /^10\.244\.9\.\d+,fd00:10:244:9::[0-9a-f]+$/);
    assertEquals(readNode(network), expectedOf(container, result).sort());
    await libcni.do("CHECK", { container });

    node.agent.kill("SIGKILL");
    await node.agent.status;
    await libcni.do("CHECK", { container });
    for (const [command, code] of [["STATUS", 50], ["ADD", 11]] as const) {
      const { failure } = await libcni.call(command, { container: late });
      assertEquals(failure?.plugin?.code, code, failure?.message);
    }
    await libcni.do("DEL", { container });
    await libcni.do("DEL", { container: late });
    assertEquals([readNode(network), container.links, late.links], [[], ["lo"], ["lo"]]);
  },
);
