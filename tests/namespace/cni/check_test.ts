/** CHECK, asked of the compiled plugin: what was harmed, and that nothing else is said to be. */

import { assertEquals, assertMatch } from "@std/assert";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { addressesOf, type CniAnswer, type CniOutcome } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { nodeIp } from "../../support/plugin/cni_node.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import {
  assertError,
  assertNothingLeft,
  assertSilent,
  CHECK_VERSIONS,
} from "../../support/plugin/specification.ts";

/** Damages to a pod's network, and the message with which CHECK reports each. */
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

Deno.test("calyx CHECK passes right after ADD, and names what is missing or wrong", async () => {
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

Deno.test("calyx CHECK names all that is wrong at once", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using pod = new TestContainer("c1");
  const prevResult = await network.add(pod);
  pod.ip("route", "del", "default");
  nodeIp("-6", "route", "del", "fd00:10:244::2", "dev", pod.hostName);
  nodeIp("neigh", "del", "10.244.0.2", "dev", pod.hostName);
  const outcome = await network.call("CHECK", pod, { fields: { prevResult } });
  assertError(outcome, 102, "links");
  for (const part of ["no route 0.0.0.0/0", "no route fd00:10:244::2", "neighbour 10.244.0.2"]) {
    assertEquals(outcome.answer.msg?.includes(part), true, outcome.stdout);
  }
  for (const it of addressesOf(prevResult)) await Deno.remove(`${network.dataDir}/net1/${it}`);
  const unreserved = await network.call("CHECK", pod, { fields: { prevResult } });
  assertMatch(unreserved.answer.msg ?? "", /No address is reserved/);
  assertSilent(await network.call("DEL", pod), "DEL");
  assertNothingLeft(network);
});

Deno.test("calyx CHECK reports an address that is no longer reserved, or reserved for another container", async () => {
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

Deno.test("calyx CHECK goes by prevResult, and leaves to later plugins what is theirs", async () => {
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
