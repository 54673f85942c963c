import { assertEquals } from "@std/assert";
import { Address } from "../ip/address.ts";
import { workloadEndpointOf } from "./workload_endpoint.ts";
import type { Workload } from "./workload.ts";

const pod: Workload = {
  namespace: "kube-system",
  name: "kube-dns-v20-jhk10",
  uid: "u1",
  nodeName: "n1",
  labels: { "k8s-app": "kube-dns" },
  serviceAccount: "default",
  addresses: [Address.parse("10.244.0.5"), Address.parse("fd00::5")],
  hostNetwork: false,
  finished: false,
  ports: [],
  resourceVersion: "7",
};

Deno.test("workloadEndpointOf() shows a pod under Calico's names", () => {
  const endpoint = workloadEndpointOf(pod);
  assertEquals({ ...endpoint, networks: endpoint?.networks.map(String) }, {
    namespace: "kube-system",
    pod: "kube-dns-v20-jhk10",
    node: "n1",
    orchestrator: "k8s",
    workload: "kube-system.kube-dns-v20-jhk10",
    name: "eth0",
    // printf kube-system.kube-dns-v20-jhk10 | sha1sum | cut -c1-11
    interfaceName: "cali750cc10f5ac",
    networks: ["10.244.0.5/32", "fd00::5/128"],
    profiles: ["k8s_ns.kube-system"],
    labels: { "k8s-app": "kube-dns", "calico/k8s_ns": "kube-system" },
  });
  assertEquals(pod.labels, { "k8s-app": "kube-dns" }, "the pod's own labels are left alone");
});

const NO_ENDPOINTS: readonly [string, Partial<Workload>][] = [
  ["on its host's network", { hostNetwork: true }],
  ["without a node", { nodeName: "" }],
  ["without an address", { addresses: [] }],
  ["that has finished", { finished: true }],
];
for (const [what, change] of NO_ENDPOINTS) {
  Deno.test(`workloadEndpointOf() gives nothing for a pod ${what}`, () => {
    assertEquals(workloadEndpointOf({ ...pod, ...change }), undefined);
  });
}
