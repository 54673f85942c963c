import { assertEquals } from "@std/assert";
import { PolicyGraph } from "../lib/policy/graph.ts";
import { Concerns } from "./concerns.ts";

Deno.test("Concerns names what changed, policies first, and counts what is beyond a few", () => {
  const concerns = new Concerns();
  assertEquals(concerns.take(), {});
  concerns.note("workload", "shop/web");
  concerns.note("policy", "shop/deny");
  concerns.note("workload", "shop/web");
  assertEquals(concerns.take(), { because: ["NetworkPolicy shop/deny", "Pod shop/web"] });
  concerns.forget();
  for (let i = 0; i < 20_000; i++) concerns.note("workload", `shop/web-${i}`);
  concerns.note("clusterPolicy", "deny");
  const { because, changes } = concerns.take();
  assertEquals(because, [
    "ClusterNetworkPolicy deny",
    ...[0, 1, 2, 3].map((it) => `Pod shop/web-${it}`),
  ]);
  assertEquals(changes, 1001);
});

Deno.test("Concerns names an attachment by its pod", () => {
  const concerns = new Concerns();
  const value = {
    containerId: "c",
    ifname: "eth0",
    namespace: "shop",
    pod: "web",
    uid: "u",
    interfaceName: "cali1",
    addresses: [],
  };
  concerns.note("attachment", "c/eth0", value);
  assertEquals(concerns.take(), { because: ["attached pod shop/web"] });
});

Deno.test("Concerns keeps names until the kernel has what they stand for", () => {
  const concerns = new Concerns();
  concerns.note("policy", "a/first");
  concerns.take();
  concerns.note("policy", "a/second");
  assertEquals(concerns.take(), { because: ["NetworkPolicy a/first", "NetworkPolicy a/second"] });
  concerns.note("policy", "a/third");
  concerns.forget();
  assertEquals(concerns.take(), { because: ["NetworkPolicy a/third"] });
});

Deno.test("the graph tells of the facts that concern its node, and of no others", () => {
  const told: string[] = [];
  const graph = new PolicyGraph({
    nodeName: "n1",
    onConcern: (kind, key) => told.push(`${kind} ${key}`),
  });
  const pod = (name: string, nodeName: string) => ({
    namespace: "shop",
    name,
    uid: "u",
    nodeName,
    labels: {},
    serviceAccount: "",
    addresses: [],
    hostNetwork: false,
    finished: false,
    ports: [],
    resourceVersion: "1",
  });
  graph.flush();
  graph.update("workload", "shop/here", pod("here", "n1"));
  graph.update("workload", "shop/there", pod("there", "n2"));
  assertEquals(told, ["workload shop/here"]);
});
