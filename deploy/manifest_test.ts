/** The manifest, the unit and the image agree with each other and with the rest of the project. */

import { assertEquals } from "@std/assert";
import * as yaml from "@std/yaml";
import { assert } from "../lib/base/assert.ts";
import { missingProgram, skippableTest } from "../tests/support/program/program.ts";

const read = (name: string): string => Deno.readTextFileSync(new URL(name, import.meta.url));

/** As much of the objects as these tests look at. */
interface Container {
  readonly image: string;
  readonly command?: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly securityContext: { readonly privileged?: boolean; readonly capabilities: unknown };
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly startupProbe?: Probe;
  readonly volumeMounts: readonly { readonly name: string }[];
}
interface Probe {
  readonly httpGet: { readonly host: string; readonly port: number; readonly path: string };
}
interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly rules?: readonly { readonly resources: string[]; readonly verbs: string[] }[];
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: {
    readonly template: {
      readonly spec: {
        readonly hostNetwork: boolean;
        readonly initContainers: readonly Container[];
        readonly containers: readonly Container[];
        readonly volumes: readonly { readonly name: string }[];
      };
    };
  };
}

const parseAll: (text: string) => unknown = yaml.parseAll;
const manifests = parseAll(read("calyx.yaml")) as readonly Manifest[];

function find(kind: string): Manifest {
  const manifest = manifests.find((it) => it.kind === kind);
  assert(manifest !== undefined, `No ${kind} in calyx.yaml`);
  return manifest;
}

const pod = find("DaemonSet").spec?.template.spec;
assert(pod !== undefined);
const [agent] = pod.containers;
const [installer] = pod.initContainers;
assert(agent !== undefined && installer !== undefined);
const version: string = JSON.parse(read("../deno.json")).version;

Deno.test("calyx.yaml holds what it should", () => {
  assertEquals(manifests.map((it) => it.kind), [
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "DaemonSet",
  ]);
});

Deno.test("calyx.yaml lets the agent read, and nothing else", () => {
  const rules = find("ClusterRole").rules ?? [];
  assertEquals(rules.flatMap((it) => it.resources), [
    "pods",
    "namespaces",
    "nodes",
    "networkpolicies",
    "clusternetworkpolicies",
  ]);
  for (const { verbs } of rules) assertEquals(verbs, ["get", "list", "watch"]);
});

Deno.test("calyx.yaml gives the agent NET_ADMIN and the installer nothing", () => {
  assertEquals(agent.securityContext.capabilities, { drop: ["ALL"], add: ["NET_ADMIN"] });
  assertEquals(installer.securityContext.capabilities, { drop: ["ALL"] });
  for (const it of [agent, installer]) assertEquals(it.securityContext.privileged, undefined);
});

Deno.test("calyx.yaml carries the configuration of 10-calyx.conflist", () => {
  assertEquals(find("ConfigMap").data?.["10-calyx.conflist"], read("cni/10-calyx.conflist"));
});

Deno.test("calyx.yaml, the configuration and the unit name the same socket", () => {
  const conflist: { plugins: { agent_socket: string }[] } = JSON.parse(
    read("cni/10-calyx.conflist"),
  );
  const socket = agent.env.find((it) => it.name === "CALYX_AGENT_SOCKET")?.value;
  assertEquals(conflist.plugins.map((it) => it.agent_socket), [socket]);
  assertEquals(socket, "/run/calyx/agent.sock");
  assert(read("systemd/calyx-agent.service").includes("\nRuntimeDirectory=calyx\n"));
});

Deno.test("calyx.yaml asks for health where the agent answers", () => {
  assert(pod.hostNetwork);
  const port = Number(agent.env.find((it) => it.name === "CALYX_HEALTH_PORT")?.value);
  const ask = (path: string): Probe["httpGet"] => ({ host: "127.0.0.1", port, path });
  assertEquals(agent.startupProbe?.httpGet, ask("/healthz"));
  assertEquals(agent.livenessProbe?.httpGet, ask("/healthz"));
  assertEquals(agent.readinessProbe?.httpGet, ask("/readyz"));
});

Deno.test("calyx.yaml mounts volumes that it has, and has none for nothing", () => {
  const mounted = [agent, installer].flatMap((it) => it.volumeMounts.map((mount) => mount.name));
  assertEquals([...new Set(mounted)].sort(), pod.volumes.map((it) => it.name).sort());
});

Deno.test("calyx.yaml and the Dockerfile name this version's image", () => {
  assertEquals([agent.image, installer.image], [`calyx:${version}`, `calyx:${version}`]);
  assert(read("image/Dockerfile").includes(`-t calyx:${version} `));
});

Deno.test("calyx.yaml installs the plugin by the script of the image", () => {
  assertEquals(installer.command, ["/opt/calyx/install.sh", "plugin"]);
});

skippableTest(
  "calyx-agent.service is a unit that systemd understands",
  missingProgram(["systemd-analyze"]),
  async () => {
    const folder = await Deno.makeTempDir();
    const unit = `${folder}/calyx-agent.service`;
    const text = read("systemd/calyx-agent.service").replace(
      "/usr/local/bin/calyx-agent",
      "/bin/true",
    );
    await Deno.writeTextFile(unit, text);
    const { stderr } = await new Deno.Command("systemd-analyze", {
      args: ["verify", "--man=no", unit],
    }).output();
    await Deno.remove(folder, { recursive: true });
    assertEquals(new TextDecoder().decode(stderr), "");
  },
);
