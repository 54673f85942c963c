/**
 * Requests of lib/netlink against a real kernel, with ip(8) as the oracle: what we made must be
 * listed as if `ip` had made it, and our own parsers must see what `ip` lists.
 */

import { assertEquals } from "@std/assert";
import { assert } from "../../../lib/base/assert.ts";
import { sleep } from "../../../lib/base/async.ts";
import { withNamespace } from "../../../lib/kernel/namespace.ts";
import { Address } from "../../../lib/ip/address.ts";
import { Prefix } from "../../../lib/ip/prefix.ts";
import { isExists, isNotFound, NetlinkError } from "../../../lib/netlink/error.ts";
import {
  addAddress,
  deleteAddress,
  dumpAddresses,
  parseAddress,
} from "../../../lib/netlink/address/address.ts";
import {
  addLink,
  addVeth,
  deleteLink,
  dumpLinks,
  getLink,
  type Link,
  parseLink,
  setLink,
} from "../../../lib/netlink/link/link.ts";
import {
  addNeighbour,
  deleteNeighbour,
  dumpNeighbours,
  parseNeighbour,
} from "../../../lib/netlink/neighbour/neighbour.ts";
import type { Request } from "../../../lib/netlink/message.ts";
import { addRoute, deleteRoute, dumpRoutes, parseRoute } from "../../../lib/netlink/route/route.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { TestNamespace } from "../../support/kernel/test_namespace.ts";

const HOST_MAC = "ee:ee:ee:ee:ee:ee";
/** RFC 2863 state, <linux/if.h>. */
const IF_OPER_UP = 6;
const POD_MAC = "02:00:00:00:00:05";

function linkOf(namespace: TestNamespace, name: string): Link {
  const [message] = namespace.route.request(getLink({ name }));
  assert(message !== undefined);
  return parseLink(message);
}

/** Sends each, and throws the first error. */
function send(namespace: TestNamespace, requests: readonly Request[]): void {
  for (const result of namespace.route.pipeline(requests)) {
    if (result instanceof NetlinkError) throw result;
  }
}

/** The fields of `object` that tell something here. */
function pick(object: Record<string, unknown> | undefined, ...keys: string[]): unknown[] {
  return keys.map((it) => object?.[it]);
}

/** A host and a pod, tied by a veth pair that is up. */
class Pair implements Disposable {
  readonly host = new TestNamespace();
  readonly pod = new TestNamespace();
  readonly near: Link;
  readonly far: Link;

  constructor() {
    this.host.route.request(addVeth({
      name: "cali0",
      address: HOST_MAC,
      mtu: 1400,
      up: true,
      peer: { name: "eth0", address: POD_MAC, mtu: 1400, namespaceFd: this.pod.namespace.fd },
    }));
    this.pod.route.request(setLink({ name: "eth0", up: true }));
    this.near = linkOf(this.host, "cali0");
    this.far = linkOf(this.pod, "eth0");
  }

  [Symbol.dispose](): void {
    this.host[Symbol.dispose]();
    this.pod[Symbol.dispose]();
  }
}

Deno.test("addVeth() makes both ends, each where it belongs", async () => {
  requireIsolation();
  using pair = new Pair();
  const { host, pod, near, far } = pair;
  const keys = ["ifname", "address", "mtu", "linkinfo"];
  const kind = { info_kind: "veth" };
  const [listed] = host.ip("link", "show", "cali0");
  assertEquals(pick(listed, ...keys), ["cali0", HOST_MAC, 1400, kind]);
  assertEquals(pick(listed, "link_netnsid", "link_index"), [near.peerNamespaceId, far.index]);
  const [listedPod] = pod.ip("link", "show", "eth0");
  assertEquals(pick(listedPod, ...keys), ["eth0", POD_MAC, 1400, kind]);
  assertEquals([near.kind, near.peerIndex, near.up], ["veth", far.index, true]);
  assertEquals([far.kind, far.peerIndex, far.up], ["veth", near.index, true]);
  for (const [namespace, { name }] of [[host, near], [pod, far]] as const) {
    await becomesUp(namespace, name);
  }
});

/** Before Linux 6.8 it takes up to a second until the kernel shows that the other end is up. */
async function becomesUp(namespace: TestNamespace, name: string): Promise<void> {
  const endMs = performance.now() + 60_000;
  while (linkOf(namespace, name).operationalState !== IF_OPER_UP) {
    assert(performance.now() < endMs, `${name} does not become up`);
    await sleep(10);
  }
}

Deno.test("addVeth() answers with the near end", () => {
  requireIsolation();
  using host = new TestNamespace();
  const [message] = host.route.request(addVeth({ name: "a", peer: { name: "b" } }));
  // Linux before 6.2 sends no answer: a caller that needs the link dumps it.
  if (message !== undefined) assertEquals(parseLink(message).name, "a");
  assertEquals(linkOf(host, "b").peerIndex, linkOf(host, "a").index);
});

Deno.test("addVeth() leaves nothing when the far name is taken", () => {
  requireIsolation();
  using host = new TestNamespace();
  using pod = new TestNamespace();
  send(pod, [addLink({ kind: "bridge", name: "eth0" })]);
  const request = addVeth({
    name: "cali0",
    peer: { name: "eth0", namespaceFd: pod.namespace.fd },
  });
  const [result] = host.route.pipeline([request]);
  assertEquals(isExists(result), true, String(result));
  assertEquals(host.route.dump(dumpLinks()).length, 1);
});

Deno.test("setLink() changes what it names and no more", () => {
  requireIsolation();
  using pair = new Pair();
  const { host, near } = pair;
  const index = near.index;
  send(host, [
    addLink({ kind: "bridge", name: "br0", up: true }),
    setLink({ index, mtu: 1300 }),
    setLink({ index, address: "02:00:00:00:00:99" }),
    setLink({ index, alias: "default/web" }),
  ]);
  send(host, [setLink({ index, master: linkOf(host, "br0").index })]);
  const [listed] = host.ip("link", "show", "cali0");
  assertEquals(pick(listed, "mtu", "address", "ifalias", "master"), [
    1300,
    "02:00:00:00:00:99",
    "default/web",
    "br0",
  ]);
  const { master, alias, up, kind } = linkOf(host, "cali0");
  assertEquals([master, alias, up, kind], [linkOf(host, "br0").index, "default/web", true, "veth"]);
  assertEquals(linkOf(host, "br0").kind, "bridge");
  send(host, [
    setLink({ index, master: 0 }),
    setLink({ index, up: false }),
    setLink({ index, newName: "cali1" }),
  ]);
  const renamed = linkOf(host, "cali1");
  assertEquals([renamed.index, renamed.master, renamed.up], [index, undefined, false]);
});

Deno.test("deleteLink() takes both ends away", () => {
  requireIsolation();
  using pair = new Pair();
  send(pair.host, [deleteLink({ name: "cali0" })]);
  const [near] = pair.host.route.pipeline([getLink({ index: pair.near.index })]);
  const [far] = pair.pod.route.pipeline([getLink({ name: "eth0" })]);
  assertEquals([isNotFound(near), isNotFound(far)], [true, true]);
});

Deno.test("addAddress() adds both families, usable at once", () => {
  requireIsolation();
  using pair = new Pair();
  const { pod, far: { index } } = pair;
  const prefixes = ["10.244.0.5/32", "10.9.0.7/24", "fd00:10:244::5/128"];
  send(pod, prefixes.map((it) => addAddress({ index, prefix: Prefix.parse(it), noDad: true })));
  const [listed] = pod.ip("addr", "show", "dev", "eth0", "scope", "global");
  const infos = listed?.["addr_info"];
  assert(Array.isArray(infos));
  const listedHere = infos.filter((it) => "local" in it); // `ip` prints {} for what it filters out
  assertEquals(
    listedHere.map((it) => pick(it, "family", "local", "prefixlen", "tentative", "nodad")),
    [
      ["inet", "10.244.0.5", 32, undefined, undefined],
      ["inet", "10.9.0.7", 24, undefined, undefined],
      ["inet6", "fd00:10:244::5", 128, undefined, true],
    ],
  );
  const dump = pod.route.dump(dumpAddresses(undefined, { index })).map(parseAddress);
  const ours = dump.filter((it) => it.scope === 0).map((it) => String(it.prefix));
  assertEquals(ours, prefixes);
  assertEquals(pod.route.dump(dumpAddresses(6, { index: 1 })).length, 0); // loopback is down
});

Deno.test("addAddress() refuses a second time unless it replaces", () => {
  requireIsolation();
  using pair = new Pair();
  const { pod, far: { index } } = pair;
  for (const text of ["10.244.0.5/32", "fd00::5/128"]) {
    const prefix = Prefix.parse(text);
    const [first, second, third] = pod.route.pipeline([
      addAddress({ index, prefix }),
      addAddress({ index, prefix }),
      addAddress({ index, prefix, replace: true }),
    ]);
    assertEquals([first, isExists(second), third], [[], true, []]);
  }
});

Deno.test("deleteAddress() deletes, and says when there is nothing to delete", () => {
  requireIsolation();
  using pair = new Pair();
  const { pod, far: { index } } = pair;
  for (const text of ["10.244.0.5/32", "fd00::5/128"]) {
    const prefix = Prefix.parse(text);
    send(pod, [addAddress({ index, prefix }), deleteAddress({ index, prefix })]);
    const [again] = pod.route.pipeline([deleteAddress({ index, prefix })]);
    assertEquals(isNotFound(again), true, String(again));
  }
});

Deno.test("addRoute() makes the routes of a pod and of its host", () => {
  requireIsolation();
  using pair = new Pair();
  const { host, pod, near, far } = pair;
  const gateway6 = Address.parse("fe80::ecee:eeff:feee:eeee");
  send(pod, [
    addAddress({ index: far.index, prefix: Prefix.parse("10.244.0.5/32") }),
    addRoute({
      destination: "default",
      index: far.index,
      gateway: Address.parse("169.254.1.1"),
      onlink: true,
    }),
    addRoute({ destination: "default", index: far.index, gateway: gateway6 }),
  ]);
  send(host, [
    addRoute({ destination: Prefix.parse("10.244.0.5/32"), index: near.index, protocol: 80 }),
    addRoute({ destination: Prefix.parse("fd00::5/128"), index: near.index, protocol: 80 }),
    addRoute({ destination: Prefix.parse("10.9.8.7/16"), index: near.index, table: 1000 }),
  ]);
  const keys = ["dst", "gateway", "dev", "protocol", "scope", "flags"];
  assertEquals(pod.ip("-4", "route", "show").map((it) => pick(it, ...keys)), [
    ["default", "169.254.1.1", "eth0", "boot", "global", ["onlink"]],
  ]);
  assertEquals(pod.ip("-6", "route", "show", "default").map((it) => pick(it, ...keys)), [
    ["default", String(gateway6), "eth0", "boot", "global", []],
  ]);
  assertEquals(host.ip("-4", "route", "show").map((it) => pick(it, ...keys)), [
    ["10.244.0.5", undefined, "cali0", "80", "link", []],
  ]);
  assertEquals(host.ip("-6", "route", "show", "fd00::5").map((it) => pick(it, ...keys)), [
    ["fd00::5", undefined, "cali0", "80", "global", []],
  ]);
  assertEquals(host.ip("route", "show", "table", "1000").map((it) => pick(it, ...keys)), [
    ["10.9.0.0/16", undefined, "cali0", "boot", "link", []],
  ]);
});

Deno.test("dumpRoutes() lists what ip(8) lists", () => {
  requireIsolation();
  using pair = new Pair();
  const { host, near: { index } } = pair;
  send(host, [
    addAddress({ index, prefix: Prefix.parse("10.1.0.1/24") }),
    addAddress({ index, prefix: Prefix.parse("fd01::1/64"), noDad: true }),
    addRoute({
      destination: Prefix.parse("10.2.0.0/16"),
      index,
      gateway: Address.parse("10.1.0.9"),
      priority: 7,
      preferredSource: Address.parse("10.1.0.1"),
    }),
    addRoute({ destination: Prefix.parse("fd02::/48"), index, gateway: Address.parse("fd01::9") }),
    addRoute({ destination: Prefix.parse("10.3.0.0/16"), index, table: 1000 }),
  ]);
  for (const family of [4, 6] as const) {
    const ours = host.route.dump(dumpRoutes(family, { index })).map(parseRoute)
      .filter((it) => it.type === 1)
      .map((it) => ({
        dst: String(it.destination).replace(/\/(32|128)$/, ""),
        gateway: it.gateway?.toString(),
        metric: it.priority === 0 ? undefined : it.priority,
        prefsrc: it.preferredSource?.toString(),
        table: it.table === 254 ? "main" : String(it.table),
      }));
    const theirs = host.ip(`-${family}`, "route", "show", "table", "all", "dev", "cali0")
      .filter((it) => it["type"] === "unicast")
      .map(({ dst, gateway, metric, prefsrc, table }) => ({
        dst,
        gateway,
        metric,
        prefsrc,
        table,
      }));
    assert(ours.length >= 3 - (family === 6 ? 1 : 0));
    assertEquals(ours, theirs);
  }
  const inTable = host.route.dump(dumpRoutes(4, { table: 1000 })).map(parseRoute);
  assertEquals(inTable.map((it) => String(it.destination)), ["10.3.0.0/16"]);
});

Deno.test("addRoute() refuses a second time unless it replaces; deleteRoute() deletes once", () => {
  requireIsolation();
  using pair = new Pair();
  const { host, near: { index } } = pair;
  for (const text of ["10.244.0.5/32", "fd00::5/128"]) {
    const destination = Prefix.parse(text);
    const [first, second, replaced, deleted, again] = host.route.pipeline([
      addRoute({ destination, index }),
      addRoute({ destination, index }),
      addRoute({ destination, index, replace: true }),
      deleteRoute({ destination, index }),
      deleteRoute({ destination, index }),
    ]);
    assertEquals([first, replaced, deleted], [[], [], []], text);
    assertEquals([isExists(second), isNotFound(again)], [true, true], text);
  }
});

Deno.test("addRoute() brings the kernel's words when the gateway cannot be reached", () => {
  requireIsolation();
  using pair = new Pair();
  const { pod, far: { index } } = pair;
  const gateway = Address.parse("169.254.1.1");
  const [result] = pod.route.pipeline([addRoute({ destination: "default", index, gateway })]);
  assertEquals(
    String(result),
    `NetlinkError: Cannot RTM_NEWROUTE route default via 169.254.1.1 by link ${index}: ` +
      "ENETUNREACH (Nexthop has invalid gateway)",
  );
});

Deno.test("addNeighbour() makes permanent neighbours of both families", () => {
  requireIsolation();
  using pair = new Pair();
  const { host, near: { index } } = pair;
  const texts = ["10.244.0.5", "fd00::5"];
  send(
    host,
    texts.map((it) =>
      addNeighbour({ index, address: Address.parse(it), linkAddress: POD_MAC, permanent: true })
    ),
  );
  const listed = host.ip("neigh", "show", "dev", "cali0", "nud", "permanent");
  assertEquals(
    listed.map((it) => pick(it, "dst", "lladdr", "state")).sort(),
    texts.map((it) => [it, POD_MAC, ["PERMANENT"]]),
  );
  for (const [family, text] of [[4, "10.244.0.5"], [6, "fd00::5"]] as const) {
    const dump = host.route.dump(dumpNeighbours(family, { index })).map(parseNeighbour)
      .filter((it) => it.permanent);
    const ours = dump.map((it) => [String(it.address), it.linkAddress, it.index]);
    assertEquals(ours, [[text, POD_MAC, index]]);
  }
});

Deno.test("addNeighbour() refuses a second time unless it replaces; deleteNeighbour() deletes", () => {
  requireIsolation();
  using pair = new Pair();
  const { host, near: { index } } = pair;
  const address = Address.parse("10.244.0.5");
  const [first, second, third] = host.route.pipeline([
    addNeighbour({ index, address, linkAddress: POD_MAC }),
    addNeighbour({ index, address, linkAddress: HOST_MAC }),
    addNeighbour({ index, address, linkAddress: HOST_MAC, replace: true }),
  ]);
  assertEquals([first, isExists(second), third], [[], true, []]);
  const [found] = host.route.dump(dumpNeighbours(4)).map(parseNeighbour);
  assertEquals(found?.linkAddress, HOST_MAC);
  send(host, [deleteNeighbour({ index, address })]);
  const [gone] = host.route.pipeline([
    deleteNeighbour({ index, address: Address.parse("10.0.0.1") }),
  ]);
  assertEquals(isNotFound(gone), true, String(gone));
  assertEquals(
    host.route.dump(dumpNeighbours(4)).map(parseNeighbour).filter((it) => it.permanent),
    [],
  );
});

Deno.test("permanent neighbours and an onlink gateway carry packets", () => {
  requireIsolation();
  using pair = new Pair();
  const { host, pod, near, far } = pair;
  const gateway = Address.parse("169.254.1.1");
  const podAddress = Prefix.parse("10.244.0.5/32");
  const hostAddress = Prefix.parse("192.0.2.1/32");
  send(host, [
    setLink({ name: "lo", up: true }),
    addAddress({ index: 1, prefix: hostAddress }),
    addRoute({ destination: podAddress, index: near.index }),
    addNeighbour({ index: near.index, address: podAddress.address, linkAddress: POD_MAC }),
  ]);
  send(pod, [
    addAddress({ index: far.index, prefix: podAddress }),
    addNeighbour({ index: far.index, address: gateway, linkAddress: HOST_MAC }),
    addRoute({ destination: "default", index: far.index, gateway, onlink: true }),
  ]);
  using listener = withNamespace(
    host.namespace,
    () => Deno.listen({ hostname: "192.0.2.1", port: 0 }),
  );
  const { port } = listener.addr;
  const program = `(await Deno.connect({ hostname: "192.0.2.1", port: ${port} })).close()`;
  const deno = new Deno.Command(Deno.execPath(), { args: ["eval", program] });
  // The host's kernel completes the handshake; accept(2) is not needed.
  const { code, stderr } = withNamespace(pod.namespace, () => deno.outputSync());
  assertEquals(code, 0, new TextDecoder().decode(stderr));
});
