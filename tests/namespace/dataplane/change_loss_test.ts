/** A permitted packet survives every change of policy: counted on real packets. */

import { assert, assertEquals } from "@std/assert";
import { measureChangeLoss } from "../../support/packet/change_loss.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { TestNode } from "../../support/node/node.ts";

/** `deno task bench loss` makes many more. */
const CHANGES = 300;

Deno.test("no permitted packet is lost because policies change", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, client] = [await node.addPod("server"), await node.addPod("client")];
  const loss = await measureChangeLoss(node, { server, client }, {
    changes: CHANGES,
    packetsPerSecond: 1_000,
  });
  assert(loss.commits > 0, JSON.stringify(loss));
  assertEquals(loss.lost, 0, JSON.stringify(loss));
});
