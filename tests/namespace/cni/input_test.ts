/**
 * What the plugin is given by others: variables, names, keys, JSON. Bad input ends in an error object of the
 * specification, exit code 1, and nothing on the node. Where the reference plugins are installed, the same
 * wrong calls go to them too and must end in the same way.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { addressesOf } from "../../support/plugin/call.ts";
import { type CallChanges, CniNetwork } from "../../support/plugin/cni_network.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import {
  assertError,
  assertNothingLeft,
  assertSilent,
  forEachVersion,
  NO_CONTAINER,
  VERSIONS,
} from "../../support/plugin/specification.ts";
import { findProgram } from "../../support/program/program.ts";

Deno.test("calyx exits 0 or 1, with the result or the error on stdout", async () => {
  requireIsolation();
  using network = new CniNetwork();
  await forEachVersion(VERSIONS, async (cniVersion) => {
    using container = new TestContainer(`c01-${cniVersion}`);
    const fields = { cniVersion };
    const added = await network.call("ADD", container, { fields });
    assertEquals([added.code, added.stderr], [0, ""], added.stdout);
    assertError(await network.call("ADD", NO_CONTAINER, { fields }), 8, cniVersion);
    assertSilent(await network.call("DEL", container, { fields }), cniVersion);
  });
  assertNothingLeft(network);
});

Deno.test("calyx names key and value of what it does not support, and every bad variable", async () => {
  using network = new CniNetwork();
  const field = await network.call("ADD", NO_CONTAINER, { fields: { datastore_type: "etcdv3" } });
  assertError(field, 2, "unsupported field");
  assertMatch(field.answer.msg ?? "", /"datastore_type": "etcdv3"/);
  const required: Readonly<Record<string, readonly string[]>> = {
    ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
    CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
    DEL: ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
    GC: ["CNI_PATH"],
    STATUS: ["CNI_PATH"],
  };
  for (const [command, names] of Object.entries(required)) {
    const empty = { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "", CNI_PATH: "" };
    const outcome = await network.call(command, NO_CONTAINER, { env: empty });
    assertError(outcome, 4, command);
    assertEquals(outcome.answer.msg, `required env variables [${names.join(",")}] missing`);
  }
  const env = { CNI_CONTAINERID: "-", CNI_IFNAME: "a b", CNI_NETNS: "" };
  const outcome = await network.call("ADD", NO_CONTAINER, { env });
  assertError(outcome, 4, "all kinds of wrong");
  for (const name of Object.keys(env)) assertMatch(outcome.answer.msg ?? "", new RegExp(name));
});

Deno.test("calyx takes container ids and network names of the specification's form only", async () => {
  using network = new CniNetwork();
  const bad = ["../x", "-a", ".a", "_a", "a/b", "a b", "a:b", "ü", "a\n"];
  for (const id of bad) {
    assertError(await network.call("ADD", NO_CONTAINER, { env: { CNI_CONTAINERID: id } }), 4, id);
    assertError(await network.call("ADD", NO_CONTAINER, { fields: { name: id } }), 7, id);
  }
  for (const name of [undefined, "", 1, null]) {
    assertError(await network.call("ADD", NO_CONTAINER, { fields: { name } }), 7, String(name));
  }
  for (const id of ["a", "0", "a.B-c_d", "a".repeat(200)]) {
    // Accepted: the next thing that is wrong is the namespace.
    const changes = { env: { CNI_CONTAINERID: id }, fields: { name: id } };
    assertError(await network.call("ADD", NO_CONTAINER, changes), 8, id);
  }
});

Deno.test("calyx takes interface names that the kernel takes", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using untouched = new TestContainer("c17-untouched");
  const wrong = ["a".repeat(16), "é".repeat(8), ".", "..", "a/b", "a:b", "a b", "a\tb", "a\n"]
    .concat("eth%d", "%", "all", "default"); // a pattern to the kernel, and what its sysctls call all
  for (const name of wrong) {
    for (const command of ["ADD", "DEL"]) {
      const outcome = await network.call(command, untouched, { env: { CNI_IFNAME: name } });
      assertError(outcome, 4, name);
      assertMatch(outcome.answer.msg ?? "", /CNI_IFNAME/);
    }
  }
  assertNothingLeft(network);
  for (const name of ["a", "a".repeat(15), "net-1.2_3", "..."]) {
    using container = new TestContainer("c17");
    await network.add(container, { env: { CNI_IFNAME: name } });
    assertEquals(container.links, ["lo", name]);
    assertSilent(await network.call("DEL", container, { env: { CNI_IFNAME: name } }), name);
  }
  assertNothingLeft(network);
});

Deno.test("calyx allows configuration keys that it does not know", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using container = new TestContainer("c18");
  const fields = {
    "example.org/key": { a: [1] },
    capabilities: { portMappings: true },
    args: { labels: { a: "b" } },
    ipam: { ...network.hostLocal("10.244.0.0/24"), unknown: 1 },
  };
  assertEquals(addressesOf(await network.add(container, { fields })).length, 1);
  assertSilent(await network.call("DEL", container, { fields }), "DEL");
  assertNothingLeft(network);
});

Deno.test("calyx keeps the specification's error codes, and has its own from 100 on", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using container = new TestContainer("c20");
  const broken = { fields: { prevResult: { ips: 1 } } };
  const cases: readonly (readonly [string, string, CallChanges, number])[] = [
    ["version", "ADD", { fields: { cniVersion: "2.0.0" } }, 1],
    ["unsupported field", "ADD", { fields: { device_type: "netkit" } }, 2],
    ["variables", "ADD", { env: { CNI_IFNAME: "" } }, 4],
    ["arguments", "ADD", { env: { CNI_ARGS: "X=1" } }, 4],
    ["resolv.conf", "ADD", {
      fields: { ipam: { ...network.hostLocal("10.244.0.0/24"), resolvConf: "/nonexistent" } },
    }, 5],
    ["no JSON", "ADD", { stdin: "{" }, 6],
    ["prevResult", "ADD", broken, 6],
    ["configuration", "ADD", { fields: { mtu: "big" } }, 7],
    ["namespace", "ADD", { env: { CNI_NETNS: "/nonexistent" } }, 8],
    ["own namespace", "ADD", { env: { CNI_NETNS: "/proc/self/ns/net" } }, 8],
    ["agent", "ADD", { fields: { agent_socket: "/run/none.sock" } }, 11],
    ["address", "ADD", { env: { CNI_ARGS: "IP=192.0.2.1" } }, 100],
    ["interface", "ADD", { env: { CNI_IFNAME: "lo" } }, 101],
    ["check", "CHECK", { fields: { prevResult: { ips: [] } } }, 102],
  ];
  for (const [what, command, changes, code] of cases) {
    assertError(await network.call(command, container, changes), code, what);
    assertNothingLeft(network);
  }
});

/** A wrong call, and how the reference plugins' main library answers it. */
interface Stimulus {
  readonly name: string;
  readonly command: string;
  readonly changes?: CallChanges;
  readonly code: number;
  /** What both messages speak of. */
  readonly message: RegExp;
  /**
   * Our code where the reference has none of its own and says 999; `message` is the same then. Also
   * for commands that older reference plugins do not know at all.
   */
  readonly ours?: number;
}

const STIMULI: readonly Stimulus[] = [
  {
    name: "no variable but the command",
    command: "ADD",
    changes: { env: { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "", CNI_PATH: "" } },
    code: 4,
    message: /required env variables \[CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH\] missing/,
  },
  { name: "unknown command", command: "FOO", code: 4, message: /unknown CNI_COMMAND: FOO/ },
  {
    name: "future version",
    command: "ADD",
    changes: { fields: { cniVersion: "9.9.9" } },
    code: 1,
    message: /incompatible CNI version/i,
  },
  {
    name: "no name",
    command: "ADD",
    changes: { fields: { name: undefined } },
    code: 7,
    message: /missing network name/,
  },
  {
    name: "bad name",
    command: "ADD",
    changes: { fields: { name: "../n" } },
    code: 7,
    message: /invalid characters .*in network name/,
  },
  { name: "empty stdin", command: "ADD", changes: { stdin: "" }, code: 6, message: /network conf/ },
  {
    name: "container id",
    command: "ADD",
    changes: { env: { CNI_CONTAINERID: "../x" } },
    code: 4,
    message: /invalid characters in containerID/,
  },
  {
    name: "long interface name",
    command: "ADD",
    changes: { env: { CNI_IFNAME: "a".repeat(16) } },
    code: 4,
    message: /(interface name|CNI_IFNAME).* (too long|longer)/,
  },
  {
    name: "CHECK before it was there",
    command: "CHECK",
    changes: { fields: { cniVersion: "0.3.1" } },
    code: 1,
    message: /config version does not allow CHECK/,
  },
  {
    name: "unknown arguments",
    command: "ADD",
    changes: { env: { CNI_ARGS: "FOO=1" } },
    code: 999,
    message: /ARGS: unknown args \["?FOO/,
    ours: 4,
  },
  {
    name: "no such namespace",
    command: "ADD",
    changes: { env: { CNI_NETNS: "/run/netns/none" } },
    code: 999,
    message: /netns.*\/run\/netns\/none/i,
    ours: 8,
  },
];

Deno.test("calyx ends wrong calls as the reference plugins do", async () => {
  requireIsolation();
  const reference = findProgram("ptp");
  using network = new CniNetwork({ cniVersion: "1.0.0" });
  using container = new TestContainer("golden");
  for (const { name, command, changes = {}, code, message, ours = code } of STIMULI) {
    const outcome = await network.call(command, container, changes);
    assertError(outcome, ours, name);
    assertMatch(outcome.answer.msg ?? "", message, name);
    if (reference === undefined) continue;
    const theirs = await network.call(command, container, { ...changes, program: reference });
    assertEquals([theirs.code, theirs.answer.code], [1, code], `${name}, reference`);
    assertMatch(theirs.answer.msg ?? "", message, `${name}, reference`);
    assertEquals(outcome.stdout, JSON.stringify(outcome.answer, undefined, 4) + "\n");
  }
  const future = await network.call("ADD", container, { fields: { cniVersion: "9.9.9" } });
  assertMatch(future.answer.details ?? "", /"9\.9\.9".*0\.1\.0.*1\.1\.0/);
  const gc = await network.call("GC", container, { fields: { "cni.dev/valid-attachments": [] } });
  assertError(gc, 1, "GC before it was there");
  assertMatch(gc.answer.msg ?? "", /config version does not allow GC/);
  assertNothingLeft(network);
});

/** Ours, which is `undefined`, and the reference where it is installed. */
function programs(): (string | undefined)[] {
  const reference = findProgram("ptp");
  return reference === undefined ? [undefined] : [undefined, reference];
}

Deno.test("calyx explains itself when it is run without a command, as the reference plugins do", async () => {
  requireIsolation();
  for (const it of programs()) {
    const program = it === undefined ? {} : { program: it };
    using network = new CniNetwork();
    const { code, stdout, stderr } = await network.call("", NO_CONTAINER, {
      stdin: "",
      ...program,
    });
    assertEquals([code, stdout], [0, ""]);
    assertMatch(stderr, /CNI .*plugin/);
    assertMatch(
      stderr,
      /CNI protocol versions supported: 0\.1\.0, 0\.2\.0, 0\.3\.0, 0\.3\.1, 0\.4\.0/,
    );
  }
});
