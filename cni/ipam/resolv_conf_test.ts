import { assertEquals } from "@std/assert";
import { parseResolvConf } from "./resolv_conf.ts";

Deno.test("parseResolvConf() reads its four keywords and no comments", () => {
  const text = [
    "# nameserver 192.0.2.1",
    "; nameserver 192.0.2.2",
    "nameserver 10.96.0.10",
    "nameserver   fd00::a  ",
    "domain cluster.local",
    "search default.svc.cluster.local svc.cluster.local",
    "options ndots:5 timeout:1",
    "sortlist 10.0.0.0",
    "nameserver",
    "",
  ].join("\n");
  assertEquals(parseResolvConf(text), {
    nameservers: ["10.96.0.10", "fd00::a"],
    domain: "cluster.local",
    search: ["default.svc.cluster.local", "svc.cluster.local"],
    options: ["ndots:5", "timeout:1"],
  });
  assertEquals(parseResolvConf(""), {});
});
