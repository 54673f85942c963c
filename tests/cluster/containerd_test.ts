/**
 * The plugin under containerd, as the kubelet drives it: fifty pods, half of them killed. What is left
 * on the node is exactly what the living half needs.
 */

import { assertEquals } from "@std/assert";
import { interfaceNameOf } from "../../lib/model/interface_name.ts";
import { nodeLinks, nodeState } from "../support/cni_network.ts";
import { Containerd, containerdProblem, type PodSandbox } from "../support/containerd.ts";
import { requireIsolation } from "../support/isolation.ts";
import { skippableTest } from "../support/program.ts";

const PODS = 50;
/** How many pods the kubelet is busy with at once. */
const WORKERS = 10;

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

skippableTest(
  `calyx under containerd: of ${PODS} pods half is killed, and the other half is all there is`,
  containerdProblem(),
  async () => {
    requireIsolation();
    const dataDir = await Deno.makeTempDir({ dir: "/run" });
    const reserved = (): string[] =>
      [...Deno.readDirSync(`${dataDir}/pods`)].map((it) => it.name)
        .filter((it) => /^[0-9a-f]+[.:][0-9a-f.:]*$/.test(it)).sort();
    const addressesOf = (pods: ReadonlyMap<string, PodSandbox>): string[] =>
      [...pods.values()].flatMap((it) => it.addresses).sort();
    const ranges = [[{ subnet: "10.244.5.0/24" }], [{ subnet: "fd00:10:244:5::/64" }]];
    await using containerd = await Containerd.start({
      cniVersion: "1.0.0",
      name: "pods",
      plugins: [{ type: "calyx", ipam: { type: "host-local", dataDir, ranges } }],
    });
    const names = Array.from({ length: PODS }, (_, index) => `pod-${index}`);
    const living = new Map<string, PodSandbox>();
    await forEach(names, async (name) => void living.set(name, await containerd.runPod(name)));
    assertEquals(new Set(addressesOf(living)).size, 2 * PODS);
    assertEquals([nodeState(), reserved()], [stateOf(living), addressesOf(living)]);

    const killed = new Map([...living].filter((_, index) => index % 2 === 0));
    for (const [name, { pid }] of killed) {
      Deno.kill(pid, "SIGKILL");
      living.delete(name);
    }
    await forEach([...killed.values()], async (pod) => {
      await containerd.stopPod(pod);
      await containerd.stopPod(pod);
      await containerd.removePod(pod);
    });
    assertEquals([nodeState(), reserved()], [stateOf(living), addressesOf(living)]);

    await forEach([...living.values()], (pod) => containerd.stopPod(pod));
    assertEquals([nodeLinks(), nodeState(), reserved()], [[], [], []]);
    await Deno.remove(dataDir, { recursive: true });
  },
);
