/**
 * The plugin against a real kernel, called as a runtime calls it: a process, environment, stdin. What
 * it leaves behind is read with ip(8). From source, or the compiled one where CALYX_DIST says so.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { createNamespace } from "../../../lib/kernel/namespace.ts";
import { libc } from "../../../lib/kernel/symbols.ts";
import { writeSysctl } from "../../../lib/kernel/sysctl.ts";
import { interfaceNameOf } from "../../../lib/model/interface_name.ts";
import { podDigestOf } from "../../../lib/model/link_alias.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { probeAll } from "../../support/packet/probe.ts";
import { TestNamespace } from "../../support/kernel/test_namespace.ts";
import { PATIENCE_MS, until } from "../../support/until.ts";
import { removeNamespace } from "../../support/kernel/remove_namespace.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

const ROOT = new URL("../../..", import.meta.url).pathname;
const DIST = Deno.env.get("CALYX_DIST");
const SOCKET = "/run/calyx-cni-test/agent.sock";

/** A pod to be: a namespace and a name. */
class Pod extends TestNamespace {
  readonly containerId: string;
  readonly pod: string;

  constructor(containerId: string, pod = containerId) {
    super();
    this.containerId = containerId;
    this.pod = pod;
  }

  get hostName(): string {
    return interfaceNameOf("default", this.pod);
  }
}

/** One network with a folder of reservations of its own. */
class Network implements Disposable {
  readonly dataDir = Deno.makeTempDirSync({ dir: "/run" });
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(fields: Readonly<Record<string, unknown>> = {}) {
    this.#fields = fields;
  }

  /** The network configuration, with `more` in it. */
  configuration(more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
    const ranges = [[{ subnet: "10.244.0.0/24" }], [{ subnet: "fd00:10:244::/64" }]];
    const ipam = { type: "host-local", dataDir: this.dataDir, ranges };
    return { cniVersion: "1.1.0", name: "net1", type: "calyx", ipam, ...this.#fields, ...more };
  }

  async call(
    command: string,
    pod: { readonly containerId: string; readonly pod: string; readonly path: string },
    more?: Readonly<Record<string, unknown>>,
    killAfterMs?: number,
  ): Promise<CallResult> {
    const [program = "", ...args] = DIST === undefined
      ? [
        Deno.execPath(),
        "run",
        "-A",
        "--no-check",
        "--config",
        `${ROOT}deno.json`,
        `${ROOT}cni/main.ts`,
      ]
      : [`${DIST}/calyx`];
    const child = new Deno.Command(program, {
      args,
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: pod.containerId,
        CNI_NETNS: pod.path,
        CNI_IFNAME: "eth0",
        CNI_PATH: "/usr/lib/cni",
        CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod.pod};X=1`,
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(JSON.stringify(this.configuration(more))));
    await writer.close();
    const timer = killAfterMs && setTimeout(() => kill(child), killAfterMs);
    const { code, stdout, stderr } = await child.output();
    clearTimeout(timer);
    const text = new TextDecoder().decode(stdout);
    const json = text === "" ? undefined : JSON.parse(text);
    return { code, json, stderr: new TextDecoder().decode(stderr) };
  }

  /** The addresses that are reserved. */
  get reserved(): string[] {
    try {
      const names = [...Deno.readDirSync(`${this.dataDir}/net1`)].map((it) => it.name);
      return names.filter((it) => /^[0-9a-f]+[.:]/.test(it) && it !== "lock").sort();
    } catch {
      return [];
    }
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dataDir, { recursive: true });
  }
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has ended by itself
  }
}

interface CallResult {
  readonly code: number;
  // deno-lint-ignore no-explicit-any -- JSON of a shape that each test knows
  readonly json: any;
  readonly stderr: string;
}

/** What `ip` says of the host. */
function hostIp(...args: string[]): Record<string, unknown>[] {
  const options = { args: ["-d", "-j", ...args], stdin: "null" as const };
  const { stdout } = new Deno.Command("ip", options).outputSync();
  const text = new TextDecoder().decode(stdout).trim();
  return text === "" ? [] : JSON.parse(text);
}

/** The pods' interfaces on the host. */
function hostLinks(): unknown[] {
  return hostIp("link").map((it) => it.ifname).filter((it) => String(it).startsWith("cali"));
}

/** Fields of each entry, as one line. */
function lines(entries: readonly Record<string, unknown>[], ...keys: string[]): string[] {
  return entries.map((it) => keys.map((key) => it[key] ?? "-").join(" "));
}

/** Asserts that nothing is left on the host. */
function assertNothingLeft(network: Network): void {
  assertEquals(hostLinks(), []);
  assertEquals(network.reserved, []);
  const routes = [...hostIp("route"), ...hostIp("-6", "route")];
  assertEquals(routes.filter((it) => String(it.dev).startsWith("cali")), []);
}

/** Whether each pod gets an answer from each other pod at both of its addresses. */
async function talk(pods: readonly Pod[], addresses: readonly string[][]): Promise<string[]> {
  const probes = pods.flatMap((from, index) =>
    addresses.filter((_, other) => other !== index).flat().map((address) => ({
      namespace: from.namespace,
      protocol: "TCP" as const,
      address,
      port: 9,
    }))
  );
  // Nobody listens: a refusal is an answer, and it came all the way back.
  return [...new Set(await probeAll(probes, PATIENCE_MS))];
}

function addressesOf({ json }: CallResult): string[] {
  return json.ips.map((it: { address: string }) => it.address.split("/")[0]);
}

Deno.test("calyx ADD wires up a pod of both families, and DEL leaves nothing", async () => {
  requireIsolation();
  using network = new Network();
  using a = new Pod("a");
  using b = new Pod("b");
  const added = await network.call("ADD", a, { mtu: 1400 });
  assertEquals([added.code, added.stderr], [0, ""], JSON.stringify(added.json));
  const podMac = added.json.interfaces[1].mac;
  assertEquals(added.json, {
    cniVersion: "1.1.0",
    interfaces: [
      { name: a.hostName, mac: "ee:ee:ee:ee:ee:ee", mtu: 1400 },
      { name: "eth0", mac: podMac, mtu: 1400, sandbox: a.path },
    ],
    ips: [
      { interface: 1, address: "10.244.0.2/32" },
      { interface: 1, address: "fd00:10:244::2/128" },
    ],
    routes: [
      { dst: "0.0.0.0/0", gw: "169.254.1.1" },
      { dst: "::/0", gw: "fe80::ecee:eeff:feee:eeee" },
    ],
  });

  const [host] = hostIp("link", "show", a.hostName);
  assertEquals(
    [host?.address, host?.mtu, host?.ifalias],
    ["ee:ee:ee:ee:ee:ee", 1400, `calyx/net1/a/eth0/${podDigestOf("default", a.pod)}`],
  );
  // At once since Linux 6.8, within a second before.
  await until(
    "both ends are up",
    () =>
      [hostIp("link", "show", a.hostName), a.ip("link", "show", "eth0")].every(([it]) =>
        it?.operstate === "UP"
      ),
  );
  assertEquals(lines(hostIp("route", "show", "dev", a.hostName), "dst", "scope"), [
    "10.244.0.2 link",
  ]);
  assertEquals(
    lines(hostIp("neigh", "show", "dev", a.hostName, "nud", "permanent"), "dst", "lladdr").sort(),
    [
      `10.244.0.2 ${podMac}`,
      `fd00:10:244::2 ${podMac}`,
    ],
  );
  const [link] = a.ip("link", "show", "eth0");
  assertEquals([link?.address, link?.mtu], [podMac, 1400]);
  assertEquals(a.ip("link", "show", "lo")[0]?.operstate, "UNKNOWN"); // that is a loopback's "up"
  const [{ addr_info: info = [] } = {}] = a.ip("addr", "show", "eth0") as { addr_info?: [] }[];
  assertEquals(lines(info, "local", "prefixlen", "scope", "tentative").slice(0, 2), [
    "10.244.0.2 32 global -",
    "fd00:10:244::2 128 global -",
  ]);
  assertEquals(lines(a.ip("route"), "dst", "gateway", "dev"), [
    "default 169.254.1.1 eth0",
    "169.254.1.1 - eth0",
  ]);
  const [route6] = a.ip("-6", "route", "show", "default");
  assertEquals([route6?.gateway, route6?.dev], ["fe80::ecee:eeff:feee:eeee", "eth0"]);
  assertEquals(lines(a.ip("neigh", "show", "nud", "permanent"), "dst", "lladdr").sort(), [
    "169.254.1.1 ee:ee:ee:ee:ee:ee",
    "fe80::ecee:eeff:feee:eeee ee:ee:ee:ee:ee:ee",
  ]);

  const second = await network.call("ADD", b, { mtu: 1400 });
  assertEquals(second.code, 0, JSON.stringify(second.json));
  const answers = await talk([a, b], [addressesOf(added), addressesOf(second)]);
  assertEquals(answers, ["ECONNREFUSED"]);

  for (const pod of [a, b, a]) {
    const deleted = await network.call("DEL", pod);
    assertEquals(deleted, { code: 0, json: undefined, stderr: "" });
  }
  assertNothingLeft(network);
  assertEquals(a.ip("link").map((it) => it.ifname), ["lo"]);
});

Deno.test("calyx lets no pod reach what listens on the node's 127.0.0.1 alone", async () => {
  requireIsolation();
  using network = new Network();
  using pod = new Pod("curious");
  assertEquals((await network.call("ADD", pod)).code, 0);
  // A pod that may send raw packets needs none of this to send what is sent here.
  writeSysctl("net/ipv4/conf/all/route_localnet", "1", pod.namespace);
  pod.ip("addr", "flush", "dev", "lo");
  pod.ip("route", "add", "127.0.0.0/8", "via", "169.254.1.1");
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const target = { namespace: pod.namespace, protocol: "TCP" as const, port };
  assertEquals(await probeAll([{ ...target, address: "127.0.0.1" }]), ["timeout"]);
  assertEquals((await network.call("DEL", pod)).code, 0);
});

Deno.test("calyx ADD answers in the version of the configuration", async () => {
  requireIsolation();
  using network = new Network();
  for (const cniVersion of ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"]) {
    using pod = new Pod(`v${cniVersion}`);
    const { code, json } = await network.call("ADD", pod, { cniVersion });
    assertEquals([code, json.cniVersion], [0, cniVersion], JSON.stringify(json));
    const first = cniVersion < "0.3.0" ? json.ip4.ip : json.ips[0].address;
    assertMatch(first, /^10\.244\.0\.\d+\/32$/);
    assertEquals((await network.call("DEL", pod, { cniVersion })).code, 0);
  }
  assertNothingLeft(network);
});

Deno.test("calyx DEL needs neither the namespace, nor the agent, nor the ranges", async () => {
  requireIsolation();
  using network = new Network();
  for (const path of ["", "/run/netns/gone"]) {
    using pod = new Pod("c1");
    assertEquals((await network.call("ADD", pod)).code, 0);
    const gone = { containerId: pod.containerId, pod: pod.pod, path };
    const ipam = { type: "host-local", dataDir: network.dataDir, subnet: "usePodCidr" };
    const more = { ipam, agent_socket: "/run/none.sock", mtu: "nonsense" };
    assertEquals((await network.call("DEL", gone, more)).code, 0);
    assertNothingLeft(network);
  }
});

Deno.test("calyx DEL frees the address when the namespace took the interface with it", async () => {
  requireIsolation();
  using network = new Network();
  const pod = { containerId: "c1", pod: "c1", path: "/run/netns/short" };
  createNamespace(pod.path);
  assertEquals((await network.call("ADD", pod)).code, 0);
  removeNamespace(pod.path);
  assertEquals((await network.call("DEL", pod)).code, 0);
  assertEquals(network.reserved, []);
});

Deno.test("calyx ADD refuses a second time, and the first one stays as it is", async () => {
  requireIsolation();
  using network = new Network();
  using pod = new Pod("c1");
  const first = await network.call("ADD", pod);
  const { reserved } = network;
  const again = await network.call("ADD", pod);
  assertEquals(again.code, 1);
  assertMatch(again.json.msg, /eth0 exists/);
  assertEquals([hostLinks(), network.reserved], [[pod.hostName], reserved]);
  assertEquals((await network.call("CHECK", pod, { prevResult: first.json })).code, 0);
  await network.call("DEL", pod);
  assertNothingLeft(network);
});

Deno.test("calyx DEL of an old sandbox leaves the new one of the same pod alone", async () => {
  requireIsolation();
  using network = new Network();
  using old = new Pod("old", "web-0");
  using current = new Pod("new", "web-0");
  assertEquals((await network.call("ADD", old)).code, 0);
  const added = await network.call("ADD", current);
  assertEquals(added.code, 0, JSON.stringify(added.json));
  assertEquals((await network.call("DEL", old)).code, 0);
  assertEquals((await network.call("CHECK", current, { prevResult: added.json })).code, 0);
  assertEquals(network.reserved, addressesOf(added));
  await network.call("DEL", current);
  assertNothingLeft(network);
});

Deno.test("calyx ADD takes everything back when a route is another's", async () => {
  requireIsolation();
  using network = new Network();
  using pod = new Pod("c1");
  hostIp("route", "add", "10.244.0.2/32", "dev", "lo");
  const { code, json } = await network.call("ADD", pod);
  assertEquals([code, json.code], [1, 101]);
  assertMatch(json.msg, /10\.244\.0\.2\/32 exists already/);
  hostIp("route", "del", "10.244.0.2/32", "dev", "lo");
  assertNothingLeft(network);
  assertEquals(pod.ip("link").map((it) => it.ifname), ["lo"]);
});

Deno.test("calyx ADD finishes what a kill left half made", async () => {
  requireIsolation();
  using network = new Network();
  using pod = new Pod("c1");
  const half = ["link", "add", pod.hostName, "address", "ee:ee:ee:ee:ee:ee", "type", "veth"];
  hostIp(...half, "peer", "name", "eth0", "netns", pod.name);
  assertEquals((await network.call("DEL", pod)).code, 0);
  assertNothingLeft(network);
  using other = new Pod("c0");
  hostIp(...half, "peer", "name", "eth0", "netns", other.name);
  assertEquals((await network.call("ADD", pod)).code, 0);
  assertEquals(hostLinks(), [pod.hostName]);
  await network.call("DEL", pod);
  assertNothingLeft(network);
});

Deno.test("calyx serves twenty ADDs at once", async () => {
  requireIsolation();
  using network = new Network();
  using pods = new DisposableStack();
  const all = Array.from({ length: 20 }, (_, index) => pods.use(new Pod(`p${index}`)));
  const results = await Promise.all(all.map((it) => network.call("ADD", it)));
  assertEquals(results.map((it) => it.code), all.map(() => 0));
  assertEquals(new Set(results.flatMap(addressesOf)).size, 40);
  assertEquals(hostLinks().length, 20);
  const [first, ...rest] = results.map(addressesOf);
  const [pod] = all;
  if (pod !== undefined) assertEquals(await talk([pod], [first ?? [], ...rest]), ["ECONNREFUSED"]);
  const deleted = await Promise.all(all.map((it) => network.call("DEL", it)));
  assertEquals(deleted.map((it) => it.code), all.map(() => 0));
  assertNothingLeft(network);
});

Deno.test("calyx leaves nothing that DEL does not find, wherever ADD is killed", async () => {
  requireIsolation();
  using network = new Network();
  let killed = 0;
  for (let delayMs = 20; delayMs < 200; delayMs += 15) {
    using pod = new Pod(`k${delayMs}`);
    const { code } = await network.call("ADD", pod, {}, delayMs);
    if (code !== 0) killed++;
    assertEquals((await network.call("DEL", pod)).code, 0);
    assertNothingLeft(network);
    assertEquals(pod.ip("link").map((it) => it.ifname), ["lo"]);
  }
  assertEquals(killed > 0, true);
});

/** An agent that answers `PUT` with `status`, and notes what it is asked. */
async function withAgent(
  status: number,
  f: (calls: readonly string[]) => Promise<void>,
): Promise<void> {
  const calls: string[] = [];
  await Deno.mkdir(SOCKET.slice(0, SOCKET.lastIndexOf("/")), { recursive: true });
  const server = Deno.serve({ transport: "unix", path: SOCKET, onListen: () => {} }, async (it) => {
    const { pathname } = new URL(it.url);
    const body = await it.text();
    calls.push(`${it.method} ${pathname}${body === "" ? "" : ` ${body}`}`);
    if (pathname === "/v1/node") {
      const podCIDRs = ["10.244.7.0/24", "fd00:10:244:7::/64"];
      return Response.json({ nodeName: "n1", podCIDRs, mtu: 1430 });
    }
    return it.method === "PUT"
      ? Response.json(status === 200 ? { enforced: true } : { error: "not yet" }, { status })
      : Response.json({});
  });
  try {
    await f(calls);
  } finally {
    await server.shutdown();
    await Deno.remove(SOCKET).catch(() => {});
  }
}

const WITH_AGENT = {
  agent_socket: SOCKET,
  policy_setup_timeout_seconds: 1,
} as const;

function podCidrIpam({ dataDir }: Network): Record<string, unknown> {
  const ranges = [[{ subnet: "usePodCidr" }], [{ subnet: "usePodCidrIPv6" }]];
  return { type: "host-local", dataDir, ranges };
}

Deno.test("calyx ADD takes the node from the agent, and waits for the pod's policy", async () => {
  requireIsolation();
  using network = new Network(WITH_AGENT);
  using pod = new Pod("c1");
  await withAgent(200, async (calls) => {
    const { code, json } = await network.call("ADD", pod, { ipam: podCidrIpam(network) });
    assertEquals(code, 0, JSON.stringify(json));
    assertEquals(addressesOf({ code, json, stderr: "" }), ["10.244.7.2", "fd00:10:244:7::2"]);
    assertEquals(json.interfaces[1].mtu, 1430);
    const endpoint = {
      namespace: "default",
      pod: "c1",
      interface: pod.hostName,
      addresses: ["10.244.7.2", "fd00:10:244:7::2"],
      netns: pod.path,
    };
    await network.call("DEL", pod);
    assertEquals(calls, [
      "GET /v1/node",
      `PUT /v1/endpoints/c1/eth0 ${JSON.stringify(endpoint)}`,
      "DELETE /v1/endpoints/c1/eth0",
    ]);
  });
  assertNothingLeft(network);
});

Deno.test("calyx ADD fails when the policy is late, and takes everything back", async () => {
  requireIsolation();
  using network = new Network(WITH_AGENT);
  using pod = new Pod("c1");
  await withAgent(504, async (calls) => {
    const { code, json } = await network.call("ADD", pod);
    assertEquals([code, json.code], [1, 11]);
    assertMatch(json.msg, /not yet/);
    assertEquals(calls.at(-1), "DELETE /v1/endpoints/c1/eth0");
  });
  assertNothingLeft(network);
  assertEquals(pod.ip("link").map((it) => it.ifname), ["lo"]);
});

Deno.test("calyx ADD lets a pod start closed where that is chosen", async () => {
  requireIsolation();
  using network = new Network({ ...WITH_AGENT, policy_setup_timeout_action: "closed", mtu: 1400 });
  using pod = new Pod("c1");
  const { code, stderr } = await network.call("ADD", pod);
  assertEquals(code, 0);
  assertMatch(stderr, /pod starts closed/);
  await network.call("DEL", pod);
  assertNothingLeft(network);
});

Deno.test("calyx ADD says to try again when no agent is there", async () => {
  requireIsolation();
  using network = new Network(WITH_AGENT);
  using pod = new Pod("c1");
  const { code, json } = await network.call("ADD", pod, { ipam: podCidrIpam(network) });
  assertEquals([code, json.code], [1, 11]);
  assertMatch(json.msg, /is it running on this node/);
  assertNothingLeft(network);
});

Deno.test("calyx CHECK finds what somebody took away", async () => {
  requireIsolation();
  using network = new Network();
  using pod = new Pod("c1");
  const { json: prevResult } = await network.call("ADD", pod);
  assertEquals(await network.call("CHECK", pod, { prevResult }), {
    code: 0,
    json: undefined,
    stderr: "",
  });
  pod.ip("route", "del", "default");
  hostIp("-6", "route", "del", "fd00:10:244::2", "dev", pod.hostName);
  hostIp("neigh", "del", "10.244.0.2", "dev", pod.hostName);
  const { code, json } = await network.call("CHECK", pod, { prevResult });
  assertEquals([code, json.code], [1, 102]);
  for (const part of ["no route 0.0.0.0/0", "no route fd00:10:244::2", "neighbour 10.244.0.2"]) {
    assertEquals(json.msg.includes(part), true, json.msg);
  }
  await Deno.remove(`${network.dataDir}/net1/10.244.0.2`);
  await Deno.remove(`${network.dataDir}/net1/fd00:10:244::2`);
  assertMatch(
    (await network.call("CHECK", pod, { prevResult })).json.msg,
    /No address is reserved/,
  );
  await network.call("DEL", pod);
  assertNothingLeft(network);
});

Deno.test("calyx GC frees what no valid attachment holds, and nothing else", async () => {
  requireIsolation();
  using network = new Network();
  using kept = new Pod("kept");
  using stale = new Pod("stale");
  using foreign = new Pod("foreign");
  const { json: prevResult } = await network.call("ADD", kept);
  await network.call("ADD", stale);
  const ranges = [[{ subnet: "10.245.0.0/24" }]];
  const ipam = { type: "host-local", dataDir: network.dataDir, ranges };
  assertEquals((await network.call("ADD", foreign, { name: "net2", ipam })).code, 0);
  const valid = { "cni.dev/valid-attachments": [{ containerID: "kept", ifname: "eth0" }] };
  assertEquals((await network.call("GC", kept, valid)).code, 0);
  assertEquals(hostLinks().sort(), [kept.hostName, foreign.hostName].sort());
  assertEquals(network.reserved, addressesOf({ code: 0, json: prevResult, stderr: "" }));
  assertEquals((await network.call("CHECK", kept, { prevResult })).code, 0);
  assertEquals((await network.call("GC", kept)).json.code, 7); // no list is not an empty one
  await network.call("DEL", kept);
  await network.call("DEL", foreign, { name: "net2" });
  assertNothingLeft(network);
});

Deno.test("calyx STATUS says when no address is left", async () => {
  requireIsolation();
  using network = new Network();
  using pod = new Pod("c1");
  const ranges = [[{ subnet: "10.244.0.0/30" }]];
  const more = { ipam: { type: "host-local", dataDir: network.dataDir, ranges } };
  assertEquals((await network.call("STATUS", pod, more)).code, 0);
  assertEquals((await network.call("ADD", pod, more)).code, 0);
  const { code, json } = await network.call("STATUS", pod, more);
  assertEquals([code, json.code], [1, 50]);
  assertMatch(json.msg, /No IP address is free in 10\.244\.0\.1-10\.244\.0\.2/);
  await network.call("DEL", pod);
  assertEquals(
    (await network.call("STATUS", pod, { agent_socket: "/run/none.sock" })).json.code,
    50,
  );
  assertNothingLeft(network);
});
