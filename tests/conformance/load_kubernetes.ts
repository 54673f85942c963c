/** The format of Kubernetes' own end-to-end tests, `test/e2e/network/netpol`. */

import { PROTOCOL_NUMBERS } from "../../lib/model/workload.ts";
import type { CasePort, CaseStep, Cell, ConformanceCase } from "./case.ts";
import { CaseState } from "./case_state.ts";
import { type Json, locate } from "./json.ts";
import { readTable } from "./truth_table.ts";

/** What the suite's pods serve when nothing else is asked of them. */
const PORTS = [80, 81];

/** Reads the cases. @throws {SyntaxError} naming what is not understood */
export function loadKubernetes(file: Json): readonly ConformanceCase[] {
  return file.get("cases").list().map((it) => {
    const suite = it.get("suite");
    const name = it.get("name").text();
    const state = new CaseState();
    const keys = it.get("pods").list().map((key) => key.text());
    const ports = servedPorts(it);
    for (const key of keys) {
      const [namespace = "", pod = ""] = key.split("/");
      state.setNamespace(namespace, {});
      state.addPod({ namespace, name: pod, labels: { pod }, hostNetwork: false, ports });
    }
    const steps = it.get("steps").list().map((step): CaseStep => {
      for (const it of step.get("actions").list()) locate(it, () => act(state, it));
      const cells = step.get("checks").list().flatMap((check) => readCheck(check, keys));
      return { snapshot: state.snapshot(), cells };
    });
    return { suite: suite.exists ? suite.text() : "Netpol", name, steps };
  });
}

function servedPorts(it: Json): readonly CasePort[] {
  const checks = it.get("steps").list().flatMap((step) => step.get("checks").list());
  const numbers = new Set([...PORTS, ...checks.map((check) => check.get("port").port())]);
  const protocols = ["TCP", "UDP", "SCTP"] as const satisfies (keyof typeof PROTOCOL_NUMBERS)[];
  return [...numbers].flatMap((port) =>
    protocols.map((protocol) => ({
      name: `serve-${port}-${protocol.toLowerCase()}`,
      protocol,
      port,
    }))
  );
}

function act(state: CaseState, action: Json): void {
  for (const [name, it] of action.entries()) {
    const [first, second, third] = Array.isArray(it.value) ? it.list() : [];
    switch (name) {
      case "create":
      case "update":
        state.putPolicy(it, name === "create");
        break;
      case "delete":
        state.deletePolicy(it.text());
        break;
      case "deleteAllPolicies":
        state.deletePolicies();
        break;
      case "setNamespaceLabel":
        state.addNamespaceLabels(required(first, it).text(), {
          [required(second, it).text()]: required(third, it).text(),
        });
        break;
      case "addPodLabels":
        state.addPodLabels(required(first, it).text(), required(second, it).labels());
        break;
      default:
        throw new SyntaxError(`${action.path}: action "${name}" is not known`);
    }
  }
}

function required(item: Json | undefined, list: Json): Json {
  if (item === undefined) throw new SyntaxError(`${list.path}: more is expected`);
  return item;
}

function readCheck(check: Json, keys: readonly string[]): readonly Cell[] {
  const table = readTable(check.get("expect"), keys.length);
  const protocol = check.get("protocol").protocol();
  const port = check.get("port").port();
  return keys.flatMap((from, row) =>
    keys.flatMap((to, column): Cell[] => {
      const mark = table[row]?.[column] ?? "";
      if (from === to) return []; // the suite ignores them
      return [{
        from,
        to,
        protocol,
        port,
        family: undefined,
        expected: { combined: mark === true },
        ...(typeof mark === "string" ? { skip: mark } : {}),
      }];
    })
  );
}
