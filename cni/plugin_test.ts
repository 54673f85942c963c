/** The protocol as a caller meets it: environment and stdin in, exit code and error object out. */

import { assertEquals, assertMatch } from "@std/assert";
import { libc } from "../lib/kernel/symbols.ts";
import { serve } from "./plugin.ts";
import { CNI_VERSIONS } from "./protocol/version.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const NETNS = "/nonexistent/netns";
const CALL = {
  CNI_CONTAINERID: "c1",
  CNI_NETNS: NETNS,
  CNI_IFNAME: "eth0",
  CNI_PATH: "/nonexistent/bin",
};
const CONFIGURATION = {
  cniVersion: "1.0.0",
  name: "net1",
  type: "calyx",
  ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] },
};

type Environment = Readonly<Record<string, string>>;

async function run(variables: Environment, stdin: string): Promise<
  {
    exitCode: number;
    stdout: string;
    stderr: string;
    error: Record<string, unknown>;
    log: Record<string, unknown>[];
  }
> {
  const log: Record<string, unknown>[] = [];
  const output = await serve({
    variables,
    readInput: () => stdin,
    readPending: () => stdin,
    writeLog: (line) => log.push(JSON.parse(line)),
  });
  return { log, ...output, error: output.exitCode === 0 ? {} : JSON.parse(output.stdout) };
}

Deno.test("serve() answers wrong calls with the code and the words of the specification", async () => {
  const text = JSON.stringify(CONFIGURATION);
  const change = (fields: object): string => JSON.stringify({ ...CONFIGURATION, ...fields });
  const add = { ...CALL, CNI_COMMAND: "ADD" };
  const cases: readonly (readonly [string, Environment, string, number, RegExp])[] = [
    [
      "all variables missing",
      { CNI_COMMAND: "ADD" },
      text,
      4,
      /\[CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH\]/,
    ],
    ["DEL without ids", { CNI_COMMAND: "DEL" }, text, 4, /\[CNI_CONTAINERID,CNI_IFNAME,CNI_PATH\]/],
    ["CHECK without netns", { ...add, CNI_COMMAND: "CHECK", CNI_NETNS: "" }, text, 4, /CNI_NETNS/],
    ["GC without path", { CNI_COMMAND: "GC" }, text, 4, /\[CNI_PATH\] missing/],
    ["unknown command", { ...CALL, CNI_COMMAND: "FOO" }, text, 4, /unknown CNI_COMMAND: FOO/],
    [
      "one missing, one wrong",
      { ...add, CNI_NETNS: "", CNI_CONTAINERID: "../x" },
      text,
      4,
      /\[CNI_NETNS\] missing.*CNI_CONTAINERID is "\.\.\/x"/,
    ],
    ["container id", { ...add, CNI_CONTAINERID: "../x" }, text, 4, /containerID.*"\.\.\/x"/],
    ["long ifname", { ...add, CNI_IFNAME: "a".repeat(16) }, text, 4, /CNI_IFNAME/],
    ["ifname .", { ...add, CNI_IFNAME: "." }, text, 4, /CNI_IFNAME/],
    ["ifname with slash", { ...add, CNI_IFNAME: "a/b" }, text, 4, /CNI_IFNAME/],
    ["ifname with colon", { ...add, CNI_IFNAME: "a:b" }, text, 4, /CNI_IFNAME/],
    ["ifname with space", { ...add, CNI_IFNAME: "a b" }, text, 4, /CNI_IFNAME/],
    ["ifname as a pattern", { ...add, CNI_IFNAME: "eth%d" }, text, 4, /CNI_IFNAME.*percent/],
    ["ifname with long letters", { ...add, CNI_IFNAME: "é".repeat(8) }, text, 4, /15 bytes/],
    [
      "id and ifname",
      { ...add, CNI_CONTAINERID: "-", CNI_IFNAME: ".." },
      text,
      4,
      /CNI_CONTAINERID.*CNI_IFNAME/,
    ],
    ["empty stdin", add, "", 6, /not JSON/],
    ["no object", add, "[]", 6, /no JSON object/],
    ["version is no text", add, change({ cniVersion: 1 }), 6, /"cniVersion"/],
    ["future version", add, change({ cniVersion: "9.9.9" }), 1, /"9\.9\.9"/],
    ["no name", add, change({ name: "" }), 7, /missing network name/],
    ["bad name", add, change({ name: "../net" }), 7, /network name.*\.\.\/net/],
    [
      "CHECK too old",
      { ...add, CNI_COMMAND: "CHECK" },
      change({ cniVersion: "0.3.1" }),
      1,
      /does not allow CHECK/,
    ],
    ["GC too old", { ...add, CNI_COMMAND: "GC" }, text, 1, /does not allow GC/],
    ["STATUS too old", { ...add, CNI_COMMAND: "STATUS" }, text, 1, /does not allow STATUS/],
    ["datastore", add, change({ datastore_type: "etcdv3" }), 2, /"datastore_type": "etcdv3"/],
    ["device", add, change({ device_type: "netkit" }), 2, /"device_type": "netkit"/],
    ["many settings", add, change({ mtu: 100, agent_socket: "a" }), 7, /"mtu".*"agent_socket"/],
    ["no ipam", add, change({ ipam: {} }), 7, /"ipam\.type" is missing/],
    ["ipam is a path", add, change({ ipam: { type: "../evil" } }), 7, /"ipam\.type".*evil/],
    ["args without =", { ...add, CNI_ARGS: "IP" }, text, 4, /invalid pair "IP"/],
    ["unknown args", { ...add, CNI_ARGS: "A=1;B=2" }, text, 4, /unknown args \[A,B\]/],
    [
      "agent without pod",
      { ...add, CNI_ARGS: "IgnoreUnknown=1;A=1" },
      change({ agent_socket: "/run/a.sock" }),
      4,
      /K8S_POD_NAMESPACE and K8S_POD_NAME/,
    ],
    ["no namespace", add, text, 8, /No network namespace.*nonexistent/],
    ["own namespace", { ...add, CNI_NETNS: "/proc/self/ns/net" }, text, 8, /own network namespace/],
    ["prevResult", add, change({ prevResult: { ips: [{ address: "x" }] } }), 6, /prevResult\.ips/],
  ];
  for (const [name, variables, stdin, code, message] of cases) {
    const traced = { ...variables, TRACEPARENT: `00-${TRACE}-00f067aa0ba902b7-01` };
    const { exitCode, error, stderr, log } = await run(traced, stdin);
    assertEquals([exitCode, error.code, stderr], [1, code, ""], `${name}: ${error.msg}`);
    assertEquals(log.map((it) => [it.message, it.code, it.error, it.traceId]), [
      ["call failed", code, error.msg, TRACE],
    ]);
    assertMatch(String(error.msg), message, name);
  }
});

Deno.test("serve() takes null for what is unsaid, as programs in Go write it", async () => {
  const add = { ...CALL, CNI_COMMAND: "ADD" };
  const keys = ["args", "capabilities", "dns", "kubernetes", "mtu", "policy", "prevResult"]
    .concat("runtimeConfig", "container_settings", "agent_socket", "log_level", "cniVersion");
  const unsaid = Object.fromEntries(keys.map((it) => [it, null]));
  const { error } = await run(add, JSON.stringify({ ...CONFIGURATION, ...unsaid }));
  assertEquals([error.code, error.cniVersion], [8, "1.1.0"]); // as far as the namespace
  const nameless = await run(add, JSON.stringify({ ...CONFIGURATION, name: null }));
  assertEquals([nameless.error.code, nameless.error.msg], [7, "missing network name"]);
});

Deno.test("serve() says no secret, whatever is wrong with the configuration", async () => {
  const add = { ...CALL, CNI_COMMAND: "ADD" };
  const secret = "s3cret-token";
  const text = JSON.stringify(CONFIGURATION).slice(0, -1);
  const wrong = [
    `${text},"policy":{"k8s_auth_token":"${secret}"},}`,
    `${text},"policy":{"k8s_auth_token":${secret}}}`,
    `${text},"policy":{"k8s_auth_token":'${secret}'}}`,
    `${text},"policy":{"k8s_auth_token":"${secret}"}`,
    `${text},"policy":{"k8s_auth_token":"${secret}"}}}`,
    `${text},"policy":{"k8s_auth_token":["${secret}"]}}`,
    `${text},"policy":[{"k8s_auth_token":"${secret}"}]}`,
    `${text},"kubernetes":{"kubeconfig":{"token":"${secret}"}}}`,
    `${text},"etcd_endpoints":"http://root:${secret}@etcd:2379"}`,
    `"${secret}"`,
    secret,
  ];
  for (const it of wrong) {
    const { error, stdout, log } = await run(add, it);
    assertEquals([2, 6, 7].includes(Number(error.code)), true, stdout);
    assertEquals((stdout + JSON.stringify(log)).includes(secret.slice(0, 4)), false, stdout);
  }
  const token = `${text},"policy":{"k8s_auth_token":31415926}}`;
  const { stdout, log } = await run(add, token);
  assertMatch(stdout, /policy\.k8s_auth_token.* must be a text/);
  assertEquals((stdout + JSON.stringify(log)).includes("31415926"), false, stdout);
});

Deno.test("serve() logs a failure once, with the call and the trace that it is part of", async () => {
  const { log } = await run(
    { ...CALL, CNI_COMMAND: "ADD", TRACEPARENT: `00-${TRACE}-00f067aa0ba902b7-01` },
    JSON.stringify(CONFIGURATION),
  );
  const [{ time, durationMs, ...fields } = {}, ...more] = log;
  assertEquals(more, []);
  assertEquals(fields, {
    level: "error",
    message: "call failed",
    command: "ADD",
    containerId: "c1",
    ifname: "eth0",
    traceId: TRACE,
    spanId: "00f067aa0ba902b7",
    network: "net1",
    code: 8,
    error: `No network namespace at CNI_NETNS: Cannot open "${NETNS}": ENOENT`,
  });
  assertEquals([typeof time, typeof durationMs], ["string", "number"]);
});

Deno.test("serve() answers an error in the caller's version, where it knows it", async () => {
  const variables = { CNI_COMMAND: "ADD", ...CALL };
  for (const [version, expected] of [["0.2.0", "0.2.0"], ["9.9.9", "1.1.0"]]) {
    const { error } = await run(variables, JSON.stringify({ cniVersion: version }));
    assertEquals(error.cniVersion, expected);
  }
});

Deno.test("serve() says code 5 when stdin cannot be read", async () => {
  const output = await serve({
    variables: { CNI_COMMAND: "DEL", ...CALL },
    readInput: () => {
      throw new Error("bad file descriptor");
    },
    readPending: () => "",
    writeLog: () => {},
  });
  assertEquals([output.exitCode, JSON.parse(output.stdout).code], [1, 5]);
});

Deno.test("serve() prints its versions, in the caller's own if there is one", async () => {
  for (
    const [stdin, expected] of [["", "1.1.0"], [`{"cniVersion":"0.4.0"}`, "0.4.0"], ["{", "1.1.0"]]
  ) {
    const { exitCode, stdout, stderr } = await run({ CNI_COMMAND: "VERSION" }, stdin ?? "");
    assertEquals([exitCode, stderr], [0, ""]);
    assertEquals(JSON.parse(stdout), {
      cniVersion: expected,
      supportedVersions: [...CNI_VERSIONS],
    });
  }
});

Deno.test("serve() tells a person what it is, and leaves stdout alone", async () => {
  const { exitCode, stdout, stderr } = await run({}, "");
  assertEquals([exitCode, stdout], [0, ""]);
  assertMatch(stderr, /^calyx .*\n.*CNI plugin.*\n.*0\.1\.0, .*1\.1\.0\n$/);
});

Deno.test("serve() refuses CHECK without prevResult", async () => {
  const { error } = await run({ CNI_COMMAND: "CHECK", ...CALL }, JSON.stringify(CONFIGURATION));
  assertEquals(error.code, 7);
  assertMatch(String(error.msg), /prevResult/);
});
