import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import {
  aliasOf,
  attachmentOf,
  attachmentPartOf,
  isAliasOfNetwork,
  isOurAlias,
  isSameAttachment,
  isSameContainer,
  podDigestIn,
  podDigestOf,
} from "./link_alias.ts";

const ID = { network: "net1", containerId: "c1", ifname: "eth0" };
const POD = { namespace: "default", name: "web-0" };
/** As versions wrote it that did not name the pod. */
const OLD = "calyx/net1/c1/eth0";

Deno.test("aliasOf() says whose interface it is, and attachmentOf() reads it", () => {
  const alias = aliasOf(ID, POD);
  assertMatch(alias, /^calyx\/net1\/c1\/eth0\/[\w-]{24}$/);
  assertEquals(aliasOf(ID), OLD);
  for (const it of [alias, OLD]) {
    assertEquals(attachmentOf(it), { containerId: "c1", ifname: "eth0" });
    assertEquals([isAliasOfNetwork(it, "net1"), isAliasOfNetwork(it, "net")], [true, false]);
    assertEquals([isOurAlias(it), attachmentPartOf(it)], [true, OLD]);
  }
  assertEquals([isOurAlias("uplink"), isOurAlias(undefined)], [false, false]);
});

Deno.test("an alias proves its attachment, with or without the pod", () => {
  const alias = aliasOf(ID, POD);
  assert(isSameAttachment(OLD, alias) && isSameAttachment(alias, OLD));
  const others = [{ ifname: "net1" }, { containerId: "c" }, { network: "net2" }]
    .map((it) => aliasOf({ ...ID, ...it }, POD));
  for (const other of [...others, undefined, "uplink"]) {
    assertEquals(isSameAttachment(other, alias), false, other);
  }
  assertEquals(others.map((it) => isSameContainer(it, alias)), [true, false, true]);
});

Deno.test("an alias tells pods apart whose interface names are the same", () => {
  const pods = [["shop", "db-2966798"], ["evil", "m-433254"], ["shop", "db"], ["shop/db", ""]];
  const digests = pods.map(([namespace = "", name = ""]) => {
    const digest = podDigestIn(aliasOf(ID, { namespace, name }));
    assertEquals(digest, podDigestOf(namespace, name));
    return digest;
  });
  assertEquals(new Set(digests).size, pods.length);
  // printf shop/db | openssl sha256 -binary | head -c 18 | basenc --base64url
  assertEquals(podDigestOf("shop", "db"), "rZwa_qoPra1eRmf-HP22qAtZ");
  assertEquals([podDigestIn(OLD), podDigestIn(undefined), podDigestIn("a/b/c/d/e")], [
    undefined,
    undefined,
    undefined,
  ]);
});

Deno.test("aliasOf() stays within what the kernel takes, and different ids stay different", () => {
  const long = { network: "n".repeat(300), containerId: "c".repeat(300), ifname: "x".repeat(15) };
  const alias = aliasOf(long, POD);
  for (const length of [100, 300]) {
    const { length: size } = aliasOf({
      ...long,
      network: "n".repeat(length),
      containerId: "c".repeat(length),
    }, POD);
    assert(size < 256, `${size}`);
  }
  assertNotEquals(aliasOf({ ...long, containerId: "c".repeat(301) }, POD), alias);
  assertEquals(isAliasOfNetwork(alias, long.network), true);
  assertEquals(attachmentOf(alias), undefined);
});
