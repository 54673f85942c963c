/**
 * The format of cyclonus' cases: nine pods for all of them, three tables for each port. The suite asks
 * its policies about a pod and itself, too, and says that this is not defined; Kubernetes'
 * documentation says that no NetworkPolicy decides it. Those cells are left out of every run.
 */

import type { CasePod, CasePort, CaseStep, Cell, ConformanceCase, Expectation } from "./case.ts";
import { CaseState } from "./case_state.ts";
import { Json, locate } from "./json.ts";
import { type Mark, readTable } from "./truth_table.ts";

const SELF = "a pod cannot block access to itself";

/** Reads the cases. @throws {SyntaxError} naming what is not understood */
export function loadCyclonus(file: Json): readonly ConformanceCase[] {
  const pods = file.get("pods").list().map(readPod);
  return file.get("cases").list().map((it) => {
    const state = new CaseState();
    for (const [name, labels] of file.get("namespaces").entries()) {
      state.setNamespace(name, labels.labels());
    }
    for (const pod of pods) state.addPod(pod);
    const steps = it.get("steps").list().map((step): CaseStep => {
      for (const action of step.get("actions").list()) {
        locate(action, () => act(state, action, pods[0]?.ports ?? []));
      }
      const snapshot = state.snapshot();
      return { snapshot, cells: readCells(step, snapshot.pods) };
    });
    const description = it.get("description").text();
    return { suite: "cyclonus", name: `${it.get("n").value}: ${description}`, steps };
  });
}

function readPod(pod: Json): CasePod {
  return {
    namespace: pod.get("Namespace").text(),
    name: pod.get("Name").text(),
    labels: pod.get("Labels").labels(),
    address: pod.get("IP").text(),
    hostNetwork: false,
    ports: readPorts(pod),
  };
}

/** `serve-80-tcp 80 TCP` */
function readPorts(pod: Json): readonly CasePort[] {
  return pod.get("Ports").list().map((it): CasePort => {
    const [name = "", port, protocol] = it.text().split(" ");
    return {
      name,
      protocol: new Json(protocol, it.path).protocol(),
      port: new Json(Number(port), it.path).port(),
    };
  });
}

function act(state: CaseState, action: Json, ports: readonly CasePort[]): void {
  for (const [name, it] of action.entries()) {
    const text = (field: string): string => it.get(field).text();
    const key = (field: string): string => `${text("Namespace")}/${text(field)}`;
    switch (name) {
      case "CreatePolicy":
      case "UpdatePolicy":
        state.putPolicy(it.get("Policy"), name === "CreatePolicy");
        break;
      case "DeletePolicy":
        state.deletePolicy(key("Name"));
        break;
      case "CreateNamespace":
      case "SetNamespaceLabels":
        state.setNamespace(text("Namespace"), it.get("Labels").labels());
        break;
      case "DeleteNamespace":
        state.deleteNamespace(text("Namespace"));
        break;
      case "CreatePod":
        state.addPod({
          namespace: text("Namespace"),
          name: text("Pod"),
          labels: it.get("Labels").labels(),
          hostNetwork: false,
          // The suite's new pods serve what the others do; a file may say otherwise.
          ports: it.get("Ports").exists ? readPorts(it) : ports,
          ...(it.get("IP").exists ? { address: text("IP") } : {}),
        });
        break;
      case "SetPodLabels":
        state.setPodLabels(key("Pod"), it.get("Labels").labels());
        break;
      case "DeletePod":
        state.deletePod(key("Pod"));
        break;
      case "ReadNetworkPolicies":
        break; // it looks, and changes nothing
      default:
        throw new SyntaxError(`${action.path}: action "${name}" is not known`);
    }
  }
}

function readCells(step: Json, pods: ReadonlyMap<string, CasePod>): readonly Cell[] {
  const keys = step.get("pods").list().map((it) => it.text());
  return step.get("combined").entries().flatMap(([service, table]) => {
    const [protocol, port = ""] = service.split("/");
    const combined = readTable(table, keys.length);
    // What one side says may be left out.
    const [ingress, egress] = ["ingress", "egress"].map((side) => {
      const sideTable = step.get(side).exists ? step.get(side).get(service) : undefined;
      return sideTable?.exists ? readTable(sideTable, keys.length) : undefined;
    });
    return keys.flatMap((from, row) =>
      keys.map((to, column): Cell => {
        const [end, into, out] = [combined, ingress, egress].map((it) => it?.[row]?.[column]);
        const skip = [end, into, out].find((it) => typeof it === "string");
        const number = portNumber(port, pods.get(to));
        return {
          from,
          to,
          protocol: new Json(protocol, table.path).protocol(),
          port: number ?? 0,
          family: undefined,
          expected: expectation(end, into, out),
          ...(from === to ? { skip: SELF } : {}),
          ...(typeof skip === "string" ? { skip } : {}),
          ...(number === undefined ? { skip: `${to} has no port "${port}"` } : {}),
        };
      })
    );
  });
}

function expectation(
  combined: Mark | undefined,
  ingress: Mark | undefined,
  egress: Mark | undefined,
): Expectation {
  return {
    combined: combined === true,
    ...(ingress === undefined ? {} : { ingress: ingress === true }),
    ...(egress === undefined ? {} : { egress: egress === true }),
  };
}

function portNumber(port: string, pod: CasePod | undefined): number | undefined {
  return /^\d+$/.test(port) ? Number(port) : pod?.ports.find((it) => it.name === port)?.port;
}
