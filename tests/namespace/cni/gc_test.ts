/** GC, asked of the compiled plugin: it frees what no valid attachment holds, and nothing else. */

import { assertEquals } from "@std/assert";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { addressesOf } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { nodeLinks, nodeState } from "../../support/plugin/cni_node.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import { ScriptedIpam } from "../../support/plugin/scripted_ipam.ts";
import {
  assertError,
  assertNothingLeft,
  assertSilent,
  NO_CONTAINER,
  VERSIONS,
} from "../../support/plugin/specification.ts";

Deno.test("calyx GC frees what no valid attachment holds, and goes on past what fails", async () => {
  requireIsolation();
  using ipam = new ScriptedIpam({ cniVersion: "1.1.0", ips: [{ address: "10.9.0.2/24" }] });
  using network = new CniNetwork();
  using kept = new TestContainer("kept");
  using stale = new TestContainer("stale");
  using gone = new TestContainer("gone");
  using foreign = new TestContainer("foreign"); // of another network
  const other = { name: "net2", ipam: network.hostLocal("10.245.0.0/24") };
  await network.add(foreign, { fields: other });
  const prevResult = await network.add(kept);
  await network.add(stale);
  await network.add(gone);
  gone[Symbol.dispose](); // and with it the pair: the addresses are all that is left
  const before = nodeState();
  const valid = [{ containerID: "kept", ifname: "eth0" }, { containerID: "other", ifname: "eth0" }];
  const fields = { "cni.dev/valid-attachments": valid };
  for (const cniVersion of VERSIONS.slice(0, -1)) {
    const outcome = await network.call("GC", NO_CONTAINER, { fields: { ...fields, cniVersion } });
    assertError(outcome, 1, cniVersion);
  }
  assertError(await network.call("GC", NO_CONTAINER), 7, "no list is not an empty one");
  assertError(
    await network.call("GC", NO_CONTAINER, { fields: { "cni.dev/valid-attachments": {} } }),
    7,
    "nor is anything else",
  );
  assertEquals(nodeState(), before);

  ipam.fail("GC", JSON.stringify({ code: 123, msg: "for a reason" }));
  const failing = await network.call("GC", NO_CONTAINER, {
    fields: { ...fields, ipam: { type: ipam.type } },
    env: { CNI_PATH: ipam.folder },
  });
  assertError(failing, 123, "delegate fails");
  assertEquals([nodeLinks(), stale.links], [[kept.hostName, foreign.hostName].sort(), ["lo"]]);
  assertEquals(network.reserved().length, 6);

  // The reference's GC answers 0 here, and the addresses stay taken.
  assertSilent(await network.call("GC", NO_CONTAINER, { fields }), "GC");
  assertEquals(network.reserved(), addressesOf(prevResult));
  assertSilent(await network.call("GC", NO_CONTAINER, { fields }), "GC again");
  assertSilent(await network.call("CHECK", kept, { fields: { prevResult } }), "the living one");
  // How libcni writes the list of a runtime that has no container left.
  const none = { "cni.dev/valid-attachments": null };
  assertSilent(await network.call("GC", NO_CONTAINER, { fields: none }), "null");
  assertSilent(await network.call("DEL", kept), "DEL");
  assertEquals([nodeLinks(), network.reserved(), network.reserved("net2")], [
    [foreign.hostName],
    [],
    ["10.245.0.2"],
  ]);
  assertSilent(await network.call("DEL", foreign, { fields: other }), "DEL of the other network's");
  assertNothingLeft(network);
});
