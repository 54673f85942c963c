/**
 * The main job from end to end, on real packets: three pods attached by the compiled plugin, the
 * compiled agent, one NetworkPolicy that comes and goes, the verdicts explained by the compiled ctl.
 * The demo shows it, and the cluster tests run it against a real API server.
 */

import { Address } from "../../../lib/ip/address.ts";
import { dumpLinks, parseLink } from "../../../lib/netlink/link/link.ts";
import { NETLINK_ROUTE, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import { isAgentReady } from "./agent_client.ts";
import { runExecutable, RunningAgent } from "../program/executable.ts";
import {
  KubernetesObjects,
  type ObjectApi,
  podObject,
  policyObject,
} from "../kubernetes/kubernetes_objects.ts";
import { TestPod } from "./pod.ts";
import { PodServers, sendDatagram } from "../packet/probe.ts";
import { type Connection, formatMatrix, measureReachability } from "../packet/reachability.ts";
import { until } from "../until.ts";

/** How the scenario reaches an API server. */
export interface ScenarioApi extends ObjectApi {
  /** What the executables get, to reach the same server. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface ScenarioOptions {
  readonly api: ScenarioApi;
  /** Namespace and node that the scenario makes and deletes. */
  readonly namespace?: string;
  readonly node?: string;
  /** Called as it goes; for people. */
  readonly onStep?: (title: string, detail?: string) => void;
}

/** Everything that the scenario found. */
export interface ScenarioResult {
  readonly pods: readonly { readonly name: string; readonly addresses: readonly string[] }[];
  readonly addMs: readonly number[];
  readonly deleteMs: readonly number[];
  readonly before: readonly Connection[];
  readonly during: readonly Connection[];
  readonly after: readonly Connection[];
  /** From the moment the policy was sent to the API server, in milliseconds. */
  readonly denyMs: number | undefined;
  readonly allowMs: number | undefined;
  readonly explanations: readonly string[];
  readonly endpoints: string;
  /** What was left on the node after the pods were deleted: nothing. */
  readonly left: readonly string[];
  /** Every verdict as expected, nothing left. */
  readonly right: boolean;
}

/** The pods: only `friend` may reach `server` while the policy is there. */
const PODS = ["server", "friend", "stranger"] as const;
const PORT = 80;
const UDP_PORT = 53;
/** So many datagrams are not late: what they were sent to is closed. */
const LOST_IN_A_ROW = 50;
const POD_CIDRS = ["10.244.7.0/24", "fd00:10:244:7::/64"];

/** Runs the scenario; the caller's network namespace becomes the node. */
export async function runScenario(options: ScenarioOptions): Promise<ScenarioResult> {
  const { api, namespace = "demo", node = "calyx-demo", onStep = () => {} } = options;
  const objects = new KubernetesObjects(api, namespace);
  const pods: TestPod[] = [];
  using servers = new PodServers();
  try {
    await objects.create("/api/v1/nodes", {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name: node },
      spec: { podCIDR: POD_CIDRS[0], podCIDRs: POD_CIDRS },
    });
    await objects.create("/api/v1/namespaces", {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: namespace, labels: { "kubernetes.io/metadata.name": namespace } },
    });
    await using agent = new RunningAgent({
      env: { ...api.environment, CALYX_NODE_NAME: node, CALYX_HEALTH_PORT: "0" },
    });
    await agent.until("policy in force", () => isAgentReady());
    onStep("agent", "calyx-agent runs: every watch in sync, table inet calyx in the kernel");

    const addMs: number[] = [];
    for (const name of PODS) {
      await objects.create(objects.pods, podObject(name, namespace, node));
      const pod = new TestPod(namespace, name);
      pods.push(pod);
      await pod.attach();
      addMs.push(pod.callMs);
      await objects.patch(`${objects.pods}/${name}/status`, {
        status: {
          phase: "Running",
          podIP: pod.addresses[0],
          podIPs: pod.addresses.map((ip) => ({ ip })),
        },
      });
      servers.tcp(pod.namespace, PORT);
      onStep("pod", `${name} attached by calyx: ${pod.addresses.join(", ")}`);
    }
    const before = await measureReachability(pods, PORT, () => true);
    onStep("everyone reaches everyone", formatMatrix(before));

    const denyMs = await cutLatency(
      pods,
      "deny",
      () => objects.create(objects.policies, policyObject(namespace)),
    );
    const during = await measureReachability(
      pods,
      PORT,
      (from, to) => to !== "server" || from === "friend",
    );
    onStep(`policy "allow-friend" applied: only friend may reach server`, formatMatrix(during));
    const explanations: string[] = [];
    for (const from of ["friend", "stranger"]) {
      const { stdout, stderr } = await runExecutable("calyxctl", {
        args: ["explain", `${namespace}/${from}`, `${namespace}/server:${PORT}`],
        env: api.environment,
      });
      explanations.push(stdout + stderr);
    }
    onStep("calyxctl explain says why", explanations.join("\n"));
    const { stdout: endpoints } = await runExecutable("calyxctl", {
      args: ["get", "workloadendpoints", "-n", namespace, "-o", "wide"],
      env: api.environment,
    });

    const allowMs = await cutLatency(
      pods,
      "allow",
      () => objects.delete(`${objects.policies}/allow-friend`),
    );
    const after = await measureReachability(pods, PORT, () => true);
    onStep("policy removed", formatMatrix(after));

    const deleteMs: number[] = [];
    for (const pod of pods) {
      await pod.detach();
      deleteMs.push(pod.callMs);
    }
    const left = await leftovers(pods);
    const right = left.length === 0 &&
      [...before, ...during, ...after].every((it) =>
        it.ipv4 === it.expected && it.ipv6 === it.expected
      ) && denyMs !== undefined && allowMs !== undefined;
    return {
      pods: pods.map(({ name, addresses }) => ({ name, addresses })),
      addMs,
      deleteMs,
      before,
      during,
      after,
      denyMs,
      allowMs,
      explanations,
      endpoints,
      left,
      right,
    };
  } finally {
    for (const pod of pods) pod[Symbol.dispose]();
    await objects.deleteAll();
  }
}

/**
 * The time from `change` to the first datagram of stranger to server that is lost (deny) or comes
 * through (allow); each datagram is a flow of its own.
 */
async function cutLatency(
  pods: readonly TestPod[],
  kind: "deny" | "allow",
  change: () => Promise<unknown>,
): Promise<number | undefined> {
  const server = pods.find((it) => it.name === "server");
  const stranger = pods.find((it) => it.name === "stranger");
  if (server === undefined || stranger === undefined) return undefined;
  const sentMs: number[] = [];
  const received = new Set<number>();
  using receiver = new PodServers();
  receiver.udp(server.namespace, UDP_PORT);
  let last = -1;
  receiver.onDatagram = (payload) => {
    const index = new DataView(payload.buffer).getUint32(0);
    received.add(index);
    last = Math.max(last, index);
  };
  const send = setInterval(() => {
    const payload = new Uint8Array(4);
    new DataView(payload.buffer).setUint32(0, sentMs.length);
    sentMs.push(performance.now());
    const address = Address.parse(server.addresses[0] ?? "");
    sendDatagram({ namespace: stranger.namespace, address, port: UDP_PORT }, payload);
  }, 1);
  let startMs = 0;
  const isSeen = (): boolean =>
    kind === "allow"
      ? sentMs.some((atMs, index) => atMs >= startMs && received.has(index))
      : sentMs.length - 1 - last > LOST_IN_A_ROW;
  try {
    const underWay = (): number => kind === "allow" ? sentMs.length : received.size;
    await until("datagrams are on their way", () => underWay() > LOST_IN_A_ROW);
    startMs = performance.now();
    await change();
    await until(`the change shows (${kind})`, isSeen);
  } finally {
    clearInterval(send);
  }
  const first = sentMs.findIndex((atMs, index) =>
    atMs >= startMs && received.has(index) === (kind === "allow")
  );
  return first < 0 ? undefined : Math.max(0, (sentMs[first] ?? 0) - startMs);
}

/** Interfaces and address files that DEL should have taken away. */
async function leftovers(pods: readonly TestPod[]): Promise<string[]> {
  const left: string[] = [];
  using socket = openNetlinkSocket(NETLINK_ROUTE);
  const interfaces = socket.dump(dumpLinks()).map((it) => parseLink(it).name);
  left.push(...interfaces.filter((it) => it.startsWith("cali")));
  const addresses = new Set(pods.flatMap((it) => it.addresses));
  try {
    for await (const entry of Deno.readDir("/run/cni/networks/calyx")) {
      if (addresses.has(entry.name)) left.push(entry.name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return left;
}
