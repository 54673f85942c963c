/**
 * calyxctl where not everything may be read, where there is very much, and where what is there was
 * written by a stranger.
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type SmallApiServer, startApiServer } from "../support/kubernetes/api_server/server.ts";
import { calyxctl, type Outcome } from "../support/program/ctl.ts";

const CLUSTER_POLICIES = {
  group: "policy.networking.k8s.io",
  version: "v1beta1",
  plural: "clusternetworkpolicies",
  kind: "ClusterNetworkPolicy",
  namespaced: false,
  custom: true,
};

/** Two namespaces with two pods each, and a policy that isolates shop/web. */
function startCluster(): SmallApiServer {
  const server = startApiServer();
  const { store } = server;
  store.create("nodes", {
    metadata: { name: "n1" },
    spec: { podCIDRs: ["10.244.0.0/24"] },
    status: { addresses: [{ type: "InternalIP", address: "192.0.2.1" }] },
  });
  for (const [index, namespace] of ["shop", "other"].entries()) {
    store.create("namespaces", { metadata: { name: namespace } });
    for (const [count, name] of ["web", "cli"].entries()) {
      store.create("pods", {
        metadata: { name, namespace, labels: { app: name } },
        spec: { nodeName: "n1", containers: [{ name: "main" }] },
        status: { phase: "Running", podIPs: [{ ip: `10.244.0.${10 * index + count + 2}` }] },
      });
    }
  }
  store.create("networkpolicies", {
    metadata: { name: "deny", namespace: "shop" },
    spec: { podSelector: { matchLabels: { app: "web" } } },
  });
  return server;
}

function ctl(server: SmallApiServer, line: string): Promise<Outcome> {
  return calyxctl(line, { K8S_API_ENDPOINT: server.url });
}

const FLOW = "explain shop/cli shop/web:80";
const CERTAIN = /^shop\/cli .* TCP port 80: DENIED\n/;
const UNCERTAIN = /^shop\/cli .* TCP port 80: DENIED by what could be read, which is not all\n/;
/** What is refused, what of it the answer names, and what becomes of the verdict. */
const REFUSED: readonly [string, RegExp, RegExp, readonly string[]][] = [
  ["all but one namespace", /^\/(api|apis\/networking\.k8s\.io)\/v1\/\w+\?/, UNCERTAIN, ["nodes"]],
  ["pods of all namespaces", /^\/api\/v1\/pods\?/, CERTAIN, []],
  ["policies of all namespaces", /^\/apis\/networking\.k8s\.io\/v1\/net\w+\?/, CERTAIN, []],
  ["policies anywhere", /networkpolicies\?/, UNCERTAIN, ["networkpolicies"]],
  ["nodes", /^\/api\/v1\/nodes/, UNCERTAIN, ["nodes"]],
  ["the list of namespaces", /^\/api\/v1\/namespaces\?/, CERTAIN, []],
  ["any namespace", /^\/api\/v1\/namespaces(\/\w+)?\?/, UNCERTAIN, ["namespaces shop"]],
  ["the cluster's policies", /\/clusternetworkpolicies\?/, UNCERTAIN, ["clusternetworkpolicies"]],
];
for (const [what, path, expected, named] of REFUSED) {
  Deno.test(`explain says what it may not read: ${what}`, async () => {
    await using server = startCluster();
    server.store.register(CLUSTER_POLICIES);
    server.faults.refuse({ status: 403, path, message: 'User "jo" may not' });
    const { status, stdout, stderr } = await ctl(server, FLOW);
    assertEquals(status, 0, stderr);
    if (what !== "policies anywhere") assertMatch(stdout, expected);
    for (const kind of named) {
      assertMatch(
        stdout,
        new RegExp(`\nWarning: Cannot (list|get) ${kind}: .* 403, .*"jo" may not`),
      );
    }
    const warnings = stdout.split("\n").filter((it) => it.startsWith("Warning: "));
    assertEquals(warnings.length > 0, named.length > 0, stdout);
    const { unread } = JSON.parse((await ctl(server, `${FLOW} -o json`)).stdout);
    assertEquals(unread?.length ?? 0, warnings.length);
  });
}

Deno.test("explain is certain of nothing about an address whose pod it may not see", async () => {
  await using server = startCluster();
  server.faults.refuse({ status: 403, path: /^\/api\/v1\/pods\?/ });
  const { stdout } = await ctl(server, "explain 10.244.0.12 shop/web:80");
  assertStringIncludes(stdout, "DENIED by what could be read, which is not all\n");
  assertStringIncludes(stdout, "\nWarning: Cannot list pods: ");
});

Deno.test("explain fails where it may not see the pods at the ends", async () => {
  await using server = startCluster();
  server.faults.refuse({ status: 403, path: /\/pods\?/ });
  const { status, stdout, stderr } = await ctl(server, FLOW);
  assertEquals([status, stdout], [1, ""]);
  assertMatch(stderr, /^calyxctl: Cannot list pods: .* 403, .*RBAC.*\n$/);
});

Deno.test("get says that one namespace may be asked where all may not", async () => {
  await using server = startCluster();
  server.faults.refuse({ status: 403, path: /^\/api\/v1\/pods\?/ });
  const { status, stderr } = await ctl(server, "get wep");
  assertEquals(status, 1);
  assertMatch(stderr, /403, .*; -n NAME asks for one namespace alone\n$/);
  assertEquals((await ctl(server, "get wep -n shop")).status, 0);
});

Deno.test("explain names the policies of other engines that the API server has", async (t) => {
  await using server = startCluster();
  const kind = {
    group: "cilium.io",
    version: "v2",
    plural: "ciliumnetworkpolicies",
    kind: "CiliumNetworkPolicy",
    namespaced: true,
    custom: true,
  };
  const warnings = async (): Promise<readonly string[]> => {
    const { stdout, stderr } = await ctl(server, FLOW);
    assertMatch(stdout, CERTAIN, stderr);
    return stdout.split("\n").filter((it) => it.startsWith("Warning: "));
  };
  assertEquals(await warnings(), []);
  server.store.register(kind);
  await t.step("none", async () => assertEquals(await warnings(), []));
  for (let index = 0; index < 7; index++) {
    server.store.create(kind.plural, { metadata: { name: `p${index}`, namespace: "shop" } });
  }
  await t.step("several", async () => {
    assertEquals(await warnings(), [
      "Warning: CiliumNetworkPolicy shop/p0, shop/p1, shop/p2, shop/p3, shop/p4 and 2 more of " +
      "cilium.io/v2 are not evaluated: Calyx does not enforce it",
    ]);
  });
  await t.step("which this user may not read", async () => {
    server.faults.refuse({ status: 403, path: /cilium/ });
    assertEquals(await warnings(), []);
  });
});

/** A line, and the requests for objects that it may cost. */
const REQUESTS: readonly [string, string, readonly string[]][] = [
  ["get wep shop/web", "shop.web", ["/api/v1/namespaces/shop/pods/web null"]],
  ["get wep shop.web", "shop.web", ["/api/v1/namespaces/shop/pods/web null"]],
  ["get wep -n shop web", "shop.web", ["/api/v1/namespaces/shop/pods/web null"]],
  ["get wep shop/web other/cli", "other.cli", [
    "/api/v1/namespaces/shop/pods/web null",
    "/api/v1/namespaces/other/pods/cli null",
  ]],
  ["get wep shop/web -o wide", "cali", [
    "/api/v1/namespaces/shop/pods/web null",
    "/api/v1/pods spec.nodeName=n1",
  ]],
  ["get wep shop/ghost", "", ["/api/v1/namespaces/shop/pods/ghost null"]],
  ["get wep shop/..", "", []],
  ["get wep web", "other.web", ["/api/v1/pods null"]],
  ["get policy shop/deny", "shop.deny", [
    "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/deny null",
  ]],
  ["get node n1", "n1", ["/api/v1/nodes/n1 null"]],
  ["get profile k8s_ns.shop", "k8s_ns.shop", ["/api/v1/namespaces/shop null"]],
];
for (const [line, text, expected] of REQUESTS) {
  Deno.test(`${line} asks for no more than it shows`, async () => {
    await using server = startCluster();
    const { status, stdout, stderr } = await ctl(server, line);
    assertEquals(status, text === "" ? 1 : 0);
    assertStringIncludes(stdout, text);
    if (text === "") assertMatch(stderr, /No workloadEndpoint is named "shop\//);
    assertEquals(
      server.requests.map((it) => `${it.path} ${it.query.get("fieldSelector")}`),
      expected,
    );
  });
}

const EVIL = "a\u001b[2K\r\nspoof: ALLOWED\u009b1A\u007f\u202e\u2028";
const SHOWN = "a\\u001b[2K\\r\\nspoof: ALLOWED\\u009b1A\\u007f\\u202e\\u2028";
/** What a terminal acts upon, but for the newlines that end lines. */
const ACTIVE_REGEXP = /(?!\n)[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u;

Deno.test("calyxctl shows control characters of strangers as escapes", async (t) => {
  await using server = startCluster();
  server.store.register(CLUSTER_POLICIES);
  server.store.create(CLUSTER_POLICIES.plural, {
    metadata: { name: "evil" },
    spec: {
      tier: "Admin",
      priority: 1,
      subject: { namespaces: { matchLabels: {} } },
      ingress: [{ name: EVIL, action: "Deny", from: [{ namespaces: {} }] }],
      egress: [{ name: EVIL, action: EVIL, to: [{ namespaces: {} }] }],
    },
  });
  const lines = [
    FLOW,
    `${FLOW} -o json`,
    `${FLOW} -o yaml`,
    "get cnp -o json",
    "get cnp -o yaml",
    "get cnp -o wide",
    `get wep ${EVIL.replaceAll(" ", "")}`,
    `explain ${EVIL.replaceAll(" ", "")} a`,
    `get wep --${EVIL.replaceAll(" ", "")}`,
  ];
  for (const line of lines) {
    await t.step(JSON.stringify(line), async () => {
      const { stdout, stderr } = await ctl(server, line);
      assertEquals(ACTIVE_REGEXP.exec(stdout + stderr), null);
      assertEquals(/^spoof/m.test(stdout + stderr), false);
      assertEquals(/spoof/.test(stdout + stderr), line !== "get cnp -o wide" || stderr !== "");
    });
  }
  await t.step("JSON stays what it was", async () => {
    const [item] = JSON.parse((await ctl(server, "get cnp evil -o json")).stdout);
    assertEquals(item.spec.ingress[0].name, EVIL);
  });
  await t.step("what the API server refuses with", async () => {
    server.faults.refuse({ status: 403, times: 1, message: EVIL });
    const { stderr } = await ctl(server, "get wep");
    assertEquals(ACTIVE_REGEXP.exec(stderr), null);
  });
});

Deno.test("calyxctl explain -f shows control characters of manifests as escapes", async () => {
  const pod = (name: string, labels: Record<string, string>): object => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "x", labels },
  });
  const policy = {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: EVIL, namespace: "x" },
    spec: {
      podSelector: {},
      ingress: [{
        from: [{ podSelector: { matchLabels: { [EVIL]: EVIL } } }],
        ports: [{ port: EVIL, protocol: EVIL }],
      }],
    },
  };
  const other = { ...policy, apiVersion: EVIL, kind: `${EVIL}Policy` };
  const manifest = [pod("a", {}), pod("b", {}), policy, other].map((it) => JSON.stringify(it));
  const { stdout, stderr } = await calyxctl(
    "explain -f - x/a x/b:80",
    {},
    manifest.join("\n---\n"),
  );
  assertEquals(ACTIVE_REGEXP.exec(stdout + stderr), null);
  assertStringIncludes(stdout, `    x/${SHOWN}\n`);
  assertEquals(/^spoof/m.test(stdout + stderr), false);
});
