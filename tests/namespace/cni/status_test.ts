/** STATUS, asked of the compiled plugin: whether the next ADD would be served. */

import { assertMatch } from "@std/assert";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import type { CniOutcome, Fields } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import {
  assertError,
  assertNothingLeft,
  assertSilent,
  VERSIONS,
} from "../../support/plugin/specification.ts";
import { StubAgent } from "../../support/plugin/stub_agent.ts";

Deno.test("calyx STATUS says whether ADD would be served, and ADD never needs it", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using container = new TestContainer("c09");
  const fields = { ipam: network.hostLocal("10.244.0.0/30", "fd00:10:244::/64") };
  const status = (more: Fields = {}): Promise<CniOutcome> =>
    network.call("STATUS", container, { fields: { ...fields, ...more } });
  assertSilent(await status(), "free");
  await network.add(container, { fields });
  // The reference's host-local answers 0 here, and the next ADD fails.
  const full = await status();
  assertError(full, 50, "full");
  assertMatch(full.answer.msg ?? "", /10\.244\.0\.1-10\.244\.0\.2/);
  await network.call("DEL", container, { fields });
  assertSilent(await status(), "free again");
  assertError(await status({ agent_socket: "/run/none.sock" }), 50, "no agent");
  assertError(await status({ agent_socket: "none.sock" }), 7, "nonsense");
  assertError(await status({ ipam: { type: "none" } }), 50, "no delegate");
  await using agent = new StubAgent();
  const waiting = { agent_socket: agent.path };
  assertSilent(await status(waiting), "agent ready");
  agent.ready = "Nothing is in the kernel yet";
  const unready = await status(waiting);
  assertError(unready, 50, "agent not ready");
  assertMatch(unready.answer.msg ?? "", /calyx-agent is not ready: Nothing is in the kernel yet/);
  for (
    const more of [{ policy_setup_timeout_action: "closed" }, { policy_setup_timeout_seconds: 0 }]
  ) {
    assertSilent(await status({ ...waiting, ...more }), "pods start closed then");
  }
  for (const cniVersion of VERSIONS.slice(0, -1)) {
    assertError(await status({ cniVersion }), 1, cniVersion);
  }
  assertNothingLeft(network);
});
