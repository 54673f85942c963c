import { assertEquals, assertThrows } from "@std/assert";
import { Address } from "../../lib/ip/address.ts";
import { Prefix } from "../../lib/ip/prefix.ts";
import type { NetworkPolicy } from "../../lib/model/policy.ts";
import type { Workload } from "../../lib/model/workload.ts";
import type { ClusterReader } from "../cluster/reader.ts";
import { CtlError } from "../error.ts";
import { viewOf } from "../resource/kinds.ts";
import { formatItems, parseOutput } from "./output.ts";

function pod(namespace: string, name: string, change: Partial<Workload>): Workload {
  return {
    namespace,
    name,
    uid: "u",
    nodeName: "n1",
    labels: {},
    serviceAccount: "default",
    addresses: [],
    hostNetwork: false,
    finished: false,
    ports: [],
    resourceVersion: "1",
    ...change,
  };
}

const web = (key: string) => [{ key, operator: "In", values: ["web"] }] as const;

const policy: NetworkPolicy = {
  namespace: "shop",
  name: "web-allow",
  podSelector: web("app"),
  ingress: [{
    peers: [
      { kind: "pods", podSelector: web("may-call"), namespaceSelector: undefined },
      { kind: "pods", podSelector: [], namespaceSelector: [] },
      {
        kind: "pods",
        podSelector: [{ key: "legacy", operator: "DoesNotExist", values: [] }],
        namespaceSelector: [{ key: "team", operator: "NotIn", values: ["b", "a"] }],
      },
      {
        kind: "addresses",
        cidr: Prefix.parse("10.0.0.0/8"),
        except: [Prefix.parse("10.1.0.0/16")],
      },
    ],
    ports: [
      { protocol: "TCP", port: { first: 80, last: 80 } },
      { protocol: "TCP", port: "metrics" },
      { protocol: "UDP", port: { first: 5000, last: 5010 } },
    ],
  }],
  egress: [],
  resourceVersion: "3",
};

const cluster: ClusterReader = {
  clusterPolicies: () => Promise.resolve([]),
  foreignPolicies: () => Promise.resolve([]),
  pods: () =>
    Promise.resolve([
      pod("shop", "web-1", {
        nodeName: "kubernetes-minion-group-x7ce",
        labels: { app: "web" },
        addresses: [Address.parse("10.244.1.7"), Address.parse("fd00:10:244:1::7")],
      }),
      pod("shop", "done", { addresses: [Address.parse("10.244.1.8")], finished: true }),
      pod("kube-system", "kube-proxy-1", {
        addresses: [Address.parse("192.0.2.1")],
        hostNetwork: true,
      }),
      pod("kube-system", "kube-dns-v20-jhk10", { addresses: [Address.parse("10.244.0.5")] }),
      pod("shop", "pending", { nodeName: "" }),
    ]),
  policies: () => Promise.resolve([policy]),
  namespaces: () =>
    Promise.resolve([
      { name: "shop", labels: { team: "a" }, isIsolated: false, denyAction: undefined },
      { name: "default", labels: {}, isIsolated: false, denyAction: undefined },
    ]),
  nodes: () =>
    Promise.resolve([
      { name: "n2", labels: {}, podCidrs: [], addresses: [] },
      {
        name: "n1",
        labels: { zone: "a" },
        podCidrs: [Prefix.parse("10.244.0.0/24"), Prefix.parse("fd00:10:244::/64")],
        addresses: [Address.parse("192.0.2.1"), Address.parse("2001:db8::1")],
      },
    ]),
};

/** What `get kind -o format` prints; a bar stands at each line's end, to show trailing blanks. */
async function get(kind: string, format: string): Promise<string> {
  const view = viewOf(kind);
  const text = formatItems(
    await view.list(cluster, { shows: () => true }),
    view,
    parseOutput(format, view),
  );
  return "\n" + text.replaceAll("\n", "|\n");
}

const TABLES: readonly [string, string, string][] = [
  [
    "workloadendpoints",
    "ps",
    `
NODE                           ORCHESTRATOR   WORKLOAD                         NAME   |
n1                             k8s            kube-system.kube-dns-v20-jhk10   eth0   |
kubernetes-minion-group-x7ce   k8s            shop.web-1                       eth0   |
|
`,
  ],
  [
    "WorkloadEndpoint",
    "wide",
    `
NODE                           ORCHESTRATOR   WORKLOAD                         NAME   NETWORKS                             NATS   INTERFACE         PROFILES             |
n1                             k8s            kube-system.kube-dns-v20-jhk10   eth0   10.244.0.5/32                               cali750cc10f5ac   k8s_ns.kube-system   |
kubernetes-minion-group-x7ce   k8s            shop.web-1                       eth0   10.244.1.7/32,fd00:10:244:1::7/128          cali751425ce827   k8s_ns.shop          |
|
`,
  ],
  [
    "wep",
    "custom-columns=hostname,NETWORKS,mac",
    `
HOSTNAME                       NETWORKS                             MAC   |
n1                             10.244.0.5/32                              |
kubernetes-minion-group-x7ce   10.244.1.7/32,fd00:10:244:1::7/128         |
|
`,
  ],
  ["nodes", "ps", "\nNAME   |\nn1     |\nn2     |\n|\n"],
  [
    "no",
    "wide",
    `
NAME   ASN   IPV4        IPV6          |
n1           192.0.2.1   2001:db8::1   |
n2                                     |
|
`,
  ],
  ["profiles", "ps", "\nNAME             |\nk8s_ns.default   |\nk8s_ns.shop      |\n|\n"],
  [
    "pro",
    "wide",
    `
NAME             TAGS             |
k8s_ns.default   k8s_ns.default   |
k8s_ns.shop      k8s_ns.shop      |
|
`,
  ],
  ["policies", "ps", "\nNAME             |\nshop.web-allow   |\n|\n"],
  [
    "networkpolicies",
    "wide",
    `
NAME             ORDER   SELECTOR                                  |
shop.web-allow   1000    calico/k8s_ns == 'shop' && app == 'web'   |
|
`,
  ],
  [
    "ippools",
    "wide",
    `
CIDR               NAT     IPIP    |
10.244.0.0/24      false   false   |
fd00:10:244::/64   false   false   |
|
`,
  ],
];
for (const [kind, format, expected] of TABLES) {
  Deno.test(`get ${kind} -o ${format}`, async () =>
    assertEquals(await get(kind, format), expected));
}

const YAMLS: readonly [string, string][] = [
  [
    "workloadendpoints",
    `
- apiVersion: v1
  kind: workloadEndpoint
  metadata:
    name: eth0
    node: n1
    orchestrator: k8s
    workload: kube-system.kube-dns-v20-jhk10
    labels:
      calico/k8s_ns: kube-system
  spec:
    interfaceName: cali750cc10f5ac
    ipNetworks:
      - 10.244.0.5/32
    profiles:
      - k8s_ns.kube-system
- apiVersion: v1
  kind: workloadEndpoint
  metadata:
    name: eth0
    node: kubernetes-minion-group-x7ce
    orchestrator: k8s
    workload: shop.web-1
    labels:
      app: web
      calico/k8s_ns: shop
  spec:
    interfaceName: cali751425ce827
    ipNetworks:
      - 10.244.1.7/32
      - 'fd00:10:244:1::7/128'
    profiles:
      - k8s_ns.shop
`,
  ],
  [
    "nodes",
    `
- apiVersion: v1
  kind: node
  metadata:
    name: n1
    labels:
      zone: a
  spec:
    bgp:
      ipv4Address: 192.0.2.1
      ipv6Address: '2001:db8::1'
    podCIDRs:
      - 10.244.0.0/24
      - 'fd00:10:244::/64'
- apiVersion: v1
  kind: node
  metadata:
    name: n2
  spec: {}
`,
  ],
  [
    "profiles",
    `
- apiVersion: v1
  kind: profile
  metadata:
    name: k8s_ns.default
    tags:
      - k8s_ns.default
  spec:
    ingress:
      - action: allow
    egress:
      - action: allow
- apiVersion: v1
  kind: profile
  metadata:
    name: k8s_ns.shop
    labels:
      k8s_ns/label/team: a
    tags:
      - k8s_ns.shop
  spec:
    ingress:
      - action: allow
    egress:
      - action: allow
`,
  ],
];
for (const [kind, expected] of YAMLS) {
  Deno.test(`get ${kind} -o yaml`, async () => {
    assertEquals((await get(kind, "yaml")).replaceAll("|\n", "\n"), expected);
  });
}

Deno.test("get policies -o json says what the NetworkPolicy says, in Calico's words", async () => {
  const tcp = { protocol: "tcp", destination: { ports: [80, "metrics"] } };
  const udp = { protocol: "udp", destination: { ports: ["5000:5010"] } };
  const sources = [
    { selector: "calico/k8s_ns == 'shop' && may-call == 'web'" },
    { selector: "has(calico/k8s_ns)" },
    { selector: "k8s_ns/label/team not in { 'a', 'b' } && ! has(legacy)" },
    { net: "10.0.0.0/8", notNets: ["10.1.0.0/16"] },
  ];
  assertEquals(JSON.parse((await get("policy", "json")).replaceAll("|\n", "\n")), [{
    apiVersion: "v1",
    kind: "policy",
    metadata: { name: "shop.web-allow" },
    spec: {
      order: 1000,
      selector: "calico/k8s_ns == 'shop' && app == 'web'",
      types: ["ingress", "egress"],
      ingress: sources.flatMap((source) => [
        { action: "allow", source, ...tcp },
        { action: "allow", source, ...udp },
      ]),
      egress: [],
    },
  }]);
});

Deno.test("formatItems() shows nothing as headings, as an empty list", () => {
  const view = viewOf("nodes");
  assertEquals(formatItems([], view, parseOutput("ps", view)), "NAME   \n\n");
  assertEquals(formatItems([], view, parseOutput("json", view)), "[]\n");
  assertEquals(formatItems([], view, parseOutput("yaml", view)), "[]\n");
});

const FORMATS: readonly [string, string][] = [
  ["yml", 'Unknown output format "yml"; did you mean "yaml"?'],
  ["wibble", 'Unknown output format "wibble"; valid are: ps, wide, yaml, json, custom-columns='],
  ["yaml=x", 'Unknown output format "yaml=x"; valid are: ps, wide, yaml, json, custom-columns='],
  ["custom-columns=NAME,X", "Unknown heading X, valid values are: NAME, ASN, IPV4, IPV6, PODCIDRS"],
  [
    "custom-columns",
    'custom-columns needs headings: "-o custom-columns=NAME"; valid values are: NAME, ASN, IPV4, IPV6, PODCIDRS',
  ],
];
for (const [format, message] of FORMATS) {
  Deno.test(`parseOutput() refuses "${format}"`, () => {
    const error = assertThrows(() => parseOutput(format, viewOf("nodes")), CtlError);
    assertEquals(error.message, message);
  });
}
