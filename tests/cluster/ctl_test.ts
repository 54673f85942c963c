/**
 * calyxctl against the small API server, as a new user calls it: correctly, and with the mistakes that new
 * users make. In this process, except where only a process of its own shows the behaviour.
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type SmallApiServer, startApiServer } from "../support/kubernetes/api_server/server.ts";
import { calyxctl, type Outcome } from "../support/program/ctl.ts";

const TOKEN = "token-of-the-test";

/** A server with two pods on two nodes, and a policy that lets one reach the other on one port. */
function startCluster(): SmallApiServer {
  const server = startApiServer({ token: TOKEN });
  const { store } = server;
  for (const [index, name] of ["n1", "n2"].entries()) {
    store.create("nodes", {
      metadata: { name },
      spec: { podCIDRs: [`10.244.${index}.0/24`] },
      status: { addresses: [{ type: "InternalIP", address: `192.0.2.${index + 1}` }] },
    });
  }
  store.create("namespaces", { metadata: { name: "shop", labels: { team: "a" } } });
  for (const [index, name] of ["web", "client"].entries()) {
    store.create("pods", {
      metadata: { name, namespace: "shop", labels: { app: name } },
      spec: {
        nodeName: `n${index + 1}`,
        containers: [{ name: "main", ports: [{ name: "http", containerPort: 80 }] }],
      },
      status: { phase: "Running", podIPs: [{ ip: `10.244.${index}.7` }] },
    });
  }
  store.create("pods", {
    metadata: { name: "proxy", namespace: "kube-system" },
    spec: { nodeName: "n1", hostNetwork: true, containers: [{ name: "main" }] },
    status: { phase: "Running", podIPs: [{ ip: "192.0.2.1" }] },
  });
  store.create("networkpolicies", {
    metadata: { name: "allow", namespace: "shop" },
    spec: {
      podSelector: { matchLabels: { app: "web" } },
      ingress: [{
        from: [{ podSelector: { matchLabels: { app: "client" } } }],
        ports: [{ port: 80 }],
      }],
    },
  });
  return server;
}

function access(server: SmallApiServer): Record<string, string> {
  return { DATASTORE_TYPE: "kubernetes", K8S_API_ENDPOINT: server.url, K8S_TOKEN: TOKEN };
}

const ENDPOINTS = "NODE   ORCHESTRATOR   WORKLOAD      NAME   \n" +
  "n2     k8s            shop.client   eth0   \n" +
  "n1     k8s            shop.web      eth0   \n\n";

const ANSWERS: readonly [string, string][] = [
  ["get workloadendpoints", ENDPOINTS],
  ["get wep -A --request-timeout 5m", ENDPOINTS],
  ["-n shop get WEP", ENDPOINTS],
  ["get wep -n default", "NODE   ORCHESTRATOR   WORKLOAD   NAME   \n\n"],
  ["get wep --node n1 -ocustom-columns=WORKLOAD", "WORKLOAD   \nshop.web   \n\n"],
  ["get wep --selector app!=web -ocustom-columns=WORKLOAD", "WORKLOAD      \nshop.client   \n\n"],
  ["get wep client -o custom-columns=NODE", "NODE   \nn2     \n\n"],
  ["get wep shop.client -o custom-columns=NODE", "NODE   \nn2     \n\n"],
  ["get nodes", "NAME   \nn1     \nn2     \n\n"],
  ["get ippools", "CIDR            \n10.244.0.0/24   \n10.244.1.0/24   \n\n"],
  ["get policies", "NAME         \nshop.allow   \n\n"],
  ["get profile k8s_ns.shop", "NAME          \nk8s_ns.shop   \n\n"],
];

Deno.test("calyxctl answers over the API server", async (t) => {
  await using server = startCluster();
  for (const [line, stdout] of ANSWERS) {
    await t.step(line, async () => {
      assertEquals(await calyxctl(line, access(server)), { status: 0, stdout, stderr: "" });
    });
  }
  await t.step("get wep -n shop asks for that namespace alone", () => {
    const paths = server.requests.map((it) => it.path);
    assertEquals(paths.includes("/api/v1/namespaces/shop/pods"), true);
  });
  await t.step("explain", async () => {
    const allowed = await calyxctl("explain -n shop client web:http", access(server));
    assertEquals([allowed.status, allowed.stderr], [0, ""]);
    assertStringIncludes(allowed.stdout, "TCP port 80: ALLOWED");
    assertStringIncludes(allowed.stdout, "policy shop/allow spec.ingress[0].from[0]");
    const denied = await calyxctl("explain shop/client 10.244.0.7:81 -o json", access(server));
    assertEquals(JSON.parse(denied.stdout).allowed, false);
  });
  await t.step("version", async () => {
    const { status, stdout } = await calyxctl("version", access(server));
    assertEquals(status, 0);
    assertMatch(stdout, /^Client Version: .*\n.*\n.*\nServer Version: {3}v1\.\d+/);
  });
});

Deno.test("calyxctl names no interface that two pods of one node could have", async () => {
  await using server = startCluster();
  server.store.create("namespaces", { metadata: { name: "evil" } });
  const pods = [["shop", "db-2966798", "n1"], ["evil", "m-433254", "n1"]] as const;
  for (const [index, [namespace, name, nodeName]] of pods.entries()) {
    server.store.create("pods", {
      metadata: { name, namespace },
      spec: { nodeName, containers: [{ name: "main" }] },
      status: { phase: "Running", podIPs: [{ ip: `10.244.0.${index + 10}` }] },
    });
  }
  const columns = "-o custom-columns=WORKLOAD,INTERFACE";
  const { stdout } = await calyxctl(`get wep ${columns}`, access(server));
  const rows = stdout.split("\n").slice(1).map((it) => it.trim().split(/ +/));
  const named = rows.filter((it) => it[1] !== undefined).map((it) => it[0]);
  assertEquals(rows.filter((it) => it[0] !== "").length, 4);
  assertEquals(named, ["shop.client", "shop.web"]);
});

Deno.test("calyxctl takes a configuration file of calicoctl", async () => {
  await using server = startCluster();
  const path = await Deno.makeTempFile({ suffix: ".cfg" });
  try {
    await Deno.writeTextFile(
      path,
      `apiVersion: v1\nkind: calicoApiConfig\nmetadata:\nspec:\n  datastoreType: kubernetes\n` +
        `  k8sAPIEndpoint: ${server.url}\n  k8sAPIToken: ${TOKEN}\n`,
    );
    const outcome = await calyxctl(`get wep -c ${path}`);
    assertEquals(outcome, { status: 0, stdout: ENDPOINTS, stderr: "" });
  } finally {
    await Deno.remove(path);
  }
});

const CLUSTER_POLICIES = {
  group: "policy.networking.k8s.io",
  version: "v1alpha2",
  plural: "clusternetworkpolicies",
  kind: "ClusterNetworkPolicy",
  namespaced: false,
  custom: true,
};

Deno.test("calyxctl reads ClusterNetworkPolicies in the versions that it knows, and says when it cannot", async (t) => {
  await using server = startCluster();
  const ctl = (line: string): Promise<Outcome> => calyxctl(line, access(server));
  await t.step("no such kind", async () => {
    const stdout = "NAME   TIER   PRIORITY   \n\n";
    assertEquals(await ctl("get cnp"), { status: 0, stdout, stderr: "" });
  });
  server.store.register(CLUSTER_POLICIES);
  const policies = [["last", "Baseline", 5], ["second", "Admin", 20], [
    "first",
    "Admin",
    3,
  ]] as const;
  for (const [name, tier, priority] of policies) {
    server.store.create(CLUSTER_POLICIES.plural, {
      metadata: { name },
      spec: {
        tier,
        priority,
        subject: { pods: { podSelector: { matchLabels: { app: "web" } } } },
        ingress: [{ name: "all", action: "Deny", from: [{ namespaces: {} }] }],
      },
    });
  }
  const flow = "explain -n shop client web:http";
  for (const versions of [["v1alpha2"], ["v1alpha2", "v1beta1"], ["v1beta1"], ["v1beta1", "v9"]]) {
    await t.step(versions.join(), async () => {
      server.serve(CLUSTER_POLICIES, versions);
      const columns = "custom-columns=NAME,TIER,PRIORITY,SUBJECT,INGRESS,EGRESS";
      assertEquals((await ctl(`get CNPs -o ${columns}`)).stdout.split("\n").slice(1, 4), [
        "first    Admin      3          pods app=web   1 rule    0 rules   ",
        "second   Admin      20         pods app=web   1 rule    0 rules   ",
        "last     Baseline   5          pods app=web   1 rule    0 rules   ",
      ]);
      const [item] = JSON.parse((await ctl("get cnp first -o json")).stdout);
      assertEquals(item.spec.ingress, [{
        name: "all",
        action: "Deny",
        match: "from all pods of every namespace, on every port",
      }]);
      assertStringIncludes((await ctl(flow)).stdout, "TCP port 80: DENIED\n");
    });
  }
  await t.step("only a version that it does not know", async () => {
    server.serve(CLUSTER_POLICIES, ["v9"]);
    const refused = await ctl("get cnp");
    assertEquals([refused.status, refused.stdout], [1, ""]);
    assertSentence(refused.stderr, /only as policy\.networking\.k8s\.io\/v9, and .* upgrade Calyx/);
    const { status, stdout } = await ctl(flow);
    assertEquals(status, 0);
    assertStringIncludes(stdout, "TCP port 80: ALLOWED by what could be read, which is not all\n");
    assertStringIncludes(stdout, "\nWarning: The API server serves ClusterNetworkPolicy only as");
    const { unread } = JSON.parse((await ctl(`${flow} -o json`)).stdout);
    assertEquals(unread.length, 1);
  });
  await t.step("a version that it does not know, without objects", async () => {
    for (const [name] of policies) server.store.delete(CLUSTER_POLICIES.plural, name);
    assertStringIncludes((await ctl(flow)).stdout, "TCP port 80: ALLOWED\n");
  });
});

Deno.test("calyxctl explain -f says which ClusterNetworkPolicies it cannot read", async () => {
  const manifest = (apiVersion: string): string => `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: x}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: x}
---
apiVersion: ${apiVersion}
kind: ClusterNetworkPolicy
metadata: {name: deny}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
`;
  const first = async (apiVersion: string): Promise<string | undefined> => {
    const { stdout } = await calyxctl("explain -f - x/b x/a:80", {}, manifest(apiVersion));
    return (stdout.split("\n")[0] ?? "") + (stdout.includes("\nWarning: ") ? ", warned" : "");
  };
  const verdict = "x/b to x/a, TCP port 80: ";
  for (const version of ["v1alpha2", "v1beta1"]) {
    assertEquals(await first(`policy.networking.k8s.io/${version}`), `${verdict}DENIED`);
  }
  assertEquals(
    await first("policy.networking.k8s.io/v9"),
    `${verdict}ALLOWED by what could be read, which is not all, warned`,
  );
  assertEquals(await first("crd.antrea.io/v1beta1"), `${verdict}ALLOWED, warned`);
});

Deno.test("calyxctl warns of objects that it does not understand, and goes on", async () => {
  await using server = startCluster();
  server.store.create("networkpolicies", {
    metadata: { name: "odd", namespace: "shop" },
    spec: { podSelector: {}, ingress: [{ ports: [{ port: 99999 }] }] },
  });
  const { status, stdout, stderr } = await calyxctl("get policies", access(server));
  assertEquals([status, stdout], [0, "NAME         \nshop.allow   \nshop.odd     \n\n"]);
  assertMatch(stderr, /^calyxctl: Warning: networkpolicies shop\/odd: .*99999.*\n$/);
  assertEquals((await calyxctl("get policies -l error", access(server))).stderr, "");
});

/** Mistakes that need no server: what was typed, in which environment, and the sentence. */
const MISTAKES: readonly [string, Readonly<Record<string, string>>, RegExp][] = [
  ["get wep", {}, /KUBECONFIG/],
  ["get wep", { DATASTORE_TYPE: "etcdv2" }, /"etcdv2" \(DATASTORE_TYPE\) is not supported/],
  ["get wep", { KUBECONFIG: "/nonexistent/config" }, /\/nonexistent\/config/],
  ["get wep", { KUBECONFIG: "/usr" }, /"?\/usr"? .*is a directory/],
  [
    "get wep",
    { K8S_API_ENDPOINT: "https://127.0.0.1:1", K8S_CERT_FILE: "/usr", K8S_KEY_FILE: "/usr" },
    /[Cc]lient certificate "\/usr" \(K8S_CERT_FILE\) is a directory/,
  ],
  [
    "get wep",
    { K8S_API_ENDPOINT: "https://127.0.0.1:1", K8S_CERT_FILE: "/usr" },
    /its key is missing: set K8S_KEY_FILE too/,
  ],
  [
    "get wep",
    { K8S_API_ENDPOINT: "http://127.0.0.1:1" },
    /127\.0\.0\.1:1 (cannot be reached|does not answer)/,
  ],
  ["get wep", { K8S_API_ENDPOINT: "no url" }, /is no URL/],
  ["get wep -c /nonexistent/file", {}, /file \/nonexistent\/file does not exist/],
  ["get wep -c /usr", {}, /file \/usr is a directory/],
  ["get wep --request-timeout soon", {}, /--request-timeout: Cannot parse duration "soon"/],
  ["get wep --log-level loud", {}, /--log-level: Log level must be one of/],
  ["get wep -n ..", {}, /--namespace "\.\." can be no namespace's name/],
  ["explain a b -n A/b", {}, /--namespace "A\/b" can be no namespace's name/],
  ["get wep -o yml", {}, /Unknown output format "yml"; did you mean "yaml"\?/],
  ["get wep -o", {}, /Flag "--output" needs a value/],
  ["get wep --nodes n1", {}, /Unknown flag "--nodes"; did you mean "--node"\?/],
  ["get profiles --node n1", {}, /A profile is on no node/],
  ["get", {}, /Which kind\? .*workloadendpoints/],
  ["get pods", {}, /"kubectl get pods"/],
  ["get workloadendpiont", {}, /did you mean "workloadendpoint"\?/],
  ["get bgppeers", {}, /no resources of kind bgpPeer/],
  ["gte wep", {}, /Unknown command "gte"; did you mean "get"\?/],
  ["frobnicate", {}, /Unknown command "frobnicate"; "calyxctl help" lists the commands/],
  ["--verison", {}, /Unknown flag "--verison"/],
  ["apply -f p.yaml", {}, /use "kubectl apply -f p.yaml"/],
  ["explain a", {}, /A flow has two ends/],
  ["explain a b:0", {}, /"0" is no port/],
  ["explain a b -f /nonexistent/dir", {}, /\/nonexistent\/dir does not exist/],
  ["help frobnicate", {}, /Unknown command "frobnicate"/],
];
for (const [line, environment, expected] of MISTAKES) {
  Deno.test(`calyxctl ${line} says what is wrong with ${JSON.stringify(environment)}`, async () => {
    const { status, stdout, stderr } = await calyxctl(line, environment);
    assertEquals([status, stdout], [1, ""], stderr);
    assertSentence(stderr, expected);
  });
}

Deno.test("calyxctl says in one sentence what the API server refuses", async (t) => {
  await using server = startCluster();
  const refuse = async (name: string, line: string, expected: RegExp, token = TOKEN) => {
    await t.step(name, async () => {
      const outcome = await calyxctl(line, { ...access(server), K8S_TOKEN: token });
      assertEquals(outcome.status, 1);
      assertSentence(outcome.stderr, expected);
      assertEquals(outcome.stderr.includes(token), false);
    });
  };
  await refuse(
    "an expired token",
    "get wep",
    /(?=.*401)(?=.*renew)(?=.*token)/i,
    "expired-token-of-the-test",
  );
  server.faults.refuse({
    status: 403,
    times: 1,
    message: 'pods is forbidden: User "jo" cannot list',
  });
  await refuse("a missing permission", "get wep", /(?=.*403)(?=.*User "jo" cannot list)(?=.*RBAC)/);
  await refuse("an absent name", "get wep ghost", /No workloadEndpoint is named "ghost"/);
  await refuse(
    "an absent pod",
    "explain shop/wbe shop/web",
    /No pod shop\/wbe; did you mean "web"\?/,
  );
});

Deno.test("calyxctl does not wait for ever", async () => {
  // The kernel completes the handshakes, and no program answers on them.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const server = `http://127.0.0.1:${listener.addr.port}`;
  const environment = { K8S_API_ENDPOINT: server };
  assertEquals(await calyxctl("get wep --request-timeout 100ms", environment), {
    status: 1,
    stdout: "",
    stderr:
      `calyxctl: The API server ${server} did not answer within 100ms; see --request-timeout\n`,
  });
});

Deno.test("calyxctl version prints its own where there is no server", async () => {
  const { status, stdout, stderr } = await calyxctl("version");
  assertEquals(status, 1);
  assertMatch(stdout, /^Client Version: /);
  assertSentence(stderr, /KUBECONFIG/);
  assertEquals((await calyxctl("version --client")).status, 0);
});

Deno.test("calyxctl explains manifests without any server", async () => {
  const manifest = `
kind: Pod
apiVersion: v1
metadata: {name: a, namespace: x, labels: {app: a}}
---
kind: Pod
apiVersion: v1
metadata: {name: b, namespace: x}
---
kind: NetworkPolicy
apiVersion: networking.k8s.io/v1
metadata: {name: deny, namespace: x}
spec: {podSelector: {matchLabels: {app: a}}}
`;
  const { status, stdout, stderr } = await calyxctl("explain -f - x/b x/a:80", {}, manifest);
  assertEquals([status, stderr], [0, ""]);
  assertEquals(stdout.split("\n")[0], "x/b to x/a, TCP port 80: DENIED");
});

const HELP: readonly [string, string][] = [
  ["", "Usage: calyxctl COMMAND"],
  ["-h", "Usage: calyxctl COMMAND"],
  ["help", "K8S_CA_FILE"],
  ["get -h", "Usage: calyxctl get KIND"],
  ["help get", "workloadendpoints|workloadendpoint|weps|wep"],
  ["explain --help", "Usage: calyxctl explain SOURCE"],
  ["apply -h", 'use "kubectl apply"'],
  ["--version", "calyxctl 0."],
];
for (const [line, expected] of HELP) {
  Deno.test(`calyxctl ${line} prints help`, async () => {
    const { status, stdout, stderr } = await calyxctl(line, { K8S_TOKEN: TOKEN });
    assertEquals([status, stderr], [0, ""]);
    assertStringIncludes(stdout, expected);
    assertEquals(stdout.includes(TOKEN), false);
  });
}

Deno.test("calyxctl as a process: exit status, and no message when the reader closes the pipe", async () => {
  const main = `${import.meta.dirname}/../../ctl/main.ts`;
  const shell = async (script: string): Promise<Outcome> => {
    const { code, stdout, stderr } = await new Deno.Command("bash", {
      args: ["-c", `ctl() { "${Deno.execPath()}" run -A --no-check "${main}" "$@"; }; ${script}`],
    }).output();
    const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
    return { status: code, stdout: decode(stdout), stderr: decode(stderr) };
  };
  assertEquals(await shell("ctl gte"), {
    status: 1,
    stdout: "",
    stderr: 'calyxctl: Unknown command "gte"; did you mean "get"?\n',
  });
  const full = await shell("ctl help > /dev/full");
  assertMatch(full.stderr, /^calyxctl: Cannot write the answer: No space left[^\n]*\n$/);
  assertEquals(full.status, 1);
  const folder = await shell("ctl explain -f - a/b c/d < /tmp");
  assertMatch(folder.stderr, /^calyxctl: stdin (is a directory|cannot be read: .*)\n$/);
  const closed = await shell("{ ctl help; echo $? >&2; } | true");
  assertEquals(closed, { status: 0, stdout: "", stderr: "0\n" });
});

/** One line, one sentence, no stack. */
function assertSentence(stderr: string, expected: RegExp): void {
  assertMatch(stderr, expected);
  assertMatch(stderr, /^calyxctl: [^\n]+\n$/);
  assertEquals(/Internal error|\bat .*\.ts:\d/.test(stderr), false, stderr);
}
