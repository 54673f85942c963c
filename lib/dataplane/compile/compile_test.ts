import { assertEquals } from "@std/assert";
import { Address } from "../../ip/address.ts";
import { interfaceNameOf } from "../../model/interface_name.ts";
import { PolicyGraph } from "../../policy/graph.ts";
import type { Ruleset } from "../ruleset.ts";
import { compile } from "./compile.ts";

const SELECTING = 5;

/** A pod that five policies select, each with a rule of its own, among `count` of them. */
function rulesetOf(count: number): Ruleset {
  const graph = new PolicyGraph({ nodeName: "node1" });
  graph.update("namespace", "x", {
    name: "x",
    labels: {},
    isIsolated: false,
    denyAction: undefined,
  });
  for (const [index, app] of ["server", "other"].entries()) {
    graph.update("workload", `x/${app}`, {
      namespace: "x",
      name: app,
      uid: app,
      nodeName: "node1",
      labels: { app },
      serviceAccount: "default",
      addresses: [Address.parse(`10.0.0.${index + 1}`), Address.parse(`fd00::${index + 1}`)],
      hostNetwork: false,
      finished: false,
      ports: [],
      resourceVersion: "1",
    });
  }
  for (let index = 0; index < count; index++) {
    const app = index < SELECTING ? "server" : "other";
    graph.update("policy", `x/policy${index}`, {
      namespace: "x",
      name: `policy${index}`,
      podSelector: [{ key: "app", operator: "In", values: [app] }],
      ingress: [{
        peers: [{
          kind: "pods",
          podSelector: [{ key: "client", operator: "In", values: [`${index}`] }],
          namespaceSelector: undefined,
        }],
        ports: [{ protocol: "TCP", port: { first: 80, last: 80 } }],
      }],
      egress: undefined,
      resourceVersion: "1",
    });
  }
  return compile(graph.flush());
}

/** How many rules there are on the way through `forward`, from the world to a pod. */
function rulesOnTheWay({ chains, sets }: Ruleset, pod: string): number {
  const rulesOf = (chain: string): number => {
    const rules = chains.get(chain)?.rules ?? [];
    return rules.reduce((count, { statements }) => {
      const last = statements.at(-1);
      const isJump = last?.kind === "verdict" && last.verdict.code === "jump";
      return count + 1 + (isJump ? rulesOf(last.verdict.chain) : 0);
    }, 0);
  };
  const elements = sets.get("ingress")?.elements;
  const verdict = elements?.kind === "names"
    ? elements.names.get(interfaceNameOf("x", pod))?.verdict
    : undefined;
  if (verdict?.code !== "jump") throw new Error(`No program governs ${pod}`);
  // Nothing meets what closes the first base chain, and the second's first rule finds the program.
  // The program's last rule is for what a pod sends itself.
  return rulesOf("forward-egress") - 1 + 1 + rulesOf(verdict.chain) - 1;
}

Deno.test("a packet meets the rules of the policies that select its pod, whatever there are", () => {
  const counts = [SELECTING, 50, 500].map((it) => rulesOnTheWay(rulesetOf(it), "server"));
  // forward-egress and passing 6, forward-ingress 1, the program's state 1, and of each policy a jump and a rule
  // per family. What none of them allows ends there in the rule of its family: 24 for IPv4, 25 for IPv6.
  assertEquals(counts, [25, 25, 25]);
});
