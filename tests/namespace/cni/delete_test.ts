/** DEL, asked of the compiled plugin: it frees all that ADD made, whatever has gone already. */

import { assertEquals, assertMatch } from "@std/assert";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { type CallChanges, CniNetwork } from "../../support/plugin/cni_network.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import { ScriptedIpam } from "../../support/plugin/scripted_ipam.ts";
import {
  assertError,
  assertNothingLeft,
  assertSilent,
  NO_CONTAINER,
  VERSIONS,
} from "../../support/plugin/specification.ts";

Deno.test("calyx DEL succeeds as often as it is asked, whatever has gone already", async () => {
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

Deno.test("calyx DEL frees all without prevResult and without a namespace", async () => {
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
    using container = new TestContainer("c06");
    await network.add(container, { fields: { cniVersion } });
    container[Symbol.dispose](); // its namespace, and with it the pair
    assertSilent(await network.call("DEL", container, { fields: { cniVersion } }), cniVersion);
    assertNothingLeft(network);
  }
});

Deno.test("calyx DEL needs neither agent nor ranges, and says that the agent does not know", async () => {
  requireIsolation();
  using network = new CniNetwork();
  const ipam = network.hostLocal("usePodCidr");
  const fields = { ipam, agent_socket: "/run/none.sock", mtu: "nonsense" };
  for (const CNI_NETNS of ["", "/run/netns/gone"]) {
    using container = new TestContainer("c1");
    await network.add(container);
    const outcome = await network.call("DEL", container, { fields, env: { CNI_NETNS } });
    assertEquals([outcome.code, outcome.stdout], [0, ""]);
    assertMatch(outcome.stderr, /"level":"warn".*calyx-agent does not answer on \/run\/none\.sock/);
    assertNothingLeft(network);
  }
});

Deno.test("calyx DEL refuses the plugin's own namespace, unless it is told to go on", async () => {
  requireIsolation();
  using network = new CniNetwork();
  const env = { CNI_NETNS: "/proc/self/ns/net" };
  assertError(await network.call("DEL", NO_CONTAINER, { env }), 8, "own namespace");
  for (const CNI_NETNS_OVERRIDE of ["1", "true"]) {
    const outcome = await network.call("DEL", NO_CONTAINER, {
      env: { ...env, CNI_NETNS_OVERRIDE },
    });
    assertSilent(outcome, CNI_NETNS_OVERRIDE);
  }
});

Deno.test("calyx DEL has a delegate free its address, without a namespace too", async () => {
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
