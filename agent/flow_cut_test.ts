import { assert, assertEquals } from "@std/assert";
import { createLogger } from "../lib/base/log.ts";
import type { Desired } from "../lib/model/desired.ts";
import type { TrackedFlow } from "../lib/netlink/conntrack/flow.ts";
import {
  IPS_CONFIRMED,
  IPS_FIXED_TIMEOUT,
  IPS_SEEN_REPLY,
} from "../lib/netlink/conntrack/message.ts";
import { NetlinkError } from "../lib/netlink/error.ts";
import type { RawMessage, Request } from "../lib/netlink/message.ts";
import { sampleGraph } from "../tests/support/sample_facts.ts";
import { requestBytes } from "../tests/support/golden_bytes.ts";
import { rawFlow, trackedFlow } from "../tests/support/tracked_flow.ts";
import { turns } from "../tests/support/until.ts";
import { FlowCut } from "./flow_cut.ts";

const [WEB, DB] = ["10.244.0.1", "10.244.0.3"];
const NOTHING: Desired = {
  endpoints: new Map(),
  programs: new Map(),
  policies: new Map(),
  sets: new Map(),
  hostAddresses: [],
  conflicts: new Map(),
};

/** A table of flows, in parts, and what was asked of it. */
class FakeConntrack {
  parts: readonly (readonly TrackedFlow[])[] = [];
  /** The number that the kernel says it has; the parts' own unless given. */
  flowCount: number | undefined;
  /** Error codes, in the order in which changes are asked for; `undefined`: it does as asked. */
  codes: (string | undefined)[] = [];
  /** The sizes of the requests for dumps: those with a filter are longer. */
  readonly dumps: number[] = [];
  readonly requests: string[] = [];
  failingDumps = 0;

  *dumpParts(request: Request): Generator<readonly RawMessage[], boolean, void> {
    this.dumps.push(requestBytes(request).length);
    if (this.failingDumps-- > 0) throw new NetlinkError("dump flows", 1, "EPERM");
    for (const part of this.parts) yield part.map(rawFlow);
    return true;
  }

  request(): readonly RawMessage[] {
    const count = this.flowCount ?? this.parts.flat().length;
    const payload = new Uint8Array([0, 0, 0, 0, 8, 0, 1, 0, 0, 0, count >> 8, count & 0xff]);
    return [{ type: 0x0105, flags: 0, sequence: 1, portId: 1, payload }];
  }

  pipeline(requests: readonly Request[]): readonly (readonly RawMessage[] | NetlinkError)[] {
    return requests.map((request) => {
      this.requests.push(`${request.name} ${request.subject}`);
      const code = this.codes.shift();
      return code === undefined ? [] : new NetlinkError(request.name, 1, code);
    });
  }
}

interface Setup {
  readonly conntrack: FakeConntrack;
  readonly cut: FlowCut;
  readonly log: Record<string, unknown>[];
  readonly sleeps: number[];
}

/** A FlowCut over the sample's policies (or none) and a table of these flows. */
function setUp(flows: readonly TrackedFlow[], enforced?: Desired): Setup {
  const graph = sampleGraph();
  const desired = enforced ?? graph.flush();
  const conntrack = new FakeConntrack();
  conntrack.parts = [flows];
  const log: Record<string, unknown>[] = [];
  const sleeps: number[] = [];
  const cut = new FlowCut({
    dumps: conntrack,
    requests: conntrack,
    index: graph.index,
    enforced: () => desired,
    hostAddresses: () => new Set(),
    intervalMs: 0,
    logger: createLogger({ write: (line) => log.push(JSON.parse(line)), nowMs: () => 0 }),
    clock: {
      nowMs: () => 0,
      sleep: (durationMs) => {
        sleeps.push(durationMs);
        return new Promise((resolve) => setTimeout(resolve, 0));
      },
    },
    random: () => 0,
  });
  return { conntrack, cut, log, sleeps };
}

function denied(rest: object = {}): TrackedFlow {
  return trackedFlow({ source: WEB, destination: DB, port: 22, ...rest });
}

function allowed(rest: object = {}): TrackedFlow {
  return trackedFlow({ source: WEB, destination: DB, port: 5432, ...rest });
}

const MARKED = { status: IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_FIXED_TIMEOUT };

Deno.test("FlowCut.pass() marks what is denied, forgets what is allowed again, and says so", async () => {
  const { conntrack, cut, log } = setUp([
    denied(),
    allowed(),
    allowed(MARKED),
    denied(MARKED),
    denied({ protocol: "UDP" }),
    denied({ protocol: "ICMP" }),
  ]);
  await cut.pass();
  assertEquals(conntrack.requests, [
    `IPCTNL_MSG_CT_NEW flow ${WEB}:40000>${DB}:22/6`,
    `IPCTNL_MSG_CT_DELETE flow ${WEB}:40000>${DB}:5432/6`,
    `IPCTNL_MSG_CT_NEW flow ${WEB}:40000>${DB}:22/17`,
    `IPCTNL_MSG_CT_DELETE flow ${WEB}>${DB}/1 type 8 code 0 id 7`,
  ]);
  const { durationMs, ...counts } = cut.counts;
  assert(durationMs > 0);
  assertEquals(counts, {
    passes: 1,
    failed: 0,
    cut: 3,
    released: 1,
    refused: 0,
    flows: 6,
    denied: 3,
  });
  assertEquals(log.map((it) => ({ ...it, durationMs: 0 })), [{
    time: "1970-01-01T00:00:00.000Z",
    level: "info",
    message: "flows cut",
    cut: 3,
    released: 1,
    flows: 6,
    durationMs: 0,
    examples: [
      `cut ${WEB}:40000>${DB}:22/6`,
      `release ${WEB}:40000>${DB}:5432/6`,
      `cut ${WEB}:40000>${DB}:22/17`,
      `cut ${WEB}>${DB}/1 type 8 code 0 id 7`,
    ],
  }]);
});

Deno.test("FlowCut.pass() says nothing when nothing is denied", async () => {
  const { conntrack, cut, log } = setUp([allowed(), denied(MARKED)]);
  await cut.pass();
  assertEquals([conntrack.requests, log], [[], []]);
});

Deno.test("FlowCut.pass() deletes a flow that the kernel will not mark", async () => {
  const { conntrack, cut } = setUp([denied()]);
  conntrack.codes = ["EBUSY"];
  await cut.pass();
  assertEquals(conntrack.requests.map((it) => it.split(" ")[0]), [
    "IPCTNL_MSG_CT_NEW",
    "IPCTNL_MSG_CT_DELETE",
  ]);
  assertEquals(cut.counts.cut, 1);
});

Deno.test("FlowCut.pass() warns of a flow that can neither be marked nor deleted", async () => {
  const { conntrack, cut, log } = setUp([denied(), denied({ protocol: "UDP" })]);
  conntrack.codes = ["EBUSY", undefined, "EBUSY"];
  await cut.pass();
  assertEquals([cut.counts.cut, cut.counts.refused], [1, 1]);
  assertEquals(log.map((it) => it.message), [
    "flows cut",
    "some flows not cut",
  ]);
});

Deno.test("FlowCut.pass() takes a flow that has gone for what it is", async () => {
  const { conntrack, cut, log } = setUp([denied(), allowed(MARKED)]);
  conntrack.codes = ["ENOENT", "ENOENT"];
  await cut.pass();
  assertEquals([cut.counts.cut, cut.counts.released, log], [0, 0, []]);
  assertEquals(conntrack.requests.length, 2);
});

Deno.test("FlowCut.pass() reads nothing when no pod is governed and nothing is cut", async () => {
  const { conntrack, cut } = setUp([allowed(MARKED)], NOTHING);
  await cut.pass(); // the first looks for what a former agent cut
  assertEquals([conntrack.dumps.length, cut.counts.released], [1, 1]);
  await cut.pass();
  assertEquals(conntrack.dumps.length, 1);
});

Deno.test("FlowCut.pass() does not walk an empty table", async () => {
  const { conntrack, cut } = setUp([]);
  await cut.pass();
  assertEquals([conntrack.dumps, cut.counts.passes], [[], 1]);
});

Deno.test("FlowCut.pass() lets the kernel filter a large table, if it does", async () => {
  const { conntrack, cut } = setUp([denied()]);
  conntrack.flowCount = 0xffff;
  await cut.pass();
  // Two directions of three pods, all of IPv6, and what is marked.
  assertEquals(conntrack.dumps.length, 8);
  assertEquals(cut.counts.cut, 1);
  conntrack.dumps.splice(0);
  await cut.pass(); // the answer had more in it than was asked for
  assertEquals(conntrack.dumps, [20]);
});

Deno.test("FlowCut.pass() gives way to others while it reads", async () => {
  const { conntrack, cut, sleeps } = setUp([]);
  const part = Array.from({ length: 200 }, (_, index) => allowed({ port: 1000 + index }));
  conntrack.parts = Array.from({ length: 30 }, () => part);
  await cut.pass();
  assert(sleeps.length > 2, `only ${sleeps.length} in ${cut.counts.durationMs} ms`);
});

Deno.test("FlowCut.start() makes one pass of many kicks, and rests until the next", async () => {
  const { conntrack, cut, sleeps } = setUp([allowed()]);
  const stop = new AbortController();
  for (let i = 0; i < 10; i++) cut.kick();
  const running = cut.start(stop.signal);
  await rest();
  assertEquals(conntrack.dumps.length, 1);
  cut.kick();
  cut.kick();
  await rest();
  assertEquals(conntrack.dumps.length, 2);
  assert(sleeps.filter((it) => it > 0).every((it) => it >= 200 && it <= 800), `${sleeps}`);
  stop.abort();
  await running;
  cut.kick();
  await rest();
  assertEquals(conntrack.dumps.length, 2);
});

Deno.test("FlowCut.start() tries again, later each time, while the kernel refuses", async () => {
  const { conntrack, cut, log, sleeps } = setUp([denied()]);
  conntrack.failingDumps = 2;
  const stop = new AbortController();
  const running = cut.start(stop.signal);
  await rest();
  stop.abort();
  await running;
  assertEquals([cut.counts.failed, cut.counts.cut], [2, 1]);
  assertEquals(log.map((it) => it.message), [
    "flows not cut; trying again",
    "flows not cut; trying again",
    "flows cut",
  ]);
  assertEquals(sleeps.filter((it) => it === 400).length, 2);
});

/** Long enough for what a cut does by itself, whose waits are as short as they can be. */
function rest(): Promise<void> {
  return turns(15, 4);
}
