import { assertEquals } from "@std/assert";
import { parseManifest } from "./document.ts";
import { clusterOf } from "./manifest.ts";

const MANIFEST = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a}}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec: {containers: [{name: c}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, ports: [{name: http, containerPort: 80}]}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: jobs}
spec:
  jobTemplate:
    spec:
      template:
        metadata: {labels: {job: nightly}}
        spec: {containers: [{name: c}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: theirs, namespace: shop}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
`;

Deno.test("clusterOf() makes of manifests what a server would", () => {
  const warnings: string[] = [];
  const { cluster, notEvaluated } = clusterOf(
    parseManifest(MANIFEST, "m.yaml").objects,
    "here",
    (kind, key, problems) => warnings.push(`${kind} ${key}: ${problems.join()}`),
  );
  assertEquals({
    pods: cluster.pods.map(({ namespace, name, labels, ports }) => ({
      pod: `${namespace}/${name}`,
      labels,
      ports,
    })),
    namespaces: cluster.namespaces.map((it) => ({ name: it.name, labels: it.labels })),
    policies: cluster.policies.map(({ namespace, name, ingress, egress }) => ({
      policy: `${namespace}/${name}`,
      ingress,
      egress,
    })),
    nodes: cluster.nodes,
    warnings,
    notEvaluated,
  }, {
    pods: [
      { pod: "here/client", labels: {}, ports: [] },
      {
        pod: "shop/web",
        labels: { app: "web" },
        ports: [{ name: "http", protocol: "TCP", port: 80 }],
      },
      { pod: "jobs/nightly", labels: { job: "nightly" }, ports: [] },
    ],
    namespaces: [
      { name: "here", labels: { "kubernetes.io/metadata.name": "here" } },
      { name: "jobs", labels: { "kubernetes.io/metadata.name": "jobs" } },
      { name: "shop", labels: { team: "a", "kubernetes.io/metadata.name": "shop" } },
    ],
    policies: [{ policy: "here/deny", ingress: undefined, egress: [] }],
    nodes: [],
    warnings: [
      "networkpolicies here/deny: it is there more than once, and not alike: the last one counts",
    ],
    notEvaluated: [
      "NetworkPolicy shop/theirs of projectcalico.org/v3 is not evaluated: " +
      "Calyx reads NetworkPolicy of networking.k8s.io/v1",
    ],
  });
});
