import { assertEquals } from "@std/assert";
import type { Attachment } from "../lib/model/facts.ts";
import type { Link } from "../lib/netlink/link/link.ts";
import { hasInterface } from "./pod_links.ts";

const ATTACHMENT: Attachment = {
  containerId: "c1",
  ifname: "eth0",
  namespace: "x",
  pod: "web",
  uid: undefined,
  interfaceName: "cali1",
  addresses: [],
};

Deno.test("hasInterface() asks the link whose it is, and believes the name where it does not say", () => {
  const cases: readonly (readonly [string, string | undefined, boolean])[] = [
    ["cali1", "calyx/net/c1/eth0/digest", true],
    ["cali1", "calyx/net/c1/eth0", true],
    ["cali1", "calyx/net/sha1:0011/eth0", true],
    ["cali1", undefined, true],
    ["cali1", "uplink", true],
    ["cali1", "calyx/net/c2/eth0", false],
    ["cali1", "calyx/net/c1/net1", false],
    ["cali2", "calyx/net/c1/eth0", false],
  ];
  for (const [name, alias, expected] of cases) {
    const links = new Map([[name, { name, alias } as Link]]);
    assertEquals(hasInterface(links, ATTACHMENT), expected, `${name} ${alias}`);
  }
});
