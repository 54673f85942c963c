import { assertEquals } from "@std/assert";
import { createLogger } from "../lib/base/log.ts";
import { version } from "../lib/base/version.ts";
import { NOTHING_DESIRED } from "../lib/model/desired.ts";
import { type AgentParts, AgentState } from "./agent_state.ts";
import { newKindStates } from "./facts.ts";
import { HealthServer } from "./health.ts";
import { newEnforcementState } from "./loop.ts";
import { formatStatus } from "./status_report.ts";

/** Parts of an agent that has heard nothing yet; its writers may change `kinds` and `enforced`. */
function newParts(): Omit<AgentParts, "facts" | "loop"> {
  return {
    flowCut: {
      ...{ passes: 0, failed: 0, cut: 0, released: 0, refused: 0 },
      ...{ flows: 0, denied: 0, durationMs: 0 },
    },
    ownNode: { name: "node-1", missing: undefined, details: ["the Node"] },
    enforcement: { details: ["the stand-in"] },
    ipvs: { isPresent: false, judgesOutput: false, details: ["IPVS"] },
    bypass: { counts: {} as AgentParts["bypass"]["counts"], details: ["a bypass"] },
    forwarding: { details: ["forwarding"] },
    dataplane: { isOwned: true },
    graph: { addressDoubts: () => ({ ofNodes: new Map(), outside: new Map() }) },
    largePolicies: { waiting: [] },
    server: "https://10.96.0.1:443",
    unreadyAfterMs: 0,
    nowMs: () => 0,
  };
}

async function readyz(state: AgentState): Promise<string> {
  const logger = createLogger({ level: "error" });
  await using server = new HealthServer({ host: "127.0.0.1", port: 0, state, logger });
  const { port } = server.addr as Deno.NetAddr;
  return await (await fetch(`http://127.0.0.1:${port}/readyz`)).text();
}

Deno.test("AgentState says the same on the health port, the socket and to the service manager", async () => {
  const [kinds, enforced] = [newKindStates(), newEnforcementState()];
  const state = new AgentState({ ...newParts(), facts: { states: kinds }, loop: enforced });
  const details = ["IPVS", "a bypass", "the stand-in", "the Node", "forwarding"];
  const reason = "Not every workload is known yet: listing";
  assertEquals(state.unreadyReason, reason);
  assertEquals(state.status.unreadyReason, reason);
  assertEquals(await readyz(state), [reason, ...details, ""].join("\n"));
  assertEquals(formatStatus(state), `${reason}. IPVS (and 4 more, see /readyz)`);

  for (const kind of Object.values(kinds)) Object.assign(kind, { isInSync: true, objects: 2 });
  assertEquals(state.unreadyReason, "Nothing is in the kernel yet: see the agent's log");
  enforced.counts.applied = 1;
  enforced.enforced = NOTHING_DESIRED;
  assertEquals(await readyz(state), ["ok", ...details, ""].join("\n"));
  assertEquals(
    formatStatus(state),
    "Policy is in force: 0 pods, 0 directions of policies. IPVS (and 4 more, see /readyz)",
  );
  assertEquals(state.status, {
    ...{ version, node: "node-1", server: "https://10.96.0.1:443", unreadyReason: undefined },
    objects: { workload: 2, namespace: 2, policy: 2, clusterPolicy: 2, node: 2 },
    applied: { applied: 1, failed: 0, durationMs: 0, appliedAtMs: 0 },
    isTableOwned: true,
  });
});
