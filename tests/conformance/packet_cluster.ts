/**
 * A cluster of one node for packet runs: a small API server in this process, the compiled agent, and
 * pods that come and go as snapshots say. One agent serves every snapshot that is entered, so what one
 * case leaves behind shows in the next.
 *
 * When a snapshot has been entered, the kernel has it. The agent does not say which version of which
 * object it has taken, but it counts objects, and watches of one kind keep their order: so markers
 * are made after the changes, more than were deleted just before; once the agent counts them all it
 * has seen everything before them. A pod that is then reported again is answered for when the kernel
 * has what the agent knows.
 */

import { encodeEndpoint } from "../../lib/agent_api/endpoint.ts";
import { type ApiRequest, decodeFailure, STATUS } from "../../lib/agent_api/message.ts";
import type { Protocol } from "../../lib/model/workload.ts";
import { NETLINK_ROUTE, type NetlinkSocket, openNetlinkSocket } from "../../lib/netlink/socket.ts";
import { agentStatus, askAgent, isAgentReady } from "../support/node/agent_client.ts";
import { type SmallApiServer, startApiServer } from "../support/kubernetes/api_server/server.ts";
import { runExecutable, RunningAgent } from "../support/program/executable.ts";
import { until } from "../support/until.ts";
import { AttachedPod } from "./attached_pod.ts";
import { HostPod } from "./host_pod.ts";
import type { CasePod, Snapshot } from "./case.ts";
import { type ApiObject, type ApiObjects, type ApiPlural, NODE_NAME, PLURALS } from "./objects.ts";

/** What the agent calls each kind in its counts. */
const COUNTS: Readonly<Record<ApiPlural, string>> = {
  namespaces: "namespace",
  nodes: "node",
  pods: "workload",
  networkpolicies: "policy",
  clusternetworkpolicies: "clusterPolicy",
};

/** A pod that is there. */
export type PacketPod = AttachedPod | HostPod;

/** A port that pods serve. */
export interface Service {
  readonly protocol: Protocol;
  readonly port: number;
}

const MARKER_NAMESPACE = "marker";
/** How long the agent is asked to wait for the kernel: as long as it does. */
const ENFORCE_MS_MAX = 120_000;

/** Enters snapshots into one small API server and one agent. */
export class PacketCluster implements AsyncDisposable {
  readonly #api: SmallApiServer;
  readonly #agent: RunningAgent;
  readonly #route: NetlinkSocket = openNetlinkSocket(NETLINK_ROUTE);
  readonly #pods = new Map<string, PacketPod>();
  /** What was sent to the API server, by plural and key. */
  readonly #objects = new Map<string, string>();
  readonly #services: readonly Service[];

  private constructor(api: SmallApiServer, agent: RunningAgent, services: readonly Service[]) {
    this.#api = api;
    this.#agent = agent;
    this.#services = services;
  }

  /**
   * Starts the API server and the agent, and waits until policy is in force. Every pod will serve all
   * of `services`, whatever it declares: what is blocked must be blocked by policy.
   */
  static async start(services: readonly Service[]): Promise<PacketCluster> {
    const api = startApiServer();
    api.store.register({
      group: "policy.networking.k8s.io",
      version: "v1alpha2",
      plural: "clusternetworkpolicies",
      kind: "ClusterNetworkPolicy",
      namespaced: false,
      custom: true,
    });
    api.store.create("nodes", { metadata: { name: NODE_NAME } });
    const agent = new RunningAgent({
      env: {
        K8S_API_ENDPOINT: api.url,
        CALYX_NODE_NAME: NODE_NAME,
        CALYX_HEALTH_PORT: "0",
        CALYX_LOG_LEVEL: "warn",
      },
    });
    const cluster = new PacketCluster(api, agent, services);
    try {
      await agent.until("policy in force", () => isAgentReady());
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** What the agent has warned of. */
  get log(): string {
    return this.#agent.log;
  }

  /** The pods that are there now, by `namespace/name`. */
  get pods(): ReadonlyMap<string, PacketPod> {
    return this.#pods;
  }

  /** Makes the cluster be as `snapshot`, whose API objects are `objects`, and the kernel enforce it. */
  async enter(snapshot: Snapshot, objects: ApiObjects): Promise<void> {
    await this.#detachPods(snapshot);
    const deleted = new Map(
      [...PLURALS].reverse().map((it) => [it, this.#deleteObjects(it, objects[it])]),
    );
    const put = new Map(PLURALS.map((it) => [it, this.#putObjects(it, objects[it])]));
    await this.#attachPods(snapshot);
    await Promise.all(PLURALS.map((it) => {
      const deletions = deleted.get(it) ?? 0;
      return deletions + (put.get(it) ?? 0) === 0 ? undefined : this.#settle(it, deletions + 1);
    }));
    await this.#enforce();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pod of this.#pods.values()) pod[Symbol.dispose]();
    this.#route[Symbol.dispose]();
    await this.#agent[Symbol.asyncDispose]();
    await this.#api[Symbol.asyncDispose]();
    await runExecutable("calyx-agent", { args: ["cleanup"] }); // the next run begins without a table
  }

  async #detachPods({ pods }: Snapshot): Promise<void> {
    for (const [key, attached] of [...this.#pods]) {
      const pod = pods.get(key);
      if (pod !== undefined && attachedAs(pod) === attachedAs(attached.pod)) continue;
      this.#pods.delete(key);
      attached[Symbol.dispose]();
      await attached.services.closed;
      const { id } = attached.attachment ?? {};
      if (id !== undefined) await this.#ask({ call: { route: "deleteEndpoint", id } });
    }
  }

  /** Deletes what is not wanted any more, and pods that were detached. @returns how many */
  #deleteObjects(plural: ApiPlural, wanted: ReadonlyMap<string, ApiObject>): number {
    const prefix = `${plural} `;
    const gone = [...this.#objects.keys()]
      .filter((it) => it.startsWith(prefix))
      .map((it) => it.slice(prefix.length))
      .filter((it) => !wanted.has(it) || plural === "pods" && !this.#pods.has(it));
    for (const key of gone) {
      this.#objects.delete(`${plural} ${key}`);
      this.#api.store.delete(plural, key);
    }
    return gone.length;
  }

  /** Makes and changes what is wanted. @returns how many objects */
  #putObjects(plural: ApiPlural, wanted: ReadonlyMap<string, ApiObject>): number {
    let count = 0;
    for (const [key, object] of wanted) {
      const text = JSON.stringify(object);
      const id = `${plural} ${key}`;
      if (this.#objects.get(id) === text) continue;
      const isThere = this.#api.store.get(plural, key) !== undefined;
      if (isThere) this.#api.store.update(plural, object);
      else this.#api.store.create(plural, object);
      this.#objects.set(id, text);
      count++;
    }
    return count;
  }

  async #attachPods({ pods }: Snapshot): Promise<void> {
    const reports: Promise<void>[] = [];
    for (const [key, pod] of pods) {
      if (this.#pods.has(key)) continue;
      const attached = pod.hostNetwork && pod.isOnPodsNode === true
        ? new HostPod(pod, this.#services, this.#route)
        : new AttachedPod(pod, this.#services);
      this.#pods.set(key, attached);
      reports.push(this.#report(attached));
    }
    await Promise.all(reports);
  }

  /** Returns when the agent has taken every change of a kind that was made before. */
  async #settle(plural: ApiPlural, count: number): Promise<void> {
    const { store } = this.#api;
    const markers = Array.from({ length: count }, (_, index) => markerOf(plural, index));
    for (const marker of markers) store.create(plural, marker);
    await this.#counted(plural);
    for (const { metadata } of markers) {
      const { namespace, name } = metadata;
      store.delete(plural, namespace === undefined ? name : `${namespace}/${name}`);
    }
    await this.#counted(plural);
  }

  /** Returns when the agent counts as many objects of a kind as there are. */
  async #counted(plural: ApiPlural): Promise<void> {
    const wanted = this.#api.store.list(plural).length;
    let count: number | undefined;
    await until(
      `the agent counts ${wanted} ${plural}`,
      async () => {
        const { objects } = await agentStatus();
        count = objects[COUNTS[plural]];
        if (count === undefined) throw new Error(`The agent does not watch ${plural}`);
        return count === wanted;
      },
      () => `it counts ${count}; its log:\n${this.log}`,
    );
  }

  /** Returns when the kernel has all that the agent knows. */
  async #enforce(): Promise<void> {
    const pod = [...this.#pods.values()].find((it) => it.attachment !== undefined);
    if (pod !== undefined) await this.#report(pod);
  }

  async #report({ attachment }: PacketPod): Promise<void> {
    if (attachment === undefined) return;
    const { id, endpoint } = attachment;
    await this.#ask({
      call: { route: "putEndpoint", id },
      waitMs: ENFORCE_MS_MAX,
      body: encodeEndpoint(endpoint),
    });
  }

  async #ask(request: ApiRequest): Promise<void> {
    const { status, body } = await askAgent(request);
    if (status === STATUS.ok) return;
    const { route } = request.call;
    throw new Error(`Agent: ${route}: ${decodeFailure(body)}; its log:\n${this.log}`);
  }
}

/** What cannot change while a pod lives. */
function attachedAs({ labels: _, ...pod }: CasePod): string {
  return JSON.stringify(pod);
}

/** An object of a kind that has no effect on any pod. */
function markerOf(plural: ApiPlural, index: number): ApiObject {
  const metadata = { name: `marker${index}` };
  switch (plural) {
    case "namespaces":
    case "nodes":
      return { metadata };
    case "pods":
      return {
        metadata: { ...metadata, namespace: MARKER_NAMESPACE },
        spec: { containers: [{ name: "main", image: "none" }] },
      };
    case "networkpolicies":
      return {
        metadata: { ...metadata, namespace: MARKER_NAMESPACE },
        spec: { podSelector: {}, policyTypes: ["Ingress"] },
      };
    case "clusternetworkpolicies":
      return {
        metadata,
        spec: {
          tier: "Baseline",
          priority: 1000,
          subject: {
            namespaces: { matchLabels: { "kubernetes.io/metadata.name": MARKER_NAMESPACE } },
          },
        },
      };
  }
}
