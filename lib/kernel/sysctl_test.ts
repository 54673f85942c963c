import { assertEquals, assertThrows } from "@std/assert";
import { requireIsolation } from "../../tests/support/isolation/isolation.ts";
import { TestNamespace } from "../../tests/support/kernel/test_namespace.ts";
import { AssertionError } from "../base/assert.ts";
import { addLink } from "../netlink/link/link.ts";
import { KernelError } from "./errno.ts";
import { readSysctl, writeSysctl } from "./sysctl.ts";

const KEY = "net/ipv4/conf/lo/rp_filter";

Deno.test("writeSysctl() writes in the namespace that it is given, and there alone", () => {
  requireIsolation();
  using pod = new TestNamespace();
  using other = new TestNamespace();
  writeSysctl(KEY, "0");
  writeSysctl(KEY, "1", pod.namespace);
  writeSysctl(KEY, "2", other.namespace);
  assertEquals(
    [readSysctl(KEY), readSysctl(KEY, pod.namespace), readSysctl(KEY, other.namespace)],
    [
      "0",
      "1",
      "2",
    ],
  );
});

Deno.test("writeSysctl() takes an interface whose name has a dot", () => {
  requireIsolation();
  using pod = new TestNamespace();
  pod.route.request(addLink({ kind: "bridge", name: "eth0.100" }));
  const key = "net/ipv6/conf/eth0.100/accept_ra";
  writeSysctl(key, "0", pod.namespace);
  assertEquals(readSysctl(key, pod.namespace), "0");
});

Deno.test("writeSysctl() and readSysctl() say which file is missing", () => {
  requireIsolation();
  using pod = new TestNamespace();
  const key = "net/ipv4/conf/none/forwarding";
  const calls = [() => writeSysctl(key, "1", pod.namespace), () => readSysctl(key, pod.namespace)];
  for (const call of calls) {
    const { code, message } = assertThrows(call, KernelError);
    assertEquals([code, message], ["ENOENT", `Cannot open "/proc/sys/${key}": ENOENT`]);
  }
});

Deno.test("writeSysctl() passes on that the kernel refuses the value", () => {
  requireIsolation();
  const { code, operation } = assertThrows(() => writeSysctl(KEY, "words"), KernelError);
  assertEquals([code, operation], ["EINVAL", `write "/proc/sys/${KEY}"`]);
});

Deno.test("readSysctl() asserts that the key stays under /proc/sys", () => {
  for (const key of ["", "/net", "net//x", "net/../../1/environ", "net/."]) {
    assertThrows(() => readSysctl(key), AssertionError, "is no parameter", key);
  }
});
