/** IPAM plugins that the compiled plugin calls: what they are given, and what comes of what they say. */

import { assertEquals, assertMatch } from "@std/assert";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { addressesOf } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { nodeState } from "../../support/plugin/cni_node.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import { ScriptedIpam } from "../../support/plugin/scripted_ipam.ts";
import {
  assertError,
  assertNothingLeft,
  forEachVersion,
  VERSIONS,
} from "../../support/plugin/specification.ts";

Deno.test("calyx gives a delegate its environment and the whole configuration", async () => {
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

Deno.test("calyx reads a delegate's result in every version's form, with what it leaves out", async () => {
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

Deno.test("calyx CHECK, DEL, GC and STATUS run the delegate, and return its error", async () => {
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
