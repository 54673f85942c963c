/**
 * Every key of Calico's network configuration: it does here what it does there, or is refused with its
 * name, its value and what to do instead. And what the plugin says to a person on the command line.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { listOurLinks } from "../../../cni/host_link.ts";
import { libc } from "../../../lib/kernel/symbols.ts";
import { readSysctl } from "../../../lib/kernel/sysctl.ts";
import { interfaceNameOf } from "../../../lib/model/interface_name.ts";
import { NETLINK_ROUTE, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import { AGENT_SOCKET } from "../../support/node/agent_client.ts";
import { type SmallApiServer, startApiServer } from "../../support/kubernetes/api_server/server.ts";
import {
  addressesOf,
  type CniAnswer,
  type CniOutcome,
  type Fields,
} from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { nodeState } from "../../support/plugin/cni_node.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import { DIST, runExecutable } from "../../support/program/executable.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { TestNode } from "../../support/node/node.ts";
import { KubernetesObjects } from "../../support/kubernetes/kubernetes_objects.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

const FOLDER = "/run/calyx-configuration-test";
const TOKEN = "let-me-in";

/** Nodes of the API server, by what names them in the configuration. */
const NODES = {
  nodename: "10.1.0.0/24",
  file: "10.2.0.0/24",
  hostname: "10.3.0.0/24",
  [Deno.hostname().toLowerCase()]: "10.4.0.0/24",
} as const;

/** Starts an API server with the nodes, and writes the files that configurations name. */
async function startServer(): Promise<SmallApiServer> {
  const api = startApiServer({ token: TOKEN });
  const headers = { authorization: `Bearer ${TOKEN}` };
  const objects = new KubernetesObjects({
    fetch: (path, init) =>
      fetch(api.url + path, { ...init, headers: { ...headers, ...init?.headers } }),
  }, "default");
  for (const [name, podCIDR] of Object.entries(NODES)) {
    await objects.create("/api/v1/nodes", {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name },
      spec: { podCIDR, podCIDRs: [podCIDR] },
    });
  }
  await Deno.mkdir(FOLDER, { recursive: true });
  await Deno.writeTextFile(`${FOLDER}/nodename`, "file\n");
  await Deno.writeTextFile(`${FOLDER}/empty`, "\n");
  await Deno.writeTextFile(
    `${FOLDER}/kubeconfig`,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "c", cluster: { server: api.url } }],
      users: [{ name: "u", user: { token: TOKEN } }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x",
    }),
  );
  return api;
}

/** A configuration that works, by what came of it. */
interface Working {
  readonly name: string;
  readonly fields: Fields;
  /** Looks at what came of it. @default {that ADD succeeded} */
  readonly look?: (container: TestContainer, answer: CniAnswer) => unknown;
  readonly expected?: unknown;
}

const firstAddress = (_: TestContainer, answer: CniAnswer): unknown => addressesOf(answer)[0];
const ipv4Routes = (it: TestContainer): unknown => it.ip("route").map((route) => route.dst);
const forwarding = ({ namespace }: TestContainer): unknown => [
  readSysctl("net/ipv4/ip_forward", namespace),
  readSysctl("net/ipv6/conf/all/forwarding", namespace),
];

/** Keys with which the plugin asks the API server itself: the address says as which node. */
function nodeCases(url: string): Working[] {
  const ipam = { subnet: "usePodCidr" };
  const kubernetes = { k8s_api_root: url };
  const policy = { k8s_auth_token: TOKEN };
  const asked = (name: string, address: string, fields: Fields): Working => ({
    name,
    fields: { ipam, kubernetes, policy, ...fields },
    look: firstAddress,
    expected: address,
  });
  const nodename_file = `${FOLDER}/nodename`;
  const missing = `${FOLDER}/none`;
  return [
    asked("nodename", "10.1.0.2", { nodename: "nodename", nodename_file, hostname: "hostname" }),
    asked("kubernetes.node_name", "10.1.0.2", {
      kubernetes: { ...kubernetes, node_name: "nodename" },
      nodename_file,
    }),
    asked("nodename_file", "10.2.0.2", { nodename_file, hostname: "hostname" }),
    asked("nodename_file_optional, and it is there", "10.2.0.2", {
      nodename_file,
      nodename_file_optional: true,
    }),
    asked("nodename_file_optional, and it is not", "10.3.0.2", {
      nodename_file: missing,
      nodename_file_optional: true,
      hostname: "hostname",
    }),
    asked("hostname", "10.3.0.2", { hostname: "hostname" }),
    asked("no name at all", "10.4.0.2", {}),
    asked("policy.k8s_api_root", "10.1.0.2", {
      nodename: "nodename",
      kubernetes: {},
      policy: { type: "k8s", k8s_api_root: `${url}/api/v1/`, k8s_auth_token: TOKEN },
    }),
    asked("kubernetes.kubeconfig", "10.1.0.2", {
      nodename: "nodename",
      kubernetes: { kubeconfig: `${FOLDER}/kubeconfig` },
      policy: {},
    }),
    asked("usePodCidr in ranges", "10.1.0.2", {
      nodename: "nodename",
      ipam: { ranges: [[{ subnet: "usePodCidr" }]] },
    }),
  ];
}

const WORKING: readonly Working[] = [
  { name: "datastore_type", fields: { datastore_type: "kubernetes" } },
  { name: "policy.type", fields: { policy: { type: "k8s" } } },
  { name: "device_type", fields: { device_type: "veth" } },
  { name: "num_queues", fields: { num_queues: 1 } },
  { name: "readiness_gates, none", fields: { readiness_gates: [] } },
  {
    name: "feature_control, off",
    fields: { feature_control: { ip_addrs_no_ipam: false, floating_ips: false } },
  },
  {
    name: "mtu",
    fields: { mtu: 1400 },
    look: (it, answer) => [it.ip("link", "show", "eth0")[0]?.mtu, answer.interfaces?.[1]?.mtu],
    expected: [1400, 1400],
  },
  {
    name: "mtu 0",
    fields: { mtu: 0 },
    look: (it) => it.ip("link", "show", "eth0")[0]?.mtu,
    expected: 1500,
  },
  { name: "require_mtu_file with mtu", fields: { require_mtu_file: true, mtu: 1400 } },
  { name: "require_mtu_file, off", fields: { require_mtu_file: false } },
  {
    name: "container_settings.allow_ip_forwarding",
    fields: { container_settings: { allow_ip_forwarding: true } },
    look: forwarding,
    expected: ["1", "1"],
  },
  { name: "the same unsaid", fields: {}, look: forwarding, expected: ["0", "0"] },
  {
    name: "include_default_routes",
    fields: { include_default_routes: true, ipam: { routes: [{ dst: "192.0.2.0/24" }] } },
    look: ipv4Routes,
    expected: ["default", "169.254.1.1", "192.0.2.0/24"],
  },
  {
    name: "include_default_routes, unsaid",
    fields: { ipam: { routes: [{ dst: "192.0.2.0/24" }] } },
    look: ipv4Routes,
    expected: ["169.254.1.1", "192.0.2.0/24"],
  },
  {
    name: "ipam.routes with all that they may have",
    fields: {
      ipam: {
        routes: [
          { dst: "192.0.2.0/24", gw: "10.244.0.1", mtu: 1400, advmss: 1300, priority: 7, scope: 0 },
          { dst: "2001:db8::/32", mtu: 1380, table: 100 },
        ],
      },
    },
    look: (it, { routes }) => [
      routes?.slice(0, 2),
      it.ip("route", "show", "192.0.2.0/24").map((route) => [route.metric, route.metrics]),
      it.ip("-6", "route", "show", "2001:db8::/32", "table", "100").map((route) => route.metrics),
    ],
    expected: [
      [
        { dst: "192.0.2.0/24", gw: "169.254.1.1", mtu: 1400, advmss: 1300, priority: 7 },
        { dst: "2001:db8::/32", gw: "fe80::ecee:eeff:feee:eeee", mtu: 1380, table: 100 },
      ],
      [[7, [{ mtu: 1400, advmss: 1300 }]]],
      [[{ mtu: 1380 }]],
    ],
  },
  {
    name: "policy_setup_timeout_seconds 0: ADD does not wait for the agent",
    fields: {
      agent_socket: `${FOLDER}/none.sock`,
      policy_setup_timeout_seconds: 0,
      mtu: 1400,
    },
  },
  { name: "policy_setup_timeout_seconds", fields: { policy_setup_timeout_seconds: 10 } },
  {
    name: "log_*",
    fields: {
      log_level: "Info",
      log_file_path: `${FOLDER}/log/cni.log`,
      log_file_max_size: 1,
      log_file_max_age: 1,
      log_file_max_count: 1,
    },
    look: () => Deno.readTextFileSync(`${FOLDER}/log/cni.log`).split("\n").length,
    expected: 2,
  },
  // Without effect here, as in Calico on such a node.
  {
    name: "the rest",
    fields: {
      calico_api_group: "projectcalico.org",
      qps: 5,
      burst: 10,
      endpoint_status_dir: "/var/run/calico/endpoint-status",
      ipam_lock_file: "/run/ipam.lock",
      mode: "vxlan",
      vxlan_mac_prefix: "0E-2A",
      vxlan_vni: 4096,
      windows_use_single_network: true,
      windows_loopback_DSR: false,
      dataplane_options: {},
      etcd_endpoints: "",
    },
  },
];

/** A configuration that is refused: its code, and the words that it takes. */
const REFUSED: readonly (readonly [Fields, number, RegExp])[] = [
  [{ interface_prefix: "much-too-long" }, 7, /"interface_prefix".*much-too-long/],
  [{ datastore_type: "etcdv3" }, 2, /^Unsupported "datastore_type": "etcdv3"$/],
  [{ etcd_endpoints: "http://etcd:2379" }, 2, /"etcd_endpoints": "http:\/\/etcd:2379"$/],
  [{ etcd_authority: "etcd:2379" }, 2, /"etcd_authority": "etcd:2379"$/],
  [{ policy: { type: "other" } }, 2, /"policy\.type": "other"$/],
  [{ device_type: "netkit" }, 2, /"device_type": "netkit"$/],
  [{ num_queues: 4 }, 2, /"num_queues": 4$/],
  [
    { readiness_gates: ["http://localhost/ok"] },
    2,
    /"readiness_gates": \["http:\/\/localhost\/ok"\]/,
  ],
  [
    { feature_control: { ip_addrs_no_ipam: true } },
    2,
    /"feature_control\.ip_addrs_no_ipam": true$/,
  ],
  [{ feature_control: { floating_ips: true } }, 2, /"feature_control\.floating_ips": true$/],
  [{ dataplane_options: { type: "grpc" } }, 2, /"dataplane_options": \{"type":"grpc"\}$/],
  [{ ipam: { type: "calico-ipam" } }, 2, /"ipam\.type": "calico-ipam"$/],
  [{ ipam: { type: "" } }, 7, /"ipam\.type" is missing/],
  [{ mtu: "1400" }, 7, /"mtu" must be a whole number from 0: got "1400"$/],
  [{ mtu: 68 }, 7, /"mtu" must be 0 .* or 1280 to 65535: got 68$/],
  [{ require_mtu_file: true }, 7, /"require_mtu_file" must be false without .*: got true$/],
  [{ nodename: 1 }, 7, /"nodename" must be a text: got 1$/],
  [{ nodename_file_optional: "yes" }, 7, /"nodename_file_optional" must be .*: got "yes"$/],
  [{ kubernetes: "x" }, 7, /"kubernetes" must be an object: got "x"$/],
  [{ kubernetes: { kubeconfig: 1 } }, 7, /"kubernetes\.kubeconfig" must be a text: got 1$/],
  [{ container_settings: { allow_ip_forwarding: 1 } }, 7, /allow_ip_forwarding" .*: got 1$/],
  [{ include_default_routes: "x" }, 7, /"include_default_routes" .*: got "x"$/],
  [{ policy_setup_timeout_seconds: -1 }, 7, /"policy_setup_timeout_seconds" .*: got -1$/],
  [
    { policy_setup_timeout_seconds: 3_000_000 },
    7,
    /"policy_setup_timeout_seconds" must be at most 120, .*: got 3000000$/,
  ],
  [{ policy_setup_timeout_action: "open" }, 7, /_action" must be one of .*: got "open"$/],
  [
    { agent_socket: "agent.sock" },
    7,
    /"agent_socket" must be an absolute path of .*: got "agent\.sock"$/,
  ],
  [{ agent_socket: "/run/" + "x".repeat(103) }, 7, /"agent_socket" must be an absolute path of /],
  [{ agent_socket: "/run/a\0b" }, 7, /"agent_socket" must be an absolute path of /],
  [{ dns: { nameservers: "10.0.0.10" } }, 7, /"dns\.nameservers" must be a list of texts/],
  [{ dns: [] }, 7, /"dns" must be an object: got a list$/],
  [{ ipam: { type: "calyx" } }, 7, /"ipam\.type" cannot be .*: got "calyx"$/],
  [{ type: "renamed", ipam: { type: "renamed" } }, 7, /"ipam\.type" cannot be .*: got "renamed"$/],
  [{ log_level: "loud" }, 7, /"log_level" must be .*: got "loud"$/],
  [{ log_file_path: "cni.log" }, 7, /"log_file_path" must be an absolute path: got "cni\.log"$/],
  [{ log_file_max_size: "1MB" }, 7, /"log_file_max_size" .*: got "1MB"$/],
  [{ log_file_max_count: -1 }, 7, /"log_file_max_count" .*: got -1$/],
  [{ log_file_max_age: 0.5 }, 7, /"log_file_max_age" .*: got 0\.5$/],
  [
    { nodename_file: `${FOLDER}/none`, ipam: { subnet: "usePodCidr" } },
    7,
    /"nodename_file": .*none/,
  ],
  [
    { nodename_file: `${FOLDER}/empty`, ipam: { subnet: "usePodCidr" } },
    7,
    /"nodename_file" .*empty$/,
  ],
  [
    { kubernetes: { kubeconfig: `${FOLDER}/none` }, ipam: { subnet: "usePodCidr" } },
    7,
    /[Kk]ubeconfig .*none/,
  ],
  [
    { policy: { k8s_client_certificate: `${FOLDER}/none` }, ipam: { subnet: "usePodCidr" } },
    7,
    /k8s_client_key|client key|certificate/i,
  ],
];

/** The configuration's `ipam` over a usual one. */
function complete(network: CniNetwork, { ipam, ...fields }: Fields): Fields {
  const given: Fields = typeof ipam === "object" && ipam !== null ? { ...ipam } : {};
  const usual = "subnet" in given || "ranges" in given
    ? { type: "host-local", dataDir: network.dataDir }
    : network.hostLocal("10.244.0.0/24", "fd00:10:244::/64");
  return { ...fields, ipam: { ...usual, ...given } };
}

Deno.test("calyx does with Calico's keys what Calico does", async () => {
  requireIsolation();
  await using api = await startServer();
  for (const { name, fields, look, expected } of [...nodeCases(api.url), ...WORKING]) {
    using network = new CniNetwork();
    using container = new TestContainer("c1");
    const answer = await network.add(container, { fields: complete(network, fields) })
      .catch((error) => {
        throw new Error(`${name}: ${error.message}`);
      });
    if (look !== undefined) assertEquals(look(container, answer), expected, name);
    assertEquals((await network.call("DEL", container)).code, 0, name);
    assertEquals([nodeState(), network.reserved()], [[], []], name);
  }
});

Deno.test("calyx refuses what it does not do, with key, value and a remedy, and leaves nothing", async () => {
  requireIsolation();
  await using api = await startServer();
  using network = new CniNetwork({ nodename: "nodename" });
  using container = new TestContainer("c1");
  for (const [fields, code, message] of REFUSED) {
    const what = JSON.stringify(fields);
    const more = "kubernetes" in fields ? {} : { kubernetes: { k8s_api_root: api.url } };
    const named = "nodename_file" in fields ? { nodename: undefined } : {};
    const changes = { fields: complete(network, { ...more, ...named, ...fields }) };
    const outcome = await network.call("ADD", container, changes);
    assertEquals([outcome.code, outcome.answer.code], [1, code], `${what}: ${outcome.stdout}`);
    assertMatch(outcome.answer.msg ?? "", message, what);
    if (code === 2) assertMatch(outcome.answer.details ?? "", /./, what);
    // What became of the configuration since ADD is no reason not to take away.
    const ipam = network.hostLocal("10.244.0.0/24");
    assertEquals((await network.call("DEL", container, { fields: { ...fields, ipam } })).code, 0);
  }
  assertEquals([nodeState(), network.reserved(), container.links], [[], [], ["lo"]]);
});

Deno.test("calyx takes the MTU and the pod CIDR from the agent, where it is told of one", async () => {
  requireIsolation();
  await Deno.mkdir(FOLDER, { recursive: true });
  const path = `${FOLDER}/agent.sock`;
  const server = Deno.serve(
    { transport: "unix", path, onListen: () => {} },
    ({ method }) =>
      Response.json(
        method === "GET" ? { nodeName: "n", podCIDRs: ["10.5.0.0/24"], mtu: 1430 } : {},
      ),
  );
  try {
    using network = new CniNetwork({ agent_socket: path, require_mtu_file: true }, ["usePodCidr"]);
    using container = new TestContainer("c1");
    const answer = await network.add(container);
    assertEquals(addressesOf(answer), ["10.5.0.2"]);
    assertEquals(container.ip("link", "show", "eth0")[0]?.mtu, 1430);
    assertEquals((await network.call("DEL", container)).code, 0);
  } finally {
    await server.shutdown();
  }
});

Deno.test("calyx and its agent agree on what a pod's interface begins with, or ADD fails", async () => {
  requireIsolation();
  await using node = await TestNode.start({ agent: false });
  await node.createPod("web");
  await node.startAgent({ CALYX_INTERFACE_PREFIX: "pod" });
  using network = new CniNetwork({ agent_socket: AGENT_SOCKET });
  using container = new TestContainer("c1", "web");
  const refused = await network.call("ADD", container);
  assertEquals(refused.code, 1);
  assertMatch(refused.answer.msg ?? "", /"interface_prefix" in the plugin's configuration/);
  assertEquals([nodeState(), network.reserved()], [[], []]);
  const fields = { interface_prefix: "pod" };
  const answer = await network.add(container, { fields });
  assertEquals(answer.interfaces?.[0]?.name, interfaceNameOf("default", "web", "pod"));
  assertEquals(
    (await network.call("CHECK", container, {
      fields: { ...fields, prevResult: answer },
    })).code,
    0,
  );
  assertEquals((await network.call("DEL", container)).code, 0, "DEL does not need to know");
  assertEquals(network.reserved(), []);
  using socket = openNetlinkSocket(NETLINK_ROUTE);
  assertEquals(listOurLinks(socket), []);
});

Deno.test("calyx reads the boot from whatever file it is told to", async () => {
  requireIsolation();
  const kernel = "/proc/sys/kernel/random/boot_id";
  using network = new CniNetwork();
  using container = new TestContainer("c1");
  const fields = complete(network, { ipam: { bootIdFile: kernel } });
  await network.add(container, { fields });
  const id = (await Deno.readTextFile(kernel)).trim();
  assertMatch(
    await Deno.readTextFile(`${network.dataDir}/net1/.calyx`),
    new RegExp(`\nboot ${id} `),
  );
  assertEquals((await network.call("DEL", container, { fields })).code, 0);
});

Deno.test("calyx explains itself to a person", async () => {
  const flags: readonly (readonly [string, RegExp])[] = [
    ["-v", /^calyx \d+\.\d+\.\d+ \(commit .+, deno .+\)\n$/],
    ["--version", /^calyx \d+\.\d+\.\d+ \(commit .+, deno .+\)\n$/],
    ["-h", /^calyx .*\nA CNI plugin.*\n.*0\.1\.0, .*1\.1\.0\n$/],
    ["--help", /^calyx .*\nA CNI plugin.*\n.*0\.1\.0, .*1\.1\.0\n$/],
  ];
  for (const [flag, expected] of flags) {
    const { code, stdout, stderr } = await runExecutable("calyx", { args: [flag] });
    assertEquals([code, stderr], [0, ""], flag);
    assertMatch(stdout, expected, flag);
  }
  const full = await new Deno.Command("/bin/sh", {
    args: ["-c", `exec "$0" >/dev/full`, `${DIST}/calyx`],
    env: { CNI_COMMAND: "VERSION" },
    stdin: "null",
  }).output();
  assertEquals(full.code, 1);
  assertMatch(
    new TextDecoder().decode(full.stderr),
    /^calyx: the answer cannot be written to stdout: .*\n$/,
  );
  const bare: Pick<CniOutcome, "code" | "stdout" | "stderr"> = await runExecutable("calyx");
  assertEquals([bare.code, bare.stdout], [0, ""]);
  assertMatch(bare.stderr, /^calyx .*\nA CNI plugin: container runtimes call it.*\n/);
});
