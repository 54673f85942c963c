/**
 * The plugin under containerd, as the kubelet drives it: fifty pods, half of them killed, and then the
 * whole node. Exactly the links, routes and addresses of the living pods are left on the node, unchanged.
 */

import { assertEquals } from "@std/assert";
import { openCurrentNamespace } from "../../lib/kernel/namespace.ts";
import { interfaceNameOf } from "../../lib/model/interface_name.ts";
import { nodeIp, nodeLinks, nodeState } from "../support/plugin/cni_node.ts";
import { Containerd, containerdProblem, type PodSandbox } from "../support/node/containerd.ts";
import { requireIsolation } from "../support/isolation/isolation.ts";
import { probeAll } from "../support/packet/probe.ts";
import { skippableTest } from "../support/program/program.ts";
import { PATIENCE_MS, until } from "../support/until.ts";

const PODS = 50;
/** How many pods the kubelet is busy with at once. */
const WORKERS = 10;

/** The node's own, from which it asks its pods. */
const NODE_ADDRESSES = ["192.0.2.1/32", "2001:db8::1/128"];

/** Does all of it, so many at a time. */
async function forEach<T>(items: readonly T[], f: (item: T) => Promise<void>): Promise<void> {
  const rest = [...items];
  const work = async (): Promise<void> => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await f(item);
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
}

/** What the node must have for these pods: interfaces and routes, as nodeState() has them. */
function stateOf(pods: ReadonlyMap<string, PodSandbox>): string[] {
  const entries = [...pods].map(([name, pod]) => ({
    link: interfaceNameOf("default", name),
    addresses: pod.addresses,
  }));
  const routes = entries.flatMap(({ link, addresses }) => addresses.map((it) => `${it} ${link}`));
  return [...entries.map((it) => it.link).sort(), ...routes.sort()];
}

/** Indexes and link addresses of the living pods: they would change if an interface were replaced. */
function identityOf(pods: ReadonlyMap<string, PodSandbox>): string[] {
  const links = [...pods.keys()].map((it) => interfaceNameOf("default", it));
  const neighbours = nodeIp("neigh", "show", "nud", "permanent");
  return [
    ...nodeIp("link").map((it) => `${it.ifname} ${it.ifindex} ${it.ifalias} ${it.operstate}`),
    ...neighbours.map((it) => `${it.dev} ${it.dst} ${it.lladdr}`),
  ].filter((it) => links.includes(it.split(" ")[0] ?? "")).sort();
}

/** Asserts that every pod answers on each of its addresses; the port is closed, so the answer is a refusal. */
async function assertReachable(pods: ReadonlyMap<string, PodSandbox>): Promise<void> {
  using namespace = openCurrentNamespace();
  const addresses = [...pods.values()].flatMap((it) => it.addresses);
  const probes = addresses.map((address) =>
    ({ namespace, protocol: "TCP", address, port: 80 }) as const
  );
  const answers = await probeAll(probes, PATIENCE_MS);
  assertEquals(answers.filter((it) => it !== "ECONNREFUSED"), []);
}

skippableTest(
  `calyx under containerd: of ${PODS} pods half is killed, then the node; the living are all there is`,
  containerdProblem(),
  async () => {
    requireIsolation();
    for (const it of NODE_ADDRESSES) nodeIp("addr", "replace", it, "dev", "lo");
    const dataDir = await Deno.makeTempDir({ dir: "/run" });
    const bootIdFile = `${dataDir}/boot`;
    await Deno.writeTextFile(bootIdFile, "before");
    const reserved = (): string[] =>
      [...Deno.readDirSync(`${dataDir}/pods`)].map((it) => it.name)
        .filter((it) => /^[0-9a-f]+[.:][0-9a-f.:]*$/.test(it)).sort();
    const addressesOf = (pods: ReadonlyMap<string, PodSandbox>): string[] =>
      [...pods.values()].flatMap((it) => it.addresses).sort();
    const idsOf = (pods: ReadonlyMap<string, PodSandbox>): string[] =>
      [...pods.values()].map((it) => it.id).sort();
    const ranges = [[{ subnet: "10.244.5.0/24" }], [{ subnet: "fd00:10:244:5::/64" }]];
    await using containerd = await Containerd.start({
      cniVersion: "1.0.0",
      name: "pods",
      plugins: [{ type: "calyx", ipam: { type: "host-local", dataDir, bootIdFile, ranges } }],
    });
    const names = Array.from({ length: PODS }, (_, index) => `pod-${index}`);
    const living = new Map<string, PodSandbox>();
    const assertLivingAlone = async (): Promise<void> => {
      assertEquals([nodeState(), reserved()], [stateOf(living), addressesOf(living)]);
      assertEquals(containerd.cachedIds("pods"), idsOf(living));
      await assertReachable(living);
    };
    await forEach(names, async (name) => void living.set(name, await containerd.runPod(name)));
    assertEquals(new Set(addressesOf(living)).size, 2 * PODS);
    await assertLivingAlone();

    const killed = new Map([...living].filter((_, index) => index % 2 === 0));
    for (const [name, { pid }] of killed) {
      Deno.kill(pid, "SIGKILL");
      living.delete(name);
    }
    const before = identityOf(living);
    assertEquals(before.length, 3 * living.size);
    await forEach([...killed.values()], async (pod) => {
      await containerd.stopPod(pod);
      await containerd.stopPod(pod);
      await containerd.removePod(pod);
    });
    await assertLivingAlone();
    assertEquals(identityOf(living), before);

    const lost = new Map(living);
    await containerd.reboot([...lost.values()]);
    await Deno.writeTextFile(bootIdFile, "after");
    living.clear();
    await until("the node forgets the pods' interfaces", () => nodeLinks().length === 0);
    // Some of the old sandboxes are taken away before the pod's new one comes, some after.
    await forEach([...lost], async ([name, pod]) => {
      const isFirst = Number(name.slice(4)) % 4 === 1;
      if (isFirst) await containerd.stopPod(pod);
      living.set(name, await containerd.runPod(name));
      if (!isFirst) await containerd.stopPod(pod);
      await containerd.removePod(pod);
    });
    await assertLivingAlone();

    await forEach([...living.values()], (pod) => containerd.stopPod(pod));
    assertEquals([nodeLinks(), nodeState(), reserved()], [[], [], []]);
    assertEquals(containerd.cachedIds("pods"), []);
    await Deno.remove(dataDir, { recursive: true });
    for (const it of NODE_ADDRESSES) nodeIp("addr", "del", it, "dev", "lo");
  },
);
