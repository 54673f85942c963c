import { assertEquals } from "@std/assert";
import { Address } from "../lib/ip/address.ts";
import type { Attachment } from "../lib/model/facts.ts";
import { AttachmentFacts } from "./attachment_facts.ts";

function attachment(containerId: string, uid: string | undefined): Attachment {
  return {
    containerId,
    ifname: "eth0",
    namespace: "x",
    pod: "web",
    uid,
    interfaceName: "cali1",
    addresses: [Address.parse("10.0.0.1")],
  };
}

/** What the graph is told of detachments. */
function setUp(uid: string | undefined): { facts: AttachmentFacts; told: string[] } {
  const told: string[] = [];
  const facts = new AttachmentFacts({
    update: (kind, key, value) => {
      if (kind === "detachment") told.push(`${key} ${JSON.stringify(value)}`);
    },
    uidOf: () => uid,
  });
  return { facts, told };
}

Deno.test("AttachmentFacts says which pod was taken away, until another comes", () => {
  const { facts, told } = setUp(undefined);
  facts.take("c1/eth0", attachment("c1", "u1"));
  facts.take("c1/eth0", undefined);
  facts.take("c1/eth0", undefined);
  facts.take("c2/eth0", attachment("c2", "u2"));
  assertEquals(told, ['x/web {"uid":"u1"}', "x/web undefined"]);
});

Deno.test("AttachmentFacts knows a pod without uid by its object", () => {
  const known = setUp("u1");
  known.facts.take("c1/eth0", attachment("c1", undefined));
  known.facts.take("c1/eth0", undefined);
  assertEquals(known.told, ['x/web {"uid":"u1"}']);
  const unknown = setUp(undefined);
  unknown.facts.take("c1/eth0", attachment("c1", undefined));
  unknown.facts.take("c1/eth0", undefined);
  assertEquals(unknown.told, []);
});

Deno.test("AttachmentFacts forgets a pod that was taken away when its object changes or goes", () => {
  const { facts, told } = setUp(undefined);
  for (const uid of ["u2", undefined]) {
    facts.take("c1/eth0", attachment("c1", "u1"));
    facts.take("c1/eth0", undefined);
    facts.takeUid("x/web", "u1");
    facts.takeUid("x/web", uid);
  }
  const each = ['x/web {"uid":"u1"}', "x/web undefined"];
  assertEquals(told, [...each, ...each]);
});

Deno.test("AttachmentFacts remembers a bounded number of pods that were taken away", () => {
  const { facts, told } = setUp(undefined);
  for (let i = 0; i < 4097; i++) {
    facts.take("c/eth0", { ...attachment("c", "u"), pod: `web-${i}` });
    facts.take("c/eth0", undefined);
  }
  assertEquals(told.slice(-2), ['x/web-4096 {"uid":"u"}', "x/web-0 undefined"]);
});

Deno.test("AttachmentFacts keeps for the next start which pods were taken away", () => {
  const kept: string[] = [];
  const facts = new AttachmentFacts({
    update: () => {},
    uidOf: (key) => key === "x/web" ? "u1" : undefined,
    keep: (key, uid) => kept.push(`${key} ${uid}`),
  });
  facts.restore(new Map([["x/gone", "u0"], ["x/web", "u1"]]));
  facts.take("c1/eth0", attachment("c1", "u1"));
  facts.take("c1/eth0", undefined);
  facts.forgetGone();
  assertEquals(kept, ["x/web undefined", "x/web u1", "x/gone undefined"]);
});
