/**
 * `calyxctl explain -f`: what people's folders hold, and that no verdict is silently wrong. Each case is
 * files by name, the arguments, and what the answer must and must not say.
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { calyxctl, type Outcome } from "../support/program/ctl.ts";

const CLIENT = "{apiVersion: v1, kind: Pod, metadata: {name: cli, namespace: a}}\n";
const WEB =
  "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: a, labels: {app: web}}}\n";
const PODS = `${CLIENT}---\n${WEB}`;
const SPEC = "spec: {podSelector: {matchLabels: {app: web}}}";
const DENY = policy("networking.k8s.io/v1", "NetworkPolicy");

function policy(apiVersion: string, kind: string, spec = SPEC): string {
  return `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: deny, namespace: a}\n${spec}\n`;
}

function workload(apiVersion: string, kind: string, name: string, spec = ""): string {
  return `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: ${name}, namespace: a}\n` +
    `spec:\n  ${spec}\n  template:\n    metadata: {labels: {app: ${name}}}\n` +
    "    spec: {containers: [{name: c}]}\n";
}

/** Runs in a folder that holds `files`; arguments find it as `@`. */
async function explainFiles(
  files: Readonly<Record<string, string>>,
  line: string,
  input = "",
): Promise<Outcome> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [path, text] of Object.entries(files)) {
      const parent = `${folder}/${path}`.replace(/\/[^/]*$/, "");
      await Deno.mkdir(parent, { recursive: true });
      await Deno.writeTextFile(`${folder}/${path}`, text);
    }
    const { status, stdout, stderr } = await calyxctl(
      `explain ${line.replaceAll("@", folder)}`,
      {},
      input,
    );
    return {
      status,
      stdout: stdout.replaceAll(folder, "@"),
      stderr: stderr.replaceAll(folder, "@"),
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const FLOW = "a/cli a/web:80";
const UNIONS: readonly [string, Readonly<Record<string, string>>, string, string?][] = [
  ["-f -f", { "policy.yaml": DENY, "pods.yaml": PODS }, "-f @/policy.yaml -f @/pods.yaml"],
  ["the other way round", { "policy.yaml": DENY, "p.yaml": PODS }, "-f @/p.yaml -f @/policy.yaml"],
  ["--filename=", { "policy.yaml": DENY, "p.yaml": PODS }, "--filename=@/policy.yaml -f=@/p.yaml"],
  ["-f with its value in one word", { "n.yaml": DENY, "p.yaml": PODS }, "-f@/n.yaml -f@/p.yaml"],
  ["a folder and a file", { "x/n.yml": DENY, "p.json": CLIENT, "w.yaml": WEB }, "-f @/x -f @"],
  ["two folders", { "x/n.yaml": DENY, "y/p.yaml": PODS }, "-f @/x -f @/y/"],
  ["stdin and a file", { "p.yaml": PODS }, "-f - -f @/p.yaml", DENY],
  ["a file and stdin", { "n.yaml": DENY }, "-f @/n.yaml -f -", PODS],
  ["stdin by its path", { "p.yaml": PODS }, "-f /dev/stdin -f @/p.yaml", DENY],
  ["stdin twice", { "n.yaml": DENY }, "-f - -f @/n.yaml -f -", PODS],
  ["a file twice", { "n.yaml": DENY, "p.yaml": PODS }, "-f @/n.yaml -f @/p.yaml -f @/n.yaml"],
  ["a file and its folder", { "n.yaml": DENY, "p.yaml": PODS }, "-f @ -f @/p.yaml"],
  ["a list with commas", { "n.yaml": DENY, "p.yaml": PODS }, "-f @/n.yaml,@/p.yaml"],
  ["folders within folders", { "x/y/n.yaml": DENY, "x/p.yaml": PODS }, "-R -f @/x"],
];
for (const [what, files, flags, input] of UNIONS) {
  Deno.test(`explain -f reads all of ${what}`, async () => {
    const { status, stdout, stderr } = await explainFiles(files, `${flags} ${FLOW}`, input);
    assertEquals([status, stderr], [0, ""]);
    assertMatch(stdout, /^a\/cli to a\/web, TCP port 80: DENIED\n/);
  });
}

Deno.test("explain -f says which of several objects of one name counts", async () => {
  const files = {
    "1.yaml": DENY,
    "2.yaml": policy(
      "networking.k8s.io/v1",
      "NetworkPolicy",
      "spec: {podSelector: {matchLabels: {app: x}}}",
    ),
    "p.yaml": PODS,
  };
  const { stdout, stderr } = await explainFiles(files, `-f @ ${FLOW}`);
  assertStringIncludes(stdout, "TCP port 80: ALLOWED\n");
  assertEquals(
    stderr,
    "calyxctl: Warning: networkpolicies a/deny: it is there more than once, and not alike: " +
      "the last one counts\n",
  );
});

const OTHERS: readonly [string, string][] = [
  ["policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy"],
  ["policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"],
  ["cilium.io/v2", "CiliumNetworkPolicy"],
  ["cilium.io/v2", "CiliumClusterwideNetworkPolicy"],
  ["crd.antrea.io/v1beta1", "ClusterNetworkPolicy"],
  ["crd.antrea.io/v1beta1", "NetworkPolicy"],
  ["projectcalico.org/v3", "GlobalNetworkPolicy"],
  ["crd.projectcalico.org/v1", "NetworkPolicy"],
  ["security.istio.io/v1", "AuthorizationPolicy"],
  ["k8s.ovn.org/v1", "EgressFirewall"],
  ["networking.k8s.io/v1", "Networkpolicy"],
  ["networking.k8s.io/v1", "networkpolicy"],
  ["networking.k8s.io/v1", "NetworkPolicies"],
  ["networking.k8s.io/v1", "NetworkPolciy"],
  ["networking.k8s.io/v1", "Policy"],
  ["networking.k8s.io/v1beta1", "NetworkPolicy"],
  ["extensions/v1beta1", "NetworkPolicy"],
  ["network.k8s.io/v1", "NetworkPolicy"],
  ["v1", "NetworkPolicy"],
  ["networking.k8s.io/v1", "ClusterNetworkPolicy"],
  ["policy.networking.k8s.io/v1alpha2", "NetworkPolicy"],
  ["policy.networking.k8s.io/v1alpha2", "ClusterNetworkpolicy"],
  ["v1", "Networkpolicy"],
  ["v1", "pod"],
  ["apps/v1", "Deploymnet"],
  ["example.com/v1", "Pod"],
  ["v2", "Pod"],
  ["example.com/v1", "Namespace"],
];
for (const [apiVersion, kind] of OTHERS) {
  Deno.test(`explain -f names a ${kind} of ${apiVersion} as not evaluated`, async () => {
    const files = { "n.yaml": policy(apiVersion, kind), "p.yaml": PODS };
    const { status, stdout, stderr } = await explainFiles(files, `-f @ ${FLOW}`);
    assertEquals([status, stderr], [0, ""]);
    assertMatch(stdout, /^a\/cli to a\/web, TCP port 80: ALLOWED\n/);
    const [warning = "", ...more] = stdout.split("\n").filter((it) => it.startsWith("Warning: "));
    assertEquals(more, []);
    assertStringIncludes(warning, `Warning: ${kind} a/deny of ${apiVersion} is not evaluated: `);
    const json = await explainFiles(files, `-f @ ${FLOW} -o json`);
    assertEquals(JSON.parse(json.stdout).notEvaluated, [warning.slice("Warning: ".length)]);
  });
}

const IRRELEVANT: readonly [string, string][] = [
  ["v1", "Service"],
  ["v1", "ConfigMap"],
  ["v1", "ServiceAccount"],
  ["policy/v1", "PodDisruptionBudget"],
  ["networking.k8s.io/v1", "Ingress"],
  ["rbac.authorization.k8s.io/v1", "Role"],
  ["gateway.networking.k8s.io/v1", "HTTPRoute"],
  ["monitoring.coreos.com/v1", "ServiceMonitor"],
  ["admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"],
  ["autoscaling/v2", "HorizontalPodAutoscaler"],
  ["storage.k8s.io/v1", "StorageClass"],
];
for (const [apiVersion, kind] of IRRELEVANT) {
  Deno.test(`explain -f has no word for a ${kind}, which decides nothing`, async () => {
    const files = { "n.yaml": policy(apiVersion, kind, ""), "p.yaml": PODS };
    const { stdout, stderr } = await explainFiles(files, `-f @ ${FLOW}`);
    assertEquals([stdout.includes("Warning"), stderr], [false, ""]);
  });
}

Deno.test("explain -f names a few of many that are not evaluated, and counts the others", async () => {
  const many = Array.from(
    { length: 9 },
    (_, index) =>
      policy("cilium.io/v2", "CiliumNetworkPolicy").replace("name: deny", `name: p${index}`),
  );
  const { stdout } = await explainFiles(
    { "n.yaml": many.join("---\n"), "p.yaml": PODS },
    `-f @ ${FLOW}`,
  );
  assertStringIncludes(
    stdout,
    "\nWarning: CiliumNetworkPolicy a/p0, a/p1, a/p2, a/p3, a/p4 and 4 more of cilium.io/v2 are not " +
      "evaluated: Calyx does not enforce it\n",
  );
});

const STRAYS: readonly [string, string, RegExp][] = [
  ["kustomization.yaml", "resources: [a.yaml]\n", /kubectl kustomize @\/ \| calyxctl explain -f -/],
  ["kustomization.yml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", /ku/],
  ["values.yaml", "replicas: 3\n", /@\/values\.yaml is no Kubernetes object/],
  ["Chart.yaml", "apiVersion: v2\nname: web\n", /@\/Chart\.yaml is no Kubernetes object/],
  ["package.json", '{"name": "web"}', /@\/package\.json is no Kubernetes object/],
  ["kind.yaml", "apiVersion: kind.x-k8s.io/v1alpha4\nkind: Cluster\n", /is no Kubernetes object/],
  ["list.yaml", "- a\n- b\n", /is no Kubernetes object/],
  ["mixed.yaml", `a: 1\n---\n${WEB}`, /@\/mixed\.yaml \(document 1\) is no Kubernetes object/],
];
for (const [name, text, expected] of STRAYS) {
  Deno.test(`explain -f passes over ${name} in a folder, with a word`, async () => {
    const files = { [name]: text, "n.yaml": DENY, "p.yaml": PODS };
    const { status, stdout } = await explainFiles(files, `-f @ ${FLOW}`);
    assertEquals(status, 0);
    assertStringIncludes(stdout, "TCP port 80: DENIED\n");
    assertMatch(stdout.split("\n").find((it) => it.startsWith("Warning: ")) ?? "", expected);
  });
}

Deno.test("explain -f says that a file of a folder is not YAML, and that the verdict lacks it", async () => {
  const files = { "helm.yaml": "metadata: {{ .Values.name }}\n  x: [\n", "p.yaml": PODS };
  const { status, stdout } = await explainFiles(files, `-f @ ${FLOW}`);
  assertEquals(status, 0);
  assertStringIncludes(stdout, "TCP port 80: ALLOWED by what could be read, which is not all\n");
  assertMatch(stdout, /\nWarning: @\/helm\.yaml is not YAML/);
});

Deno.test("explain -f says that folders within a folder are not read", async () => {
  const { stdout } = await explainFiles({ "x/n.yaml": DENY, "p.yaml": PODS }, `-f @ ${FLOW}`);
  assertStringIncludes(
    stdout,
    "\nWarning: Folder @/x is not read: -R reads folders within folders",
  );
});

const REFUSALS: readonly [string, Readonly<Record<string, string>>, string, RegExp][] = [
  [
    "a named file that is none",
    { "v.yaml": "a: 1\n" },
    "-f @/v.yaml",
    /@\/v\.yaml is no Kubernetes/,
  ],
  ["a named file that is no YAML", { "v.yaml": "a: [\n" }, "-f @/v.yaml", /v\.yaml is not YAML/],
  ["aliases that go round", { "v.yaml": "a: &a {b: *a}\n" }, "-f @/v.yaml", /an alias within/],
  [
    "a list with what is none",
    { "v.yaml": "{apiVersion: v1, kind: List, items: [1]}" },
    "-f @/v.yaml",
    /v\.yaml items\[0\] is no Kubernetes object/,
  ],
  ["a folder without objects", { "a.yaml": "# nothing\n" }, "-f @", /No Kubernetes object in @\n/],
  ["what holds no objects", { "v.yaml": "a: 1\n" }, "-f @", /in @: @\/v\.yaml is no Kubernetes/],
  ["files after one -f", { "n.yaml": DENY, "p.yaml": PODS }, "-f @/n.yaml @/p.yaml", /its own -f/],
  ["an empty folder", { "x/p.yaml": PODS }, "-f @", /Folder @ holds no .*; -R also reads/],
  ["one of two that is missing", { "n.yaml": DENY }, "-f @/n.yaml -f @/p", /@\/p does not exist/],
];
for (const [what, files, flags, expected] of REFUSALS) {
  Deno.test(`explain -f refuses ${what}`, async () => {
    const { status, stdout, stderr } = await explainFiles(files, `${flags} ${FLOW}`);
    assertEquals([status, stdout], [1, ""]);
    assertMatch(stderr, expected);
    assertMatch(stderr, /^calyxctl: [^\n]+\n$/);
  });
}

const AM = policy("networking.k8s.io/v1", "NetworkPolicy", "spec: {podSelector: {}}");
const SCALER = "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: h, " +
  "namespace: a}, spec: {maxReplicas: 4, scaleTargetRef: {kind: Deployment, name: am}}}\n";
const REPLICAS: readonly [string, string, "another pod" | "itself"][] = [
  ["a Deployment of three", workload("apps/v1", "Deployment", "am", "replicas: 3"), "another pod"],
  ["a StatefulSet of two", workload("apps/v1", "StatefulSet", "am", "replicas: 2"), "another pod"],
  ["a DaemonSet", workload("apps/v1", "DaemonSet", "am"), "another pod"],
  ["a Job of two", workload("batch/v1", "Job", "am", "parallelism: 2"), "another pod"],
  ["a foreign kind", workload("argoproj.io/v1", "Rollout", "am", "replicas: 2"), "another pod"],
  ["a scaled one", `${workload("apps/v1", "Deployment", "am")}---\n${SCALER}`, "another pod"],
  ["a Deployment of one", workload("apps/v1", "Deployment", "am", "replicas: 1"), "itself"],
  ["a Deployment without a number", workload("apps/v1", "Deployment", "am"), "itself"],
];
for (const [what, text, expected] of REPLICAS) {
  Deno.test(`explain -f asks about ${what} and itself`, async () => {
    const files = { "w.yaml": text, "n.yaml": AM };
    const { stdout } = await explainFiles(files, "-f @ a/am a/am:9094");
    assertEquals(
      stdout.split("\n")[0],
      expected === "itself"
        ? "a/am to itself through a Service, TCP port 9094: ALLOWED"
        : "a/am to another pod of a/am, TCP port 9094: DENIED",
    );
    const json = JSON.parse((await explainFiles(files, "-f @ a/am a/am:9094 -o json")).stdout);
    assertEquals(json.allowed, expected === "itself");
    assertEquals(json.flows[0].destination, {
      pod: "a/am",
      ...(expected === "itself" ? {} : { otherReplica: true }),
    });
  });
}

const SHOP = `${workload("apps/v1", "Deployment", "shop")}---\n` +
  workload("batch/v1", "CronJob", "shop").replace(
    /spec:\n.*\n/,
    "spec:\n  jobTemplate: {spec: {template: {metadata: {labels: {app: nightly}}, spec: {containers: [{name: c}]}}}}\n",
  ).replace(/ {2}template:[\s\S]*/, "") +
  `---\n${
    policy(
      "networking.k8s.io/v1",
      "NetworkPolicy",
      "spec: {podSelector: {matchLabels: {app: nightly}}}",
    )
  }---\n${CLIENT}`;
const WAYS: readonly [string, RegExp][] = [
  [
    "a/cli a/shop:80",
    /^1 .*a\/shop is several workloads: write "a\/cronjob\/shop" or "a\/deployment\/shop"\n$/,
  ],
  ["a/shop a/cli:80", /^1 .*a\/shop is several workloads/],
  ["a/cli a/deployment/shop:80", /^0 a\/cli to a\/deployment\/shop, TCP port 80: ALLOWED\n/],
  ["a/cli a/cronjob/shop:80", /^0 a\/cli to a\/cronjob\/shop, TCP port 80: DENIED\n/],
  ["-n a cli cronjob/shop:80", /^0 a\/cli to a\/cronjob\/shop, TCP port 80: DENIED\n/],
  ["-n a cli CronJobs/shop:80", /^0 a\/cli to a\/cronjob\/shop, TCP port 80: DENIED\n/],
  ["-n a pod/cli deploy/shop:80", /^0 a\/cli to a\/deployment\/shop, TCP port 80: ALLOWED\n/],
  ["-n a cli deployments.apps/shop:80", /^0 a\/cli to a\/deployment\/shop, TCP port 80: ALLOWED\n/],
  ["-n a cli sts/shop:80", /^1 .*No sts a\/shop/],
  ["-n a cli service/shop:80", /^1 .*No pod service\/shop/],
];
for (const [line, expected] of WAYS) {
  Deno.test(`explain -f tells workloads of one name apart: ${line}`, async () => {
    const { status, stdout, stderr } = await explainFiles({}, `-f - ${line}`, SHOP);
    assertMatch(`${status} ${stdout}${stderr}`, expected);
  });
}

Deno.test("explain -f says nothing of an address that a pod does not have", async () => {
  const { stdout } = await explainFiles({}, `-f - ${FLOW} -o json`, PODS);
  const [{ source, destination }] = JSON.parse(stdout).flows;
  assertEquals([source, destination], [{ pod: "a/cli" }, { pod: "a/web" }]);
  const yaml = await explainFiles({}, `-f - 2001:db8::1 a/web:80 -o yaml`, PODS);
  assertEquals(/address: '?"?(::|0\.0\.0\.0)'?"?\n/.test(yaml.stdout), false);
  assertStringIncludes(yaml.stdout, "2001:db8::1");
});
