/**
 * The compiled agent on a kernel that lacks a module: only a machine of its own can be made to
 * (guest.ts keeps the kernel from loading what the group does without).
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { isAgentReady } from "../support/node/agent_client.ts";
import { runExecutable } from "../support/program/executable.ts";
import { requireIsolation } from "../support/isolation/isolation.ts";
import { NODE_NAME, TestNode } from "../support/node/node.ts";
import { skippableTest } from "../support/program/program.ts";
import { LACKS } from "./job.ts";

const reason = Deno.env.has(LACKS)
  ? undefined
  : "a module is missing only in a machine of its own (deno task test:kernels)";

/** Loads a module in spite of what the group does without. */
async function load(module: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("modprobe", {
    args: ["--ignore-install", module],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

skippableTest(
  "calyx-agent says which modules this kernel lacks, and goes on when they come",
  reason,
  async () => {
    requireIsolation();
    await using node = await TestNode.start({ agent: false });
    const env = { K8S_API_ENDPOINT: node.api.url, CALYX_NODE_NAME: NODE_NAME };
    const without = await runExecutable("calyx-agent", { env });
    assertEquals(without.code, 1, without.stderr);
    assertStringIncludes(
      without.stderr,
      "This kernel has no nf_tables, so nothing is enforced: modprobe nf_tables",
    );
    const cleanup = await runExecutable("calyx-agent", { args: ["cleanup"] });
    assertEquals(cleanup.code, 1);
    assertStringIncludes(cleanup.stderr, "calyx-agent: This kernel has no nf_tables");

    await load("nf_tables");
    const agent = await node.startAgent({}, { waits: false });
    await agent.until(
      "the missing module is named",
      () => Promise.resolve(agent.log.includes("This kernel has no nft_ct: modprobe nft_ct")),
    );
    await load("nft_ct");
    await agent.until("policy in force", () => isAgentReady());
    assertStringIncludes(
      agent.log,
      "This kernel has no nf_conntrack_netlink, so flows that a change",
    );
  },
);
