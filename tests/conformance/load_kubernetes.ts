/** The format of Kubernetes' own end-to-end tests, `test/e2e/network/netpol`. */

import type { Labels } from "../../lib/model/labels.ts";
import { PROTOCOL_NUMBERS } from "../../lib/model/workload.ts";
import { act } from "./action.ts";
import type { CasePort, CaseStep, Cell, ConformanceCase } from "./case.ts";
import { CaseState } from "./case_state.ts";
import { Json, locate, mapTexts } from "./json.ts";
import { readTable } from "./truth_table.ts";

/** What the suite's pods serve when nothing else is asked of them. */
const PORTS = [80, 81];

/** What the suite gives each pod and namespace, where the file's `podTemplate` does not say. */
const POD_LABELS = { pod: "<name>" };
const PORT_NAME = "serve-<port>-<proto lower>";

/** Reads the cases. @throws {SyntaxError} naming what is not understood */
export function loadKubernetes(file: Json): readonly ConformanceCase[] {
  const template = file.get("podTemplate").exists ? file.get("podTemplate") : new Json({}, "");
  return file.get("cases").list().map((it) => {
    const suite = it.get("suite");
    const name = it.get("name").text();
    const state = new CaseState();
    const keys = it.get("pods").list().map((key) => {
      const [namespace = "", name = "", ...rest] = key.text().split("/");
      if (namespace !== "" && name !== "" && rest.length === 0) return key.text();
      throw new SyntaxError(`${key.path}: namespace/name is expected, not "${key.text()}"`);
    });
    const ports = servedPorts(it, template);
    for (const key of keys) addPod(state, key, ports, template);
    const steps = it.get("steps").list().map((step): CaseStep => {
      for (const it of step.get("actions").list()) locate(it, () => act(state, it));
      const cells = step.get("checks").list().flatMap((check) => readCheck(check, keys));
      return { snapshot: state.snapshot(), cells };
    });
    return { suite: suite.exists ? suite.text() : "Netpol", name, steps };
  });
}

function addPod(state: CaseState, key: string, ports: readonly CasePort[], template: Json): void {
  const [namespace = "", name = ""] = key.split("/");
  const fill = (labels: Labels): Labels =>
    mapTexts(labels, (it) => it.replaceAll("<name>", name).replaceAll("<ns>", namespace)) as Labels;
  const labels = template.get("labels");
  state.setNamespace(namespace, fill(template.get("namespaceLabels").labels()));
  state.addPod({
    namespace,
    name,
    labels: fill(labels.exists ? labels.labels() : POD_LABELS),
    hostNetwork: false,
    ports,
  });
}

function servedPorts(it: Json, template: Json): readonly CasePort[] {
  const pattern = template.get("containerPortNames");
  const checks = it.get("steps").list().flatMap((step) => step.get("checks").list());
  const numbers = new Set([...PORTS, ...checks.map((check) => check.get("port").port())]);
  const protocols = ["TCP", "UDP", "SCTP"] as const satisfies (keyof typeof PROTOCOL_NUMBERS)[];
  return [...numbers].flatMap((port) =>
    protocols.map((protocol) => ({
      name: (pattern.exists ? pattern.text() : PORT_NAME)
        .replaceAll("<port>", String(port))
        .replaceAll("<proto lower>", protocol.toLowerCase()),
      protocol,
      port,
    }))
  );
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
