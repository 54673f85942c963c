import { assertEquals } from "@std/assert";
import { aliasOf, attachmentOf, hostNameOf, isAliasOfNetwork, isOurAlias } from "./attachment.ts";

Deno.test("aliasOf() says whose interface it is, and attachmentOf() reads it", () => {
  const alias = aliasOf({ network: "net1", containerId: "c1", ifname: "eth0" });
  assertEquals(alias, "calyx/net1/c1/eth0");
  assertEquals(attachmentOf(alias), { containerId: "c1", ifname: "eth0" });
  assertEquals([isOurAlias(alias), isOurAlias("uplink"), isOurAlias(undefined)], [
    true,
    false,
    false,
  ]);
  assertEquals([isAliasOfNetwork(alias, "net1"), isAliasOfNetwork(alias, "net")], [true, false]);
});

Deno.test("aliasOf() stays within what the kernel takes, and different ids stay different", () => {
  const long = { network: "n".repeat(300), containerId: "c".repeat(300), ifname: "x".repeat(15) };
  const alias = aliasOf(long);
  assertEquals(alias.length < 256, true, `${alias.length}`);
  assertEquals(aliasOf({ ...long, containerId: "c".repeat(301) }) === alias, false);
  assertEquals(isAliasOfNetwork(alias, long.network), true);
  assertEquals(attachmentOf(alias), undefined);
});

Deno.test("hostNameOf() is the pod's name for a pod, and the container's for anything else", () => {
  const id = { network: "net1", containerId: "c1", ifname: "eth0" };
  const pod = { namespace: "default", name: "web-0", uid: undefined };
  assertEquals(hostNameOf(pod, id), hostNameOf(pod, { ...id, containerId: "c2" }));
  assertEquals(
    hostNameOf(undefined, id) === hostNameOf(undefined, { ...id, ifname: "eth1" }),
    false,
  );
  assertEquals(hostNameOf(undefined, id).length, 15);
});
