/** The format of network-policy-api's conformance tests, ClusterNetworkPolicy v1alpha2. */

import { act } from "./action.ts";
import type { CasePort, CaseStep, Cell, ConformanceCase } from "./case.ts";
import { CaseState, type PodDraft } from "./case_state.ts";
import { type Json, locate } from "./json.ts";
import { mutate } from "./mutation.ts";

/** What the suite's configuration gives pods on their host's network: `HostNetworkPorts`. */
const HOST_PORT_FIRST = 34345;

/** What a set of pods on their hosts' network says whose node is the other pods'. */
const NODE_OF_PODS = "pods";

const NEEDS_SERVICE = "it needs a Service, and those are kube-proxy's";

/** Reads the tests. @throws {SyntaxError} naming what is not understood */
export function loadClusterPolicyTests(file: Json): readonly ConformanceCase[] {
  return file.get("tests").list().map((test): ConformanceCase => {
    const state = new CaseState();
    for (const it of file.get("topology").list()) locate(it, () => addTopology(state, it));
    const manifest = test.get("manifest").text();
    const objects = file.get("policies").get(manifest);
    if (!objects.exists) throw new SyntaxError(`${test.path}: no policies of ${manifest}`);
    const isService = (it: Json): boolean => it.get("kind").value === "Service";
    const policies = objects.list().filter((it) => !isService(it));
    for (const it of policies) locate(it, () => state.putPolicy(it, true));
    const skip = objects.list().some(isService) ? NEEDS_SERVICE : undefined;
    const feature = test.get("feature");
    return {
      suite: feature.exists ? `ClusterNetworkPolicy ${feature.text()}` : "ClusterNetworkPolicy",
      name: test.get("test").text(),
      steps: readSteps(test, state, skip),
    };
  });
}

/** Every change closes a step. */
function readSteps(test: Json, state: CaseState, skip: string | undefined): readonly CaseStep[] {
  const steps: CaseStep[] = [];
  let cells: Cell[] = [];
  const close = (): void => {
    if (cells.length > 0) steps.push({ snapshot: state.snapshot(), cells });
    cells = [];
  };
  for (const step of test.get("steps").list()) {
    if (step.get("mutate").exists) {
      close();
      const change = step.get("mutate");
      const isSentence = typeof change.value === "string";
      locate(step, () => isSentence ? mutate(state, change) : act(state, change));
    } else {
      cells.push(locate(step, () => readCell(step, state, skip)));
    }
  }
  close();
  return steps;
}

function addTopology(state: CaseState, it: Json): void {
  const namespace = it.get("namespace").text();
  const labels = it.get("labels").labels();
  const kind = it.get("kind");
  if (!kind.exists || kind.value === "Namespace") return state.setNamespace(namespace, labels);
  if (kind.text() !== "StatefulSet") {
    throw new SyntaxError(`${kind.path}: "${kind.text()}" is not known`);
  }
  const name = it.get("name").text();
  const replicas = Number(it.get("replicas").value ?? 1);
  const node = it.get("node");
  const isOnPodsNode = node.exists && node.text() === NODE_OF_PODS;
  if (node.exists && !isOnPodsNode) {
    throw new SyntaxError(`${node.path}: only "${NODE_OF_PODS}" is known, not "${node.text()}"`);
  }
  for (let index = 0; index < replicas; index++) {
    const pod: PodDraft = {
      namespace,
      name: `${name}-${index}`,
      labels: {
        ...labels,
        "statefulset.kubernetes.io/pod-name": `${name}-${index}`,
        "apps.kubernetes.io/pod-index": `${index}`,
      },
      hostNetwork: it.get("hostNetwork").value === true,
      ...(isOnPodsNode ? { isOnPodsNode } : {}),
      ports: it.get("ports").list().flatMap(declaredPorts),
    };
    state.addPod(pod);
  }
}

/** Ports of a pod on its host's network are left to a template: their names say which. */
function declaredPorts(container: Json): readonly CasePort[] {
  return container.get("declared").list().map((it) => {
    const name = it.get("name").exists ? it.get("name").text() : undefined;
    const template = /\{\{ index \.HostNetworkPorts (\d+) \}\}/.exec(name ?? "");
    const port = template?.[1] === undefined
      ? it.get("containerPort").port()
      : HOST_PORT_FIRST + Number(template[1]);
    return {
      name: template === null ? name : name?.replace(template[0], `${port}`),
      protocol: it.get("protocol").exists ? it.get("protocol").protocol() : "TCP",
      port,
    };
  });
}

function readCell(step: Json, state: CaseState, skip: string | undefined): Cell {
  for (const [name] of step.entries()) {
    if (!["from", "to", "protocol", "port", "expect"].includes(name)) {
      throw new SyntaxError(`${step.path}: action "${name}" is not known`);
    }
  }
  const end = (field: string): string => {
    const name = step.get(field).text();
    if (skip !== undefined) return name; // it may be the service
    const { namespace, name: pod } = state.pod(name);
    return `${namespace}/${pod}`;
  };
  const expect = step.get("expect").text();
  if (expect !== "allow" && expect !== "drop") {
    throw new SyntaxError(`${step.path}.expect: allow or drop is expected, not "${expect}"`);
  }
  return {
    from: end("from"),
    to: end("to"),
    protocol: step.get("protocol").protocol(),
    port: step.get("port").port(),
    family: undefined,
    expected: { combined: expect === "allow" },
    ...(skip === undefined ? {} : { skip }),
  };
}
