/**
 * What the agent makes of a fault of its own: a promise that is rejected, and that nothing waits for, ends a
 * process unless it is told otherwise. No input is known that does that to the executable, so the agent is
 * started from source, by a program that adds such a promise.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { isAgentReady } from "../../support/node/agent_client.ts";
import { NODE_NAME, TestNode } from "../../support/node/node.ts";
import { RunningAgent } from "../../support/program/executable.ts";

const PROGRAM = `${import.meta.dirname}/../../support/program/faulty_agent.ts`;

Deno.test("a promise that is rejected, and that nothing waits for, does not end the agent", async () => {
  requireIsolation();
  await using node = await TestNode.start({ agent: false });
  const { HOME = "", DENO_DIR } = Deno.env.toObject();
  await using agent = new RunningAgent({
    env: {
      HOME,
      ...(DENO_DIR === undefined ? {} : { DENO_DIR }),
      K8S_API_ENDPOINT: node.api.url,
      CALYX_NODE_NAME: NODE_NAME,
      CALYX_HEALTH_PORT: "0",
    },
  }, PROGRAM);
  await agent.until("the fault is logged", () => agent.log.includes("unexpected error"));
  assertMatch(agent.log, /"level":"error".*a promise without owner.*faulty_agent\.ts/);
  await agent.until("policy is in force", () => isAgentReady());
  agent.kill("SIGTERM");
  assertEquals((await agent.status).code, 0);
});
