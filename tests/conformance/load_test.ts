import { assertEquals, assertThrows } from "@std/assert";
import type { CaseStep, ConformanceCase } from "./case.ts";
import { parseCases } from "./load.ts";

function only(file: unknown): ConformanceCase {
  const [first, ...others] = parseCases(JSON.stringify(file));
  if (first === undefined || others.length > 0) throw new Error("One case is expected");
  return first;
}

function policy(name: string, spec: unknown = {}): Record<string, unknown> {
  return { kind: "NetworkPolicy", metadata: { namespace: "x", name }, spec };
}

/** `x/a>x/b TCP/80 yes`, with what either side says after it where the case asks. */
function cellsOf(step: CaseStep | undefined): string[] {
  const word = (allowed: boolean | undefined): string => allowed ? "yes" : "no";
  return (step?.cells ?? []).map(({ from, to, protocol, port, expected }) => {
    const { ingress, egress, combined } = expected;
    const sides = ingress === undefined ? "" : ` in=${word(ingress)} out=${word(egress)}`;
    return `${from}>${to} ${protocol}/${port} ${word(combined)}${sides}`;
  });
}

// Kubernetes' own tests

function kubernetesFile(steps: unknown): unknown {
  return { cases: [{ suite: "Netpol", name: "one", pods: ["x/a", "y/b"], steps }] };
}

const check = { port: 80, protocol: "TCP", expect: ["..", "X."] };

Deno.test("parseCases() reads Kubernetes' tables, without a pod and itself", () => {
  const { suite, name, steps } = only(kubernetesFile([{ actions: [], checks: [check] }]));
  assertEquals({ suite, name }, { suite: "Netpol", name: "one" });
  assertEquals(steps.map(cellsOf), [["x/a>y/b TCP/80 yes", "y/b>x/a TCP/80 no"]]);
  assertEquals([...steps[0]?.snapshot.pods.values() ?? []].map((it) => [it.name, it.address]), [
    ["a", "192.168.1.1"],
    ["b", "192.168.1.2"],
  ]);
});

Deno.test("parseCases() follows Kubernetes' actions", () => {
  const { steps } = only(kubernetesFile([
    {
      actions: [{ create: policy("p") }, { addPodLabels: ["x/a", { more: "1" }] }],
      checks: [check],
    },
    { actions: [{ update: policy("p", { egress: [] }) }], checks: [check] },
    {
      actions: [{ setNamespaceLabel: ["y", "team", "t"] }, { deleteAllPolicies: true }],
      checks: [],
    },
  ]));
  const found = steps.map(({ snapshot }) => ({
    policies: [...snapshot.policies].map(([key, it]) => [key, it.spec]),
    labels: snapshot.pods.get("x/a")?.labels,
    namespace: snapshot.namespaces.get("y"),
  }));
  const labels = { pod: "a", more: "1" };
  const namespace = { "kubernetes.io/metadata.name": "y" };
  assertEquals(found, [
    { policies: [["x/p", {}]], labels, namespace },
    { policies: [["x/p", { egress: [] }]], labels, namespace },
    { policies: [], labels, namespace: { ...namespace, team: "t" } },
  ]);
});

Deno.test("parseCases() takes a policy without a kind for a NetworkPolicy, as upstream's are", () => {
  const { kind: _, ...unsaid } = policy("p");
  const { steps } = only(kubernetesFile([{ actions: [{ create: unsaid }], checks: [check] }]));
  assertEquals([...steps[0]?.snapshot.policies.keys() ?? []], ["x/p"]);
  const pod = kubernetesFile([{
    actions: [{ create: { ...unsaid, kind: "Pod" } }],
    checks: [check],
  }]);
  assertThrows(() => only(pod), SyntaxError, 'kind "Pod" is no policy');
});

Deno.test("parseCases() fills in addresses and networks of pods", () => {
  const to = [{ ipBlock: { cidr: "${NET4:y/b}", except: ["${IP:y/b}/32"] } }];
  const { steps } = only(
    kubernetesFile([{ actions: [{ create: policy("p", { to }) }], checks: [check] }]),
  );
  assertEquals(steps[0]?.snapshot.policies.get("x/p")?.spec, {
    to: [{ ipBlock: { cidr: "192.0.0.0/4", except: ["192.168.1.2/32"] } }],
  });
});

Deno.test("parseCases() gives Kubernetes' pods what the file's template says", () => {
  const file = kubernetesFile([{ actions: [], checks: [check] }]) as object;
  const podTemplate = {
    labels: { app: "<name>.<ns>" },
    namespaceLabels: { team: "<ns>" },
    containerPortNames: "<proto lower>-<port>",
  };
  const { snapshot } = only({ ...file, podTemplate }).steps[0] ?? {};
  const pod = snapshot?.pods.get("y/b");
  assertEquals(pod?.labels, { app: "b.y" });
  assertEquals(pod?.ports[0], { name: "tcp-80", protocol: "TCP", port: 80 });
  assertEquals(snapshot?.namespaces.get("y"), { team: "y", "kubernetes.io/metadata.name": "y" });
});

// Cyclonus

function cyclonusFile(
  actions: unknown,
  pods: readonly string[],
  table: readonly string[],
): unknown {
  const tables = { "UDP/81": table };
  const open = { "UDP/81": table.map((row) => row.replaceAll("X", ".")) };
  const pod = (name: string, ip: string): unknown => ({
    Namespace: "x",
    Name: name,
    IP: ip,
    Labels: { pod: name },
    Ports: ["serve-81-udp 81 UDP"],
  });
  return {
    namespaces: { x: { ns: "x" } },
    pods: [pod("a", "192.168.1.1"), pod("b", "192.168.1.2")],
    cases: [{
      n: 7,
      description: "one",
      steps: [{ actions, pods, ingress: tables, egress: open, combined: tables }],
    }],
  };
}

Deno.test("parseCases() reads cyclonus' tables, a pod and itself among them", () => {
  const { suite, name, steps } = only(cyclonusFile([], ["x/a", "x/b"], ["X.", ".."]));
  assertEquals({ suite, name }, { suite: "cyclonus", name: "7: one" });
  assertEquals(steps.map(cellsOf), [[
    "x/a>x/a UDP/81 no in=no out=yes",
    "x/a>x/b UDP/81 yes in=yes out=yes",
    "x/b>x/a UDP/81 yes in=yes out=yes",
    "x/b>x/b UDP/81 yes in=yes out=yes",
  ]]);
});

Deno.test("parseCases() takes cyclonus' steps that say nothing of the sides", () => {
  const file = JSON.parse(JSON.stringify(cyclonusFile([], ["x/a", "x/b"], ["X.", ".."])));
  const [step] = file.cases[0].steps;
  delete step.ingress;
  step.egress = { "TCP/80": ["..", ".."] };
  assertEquals(only(file).steps[0]?.cells.map((it) => it.expected), [
    { combined: false },
    { combined: true },
    { combined: true },
    { combined: true },
  ]);
});

Deno.test("parseCases() follows cyclonus' actions", () => {
  const actions = [
    { CreateNamespace: { Namespace: "y", Labels: { ns: "y" } } },
    { CreatePod: { Namespace: "y", Pod: "c", Labels: { pod: "c" } } },
    { CreatePod: { Namespace: "x", Pod: "d", Labels: {}, IP: "fd00::d", Ports: ["web 90 TCP"] } },
    { DeletePod: { Namespace: "x", Pod: "b" } },
    { SetPodLabels: { Namespace: "x", Pod: "a", Labels: { other: "1" } } },
    { CreatePolicy: { Policy: policy("p") } },
    { CreatePolicy: { Policy: policy("q") } },
    { UpdatePolicy: { Policy: policy("q", { ingress: [] }) } },
    { DeletePolicy: { Namespace: "x", Name: "p" } },
    { ReadNetworkPolicies: { Namespaces: ["x"] } },
  ];
  const snapshot = only(cyclonusFile(actions, ["x/a"], ["."])).steps[0]?.snapshot;
  assertEquals([...snapshot?.pods.values() ?? []].map((it) => [it.name, it.address, it.labels]), [
    ["a", "192.168.1.1", { other: "1" }],
    ["c", "192.168.1.3", { pod: "c" }],
    ["d", "fd00::d", {}],
  ]);
  assertEquals(snapshot?.pods.get("y/c")?.ports.map((it) => it.name), ["serve-81-udp"]);
  assertEquals(snapshot?.pods.get("x/d")?.ports.map((it) => it.name), ["web"]);
  assertEquals([...snapshot?.policies.keys() ?? []], ["x/q"]);
  assertEquals(snapshot?.namespaces.get("y"), { ns: "y", "kubernetes.io/metadata.name": "y" });
});

Deno.test("parseCases() takes a namespace's pods and policies away with it", () => {
  const actions = [{ CreatePolicy: { Policy: policy("p") } }, {
    DeleteNamespace: { Namespace: "x" },
  }];
  const file = JSON.parse(JSON.stringify(cyclonusFile(actions, [], [])));
  file.cases[0].steps.unshift({ pods: ["x/a"], combined: { "UDP/81": ["."] } });
  const snapshot = only(file).steps[1]?.snapshot;
  assertEquals([snapshot?.pods.size, snapshot?.policies.size], [0, 0]);
});

// ClusterNetworkPolicy

const RULES = ["Accept", "Deny", "Pass"].map((action) => ({ action }));

function clusterFile(steps: unknown, objects: readonly unknown[] = []): unknown {
  const set = (name: string, hostNetwork: boolean): unknown => ({
    kind: "StatefulSet",
    name,
    namespace: "x",
    replicas: 2,
    hostNetwork,
    labels: { app: name },
    ports: [{ declared: [{ containerPort: 80, protocol: "TCP", name: "web" }] }],
  });
  const spec = {
    tier: "Admin",
    priority: 60,
    ingress: RULES,
    egress: [
      { action: "Deny", protocols: [{ tcp: { destinationPort: { number: 8080 } } }] },
      ...RULES,
    ],
  };
  const cluster = { kind: "ClusterNetworkPolicy", metadata: { name: "c" }, spec };
  return {
    topology: [
      { kind: "Namespace", namespace: "x", labels: { house: "x" } },
      set("a", false),
      set("h", true),
    ],
    policies: { "m.yaml": [cluster, policy("p"), ...objects] },
    tests: [{ test: "one", manifest: "m.yaml", feature: "core", steps }],
  };
}

const probe = { from: "a-0", to: "a-1", protocol: "SCTP", port: 9003, expect: "drop" };

Deno.test("parseCases() reads ClusterNetworkPolicy tests, a step between any two changes", () => {
  const { suite, name, steps } = only(clusterFile([
    probe,
    { ...probe, to: "h-1", expect: "allow" },
    { mutate: "change priority from 60 to 40" },
    { mutate: "delete network policy so that another takes effect" },
    probe,
  ]));
  assertEquals({ suite, name }, { suite: "ClusterNetworkPolicy core", name: "one" });
  assertEquals(steps.map(cellsOf), [
    ["x/a-0>x/a-1 SCTP/9003 no", "x/a-0>x/h-1 SCTP/9003 yes"],
    ["x/a-0>x/a-1 SCTP/9003 no"],
  ]);
  const [before, after] = steps.map((it) => it.snapshot);
  const priority = (it = before): unknown =>
    (it?.clusterPolicies.get("c")?.spec as { priority: unknown }).priority;
  assertEquals([priority(before), priority(after)], [60, 40]);
  assertEquals([before?.policies.size, after?.policies.size], [1, 0]);
  assertEquals(before?.pods.get("x/h-1")?.hostNetwork, true);
});

Deno.test("parseCases() reads which pods are on the network of the others' node", () => {
  const file = clusterFile([probe]) as { topology: Record<string, unknown>[] };
  Object.assign(file.topology[2] ?? {}, { node: "pods" });
  const pods = only(file).steps[0]?.snapshot.pods;
  assertEquals(pods?.get("x/h-0")?.isOnPodsNode, true);
  assertEquals(pods?.get("x/a-0")?.isOnPodsNode, undefined);
  Object.assign(file.topology[2] ?? {}, { node: "n1" });
  assertThrows(() => only(file), SyntaxError, 'topology[2].node: only "pods" is known, not "n1"');
});

const MUTATIONS: readonly [string, readonly string[], readonly string[]][] = [
  ["swap rules at index0 and index1", ["Deny", "Accept", "Pass"], [
    "Accept",
    "Deny",
    "Deny",
    "Pass",
  ]],
  [
    "swap rules at index0 and index2 for both ingress and egress",
    ["Pass", "Deny", "Accept"],
    ["Deny", "Accept", "Deny", "Pass"],
  ],
  ["swap ingress rules at index0 and index1", ["Deny", "Accept", "Pass"], [
    "Deny",
    "Accept",
    "Deny",
    "Pass",
  ]],
  [
    'change ingress rule from "deny" to "pass"',
    ["Accept", "Pass", "Pass"],
    ["Deny", "Accept", "Deny", "Pass"],
  ],
  [
    'change egress rule from "deny" to "allow"',
    ["Accept", "Deny", "Pass"],
    ["Accept", "Accept", "Deny", "Pass"],
  ],
  [
    "replace the tcp port 8080 rule as named port rule which translate to tcp port 80 instead",
    ["Accept", "Deny", "Pass"],
    ["Deny web", "Accept", "Deny", "Pass"],
  ],
  ["delete ingress rule at index1", ["Accept", "Pass"], ["Deny", "Accept", "Deny", "Pass"]],
  ["remove rule at index0", ["Deny", "Pass"], ["Accept", "Deny", "Pass"]],
  [
    'insert the following rule at index0 name: "new" action: "Accept" to: - networks: - a-0.IP - a-1.IP',
    ["Accept", "Deny", "Pass"],
    ["Accept 192.168.1.1/32 192.168.1.2/32", "Deny", "Accept", "Deny", "Pass"],
  ],
];

interface Rule {
  readonly action: string;
  readonly protocols?: readonly { readonly destinationNamedPort?: string }[];
  readonly to?: readonly { readonly networks: readonly string[] }[];
}

function formatRule({ action, protocols = [], to = [] }: Rule): string {
  const names = protocols.map((it) => it.destinationNamedPort).filter((it) => it !== undefined);
  return [action, ...names, ...to.flatMap((it) => it.networks)].join(" ");
}

for (const [sentence, ingress, egress] of MUTATIONS) {
  Deno.test(`parseCases() can ${sentence}`, () => {
    const { steps } = only(clusterFile([{ mutate: sentence }, probe]));
    const spec = steps[0]?.snapshot.clusterPolicies.get("c")?.spec as {
      ingress: readonly Rule[];
      egress: readonly Rule[];
    };
    assertEquals(spec.ingress.map(formatRule), ingress);
    assertEquals(spec.egress.map(formatRule), egress);
  });
}

Deno.test("parseCases() changes tiers, takes policies away, and does what Kubernetes' actions do", () => {
  const { steps } = only(clusterFile([
    { mutate: "change tier from Admin to Baseline" },
    probe,
    { mutate: { setNamespaceLabel: ["x", "house", "y"] } },
    { mutate: { addPodLabels: ["a-0", { more: "1" }] } },
    { mutate: { setPodLabels: ["a-1", { only: "1" }] } },
    { mutate: { deletePod: "x/h-1" } },
    { mutate: { update: policy("p", { egress: [] }) } },
    probe,
    { mutate: "delete CNP c" },
    { mutate: { delete: "x/p" } },
    probe,
  ]));
  const [first, second, third] = steps.map((it) => it.snapshot);
  assertEquals((first?.clusterPolicies.get("c")?.spec as { tier: unknown }).tier, "Baseline");
  assertEquals(second?.namespaces.get("x")?.house, "y");
  assertEquals(second?.pods.get("x/a-0")?.labels.more, "1");
  assertEquals(second?.pods.get("x/a-1")?.labels, { only: "1" });
  assertEquals(second?.pods.has("x/h-1"), false);
  assertEquals(second?.policies.get("x/p")?.spec, { egress: [] });
  assertEquals([third?.clusterPolicies.size, third?.policies.size], [0, 0]);
});

Deno.test("parseCases() skips tests that need a Service", () => {
  const file = clusterFile([{ ...probe, to: "s" }], [{ kind: "Service", metadata: { name: "s" } }]);
  const [cell] = only(file).steps[0]?.cells ?? [];
  assertEquals(cell?.skip, "it needs a Service, and those are kube-proxy's");
});

// What is not understood

const BAD: readonly [string, unknown, string][] = [
  [
    "an unknown action of Kubernetes' tests",
    kubernetesFile([{ actions: [{ frobnicate: 1 }] }]),
    'cases[0].steps[0].actions[0]: action "frobnicate" is not known',
  ],
  [
    "an unknown action of cyclonus",
    cyclonusFile([{ Frobnicate: {} }], [], []),
    'cases[0].steps[0].actions[0]: action "Frobnicate" is not known',
  ],
  [
    "an unknown sentence",
    clusterFile([{ mutate: "reverse the rules" }]),
    'tests[0].steps[0].mutate: action "reverse the rules" is not known',
  ],
  [
    "a sentence that fits nothing",
    clusterFile([{ mutate: "change priority from 61 to 40" }]),
    'tests[0].steps[0].mutate: there is nothing to which "change priority from 61 to 40" could be done',
  ],
  [
    "a policy that is there already",
    kubernetesFile([{ actions: [{ create: policy("p") }, { create: policy("p") }] }]),
    'cases[0].steps[0].actions[1]: Policy "x/p" is there already',
  ],
  [
    "a pod that is not there",
    clusterFile([{ ...probe, to: "absent" }]),
    'tests[0].steps[0]: There is no pod "absent"',
  ],
  [
    "an unknown placeholder",
    kubernetesFile([{ actions: [{ create: policy("${MAC:x/a}") }] }]),
    "cases[0].steps[0].actions[0]: Placeholder ${MAC:x/a} is not known",
  ],
  [
    "a table that is too small",
    kubernetesFile([{ checks: [{ ...check, expect: [".."] }] }]),
    "cases[0].steps[0].checks[0].expect: 2 rows are expected",
  ],
  ["an empty file", {}, "There are neither cases nor tests in it"],
  ["a file of another kind", [], "file: an object is expected, not []"],
  [
    "a file that asks nothing",
    kubernetesFile([{ actions: [] }]),
    "No case in it asks what becomes of any packet",
  ],
  [
    "a pod without a namespace",
    { cases: [{ name: "one", pods: ["a"], steps: [] }] },
    'cases[0].pods[0]: namespace/name is expected, not "a"',
  ],
];

for (const [what, file, message] of BAD) {
  Deno.test(`parseCases() names ${what}`, () => {
    const error = assertThrows(() => parseCases(JSON.stringify(file)), SyntaxError);
    assertEquals(error.message, message);
  });
}
