import { assert, assertEquals } from "@std/assert";
import { createLogger } from "../lib/base/log.ts";
import { type Desired, NOTHING_DESIRED } from "../lib/model/desired.ts";
import type { TrackedFlow } from "../lib/netlink/conntrack/flow.ts";
import {
  IPS_CONFIRMED,
  IPS_FIXED_TIMEOUT,
  IPS_SEEN_REPLY,
} from "../lib/netlink/conntrack/message.ts";
import { NetlinkError } from "../lib/netlink/error.ts";
import type { PolicyGraph } from "../lib/policy/graph.ts";
import type { RawMessage, Request } from "../lib/netlink/message.ts";
import { sampleGraph } from "../tests/support/facts/sample_facts.ts";
import { requestBytes } from "../tests/support/golden/golden_bytes.ts";
import { rawFlow, trackedFlow } from "../tests/support/packet/tracked_flow.ts";
import { sleep, turns } from "../tests/support/until.ts";
import { FlowCut } from "./flow_cut.ts";

/** Pods of the sample: web and db are on this node, cart is not. */
const [WEB, DB, CART] = ["10.244.0.1", "10.244.0.3", "10.244.0.4"];

/** A table of flows, in parts, and what was asked of it. */
class FakeConntrack {
  parts: readonly (readonly TrackedFlow[])[] = [];
  /** The number that the kernel says it has; the parts' own unless given. */
  flowCount: number | undefined;
  /** How many it may have. */
  flowsMax = 0xffff;
  /** Called with each part. */
  onPart: () => void = () => {};
  /** Error codes, in the order in which changes are asked for; `undefined`: it does as asked. */
  codes: (string | undefined)[] = [];
  /** The sizes of the requests for dumps: those with a filter are longer. */
  readonly dumps: number[] = [];
  readonly requests: string[] = [];
  failingDumps = 0;
  /** Sockets of looks at changes that were closed. */
  closed = 0;

  *dumpParts(request: Request): Generator<readonly RawMessage[], boolean, void> {
    this.dumps.push(requestBytes(request).length);
    if (this.failingDumps-- > 0) throw new NetlinkError("dump flows", 1, "EPERM");
    for (const part of this.parts) {
      this.onPart();
      yield part.map(rawFlow);
    }
    return true;
  }

  request(): readonly RawMessage[] {
    const count = this.flowCount ?? this.parts.flat().length;
    const entries = (type: number, value: number): number[] => [
      ...[8, 0, type, 0, 0, 0, value >> 8, value & 0xff],
    ];
    const payload = new Uint8Array([
      0,
      0,
      0,
      0,
      ...entries(1, count),
      ...entries(2, this.flowsMax),
    ]);
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
  readonly graph: PolicyGraph;
  readonly conntrack: FakeConntrack;
  readonly cut: FlowCut;
  readonly log: Record<string, unknown>[];
  readonly sleeps: number[];
}

/**
 * A FlowCut over the sample's policies (or none) and a table of these flows. The database may call
 * everybody, so that what is cut of its flows could come back.
 */
function setUp(flows: readonly TrackedFlow[], enforced?: Desired): Setup {
  const graph = sampleGraph();
  graph.update("policy", "shop/default-deny", undefined);
  const conntrack = new FakeConntrack();
  conntrack.parts = [flows];
  const log: Record<string, unknown>[] = [];
  const sleeps: number[] = [];
  let nowMs = 0;
  const cut = new FlowCut({
    dumps: conntrack,
    openUrgentDumps: () => ({
      dumpParts: (request) => conntrack.dumpParts(request),
      [Symbol.dispose]: () => void (conntrack.closed++),
    }),
    requests: conntrack,
    index: graph.index,
    enforced: () => enforced ?? graph.flush(),
    hostAddresses: () => new Set(),
    intervalMs: 0,
    logger: createLogger({ write: (line) => log.push(JSON.parse(line)), nowMs: () => 0 }),
    clock: {
      nowMs: () => nowMs,
      sleep: (durationMs) => {
        sleeps.push(durationMs);
        nowMs += durationMs;
        return new Promise((resolve) => setTimeout(resolve, 0));
      },
    },
    random: () => 0,
  });
  return { graph, conntrack, cut, log, sleeps };
}

function denied(rest: object = {}): TrackedFlow {
  return trackedFlow({ source: CART, destination: DB, port: 22, ...rest });
}

/** One that neither end may begin. */
function deniedBothWays(rest: object = {}): TrackedFlow {
  return trackedFlow({ source: WEB, destination: DB, port: 22, ...rest });
}

function allowed(rest: object = {}): TrackedFlow {
  return trackedFlow({ source: CART, destination: DB, port: 5432, ...rest });
}

const DENY_ALL = {
  namespace: "shop",
  name: "deny",
  podSelector: [],
  ingress: [],
  egress: undefined,
  resourceVersion: "2",
};
let ids = 1_000_000;
const MARKED = { status: IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_FIXED_TIMEOUT };

Deno.test("FlowCut.pass() marks what is denied, forgets what is allowed again, and says so", async () => {
  const { conntrack, cut, log } = setUp([
    denied(),
    allowed(),
    allowed(MARKED),
    denied(MARKED),
    denied({ protocol: "UDP" }),
    denied({ protocol: "ICMP" }),
    deniedBothWays(),
  ]);
  await cut.pass();
  assertEquals(conntrack.requests, [
    `IPCTNL_MSG_CT_NEW flow ${CART}:40000>${DB}:22/6`,
    `IPCTNL_MSG_CT_DELETE flow ${CART}:40000>${DB}:5432/6`,
    `IPCTNL_MSG_CT_NEW flow ${CART}:40000>${DB}:22/17`,
    `IPCTNL_MSG_CT_DELETE flow ${CART}>${DB}/1 type 8 code 0 id 7`,
    `IPCTNL_MSG_CT_DELETE flow ${WEB}:40000>${DB}:22/6`,
  ]);
  const { durationMs, ...counts } = cut.counts;
  assert(durationMs > 0);
  assertEquals(counts, {
    passes: 1,
    failed: 0,
    cut: 4,
    released: 1,
    refused: 0,
    flows: 7,
    denied: 4,
  });
  assertEquals(log.map((it) => ({ ...it, durationMs: 0 })), [{
    time: "1970-01-01T00:00:00.000Z",
    level: "info",
    message: "flows cut",
    cut: 4,
    deleted: 2,
    released: 1,
    flows: 7,
    durationMs: 0,
    examples: [
      `cut ${CART}:40000>${DB}:22/6`,
      `release ${CART}:40000>${DB}:5432/6`,
      `cut ${CART}:40000>${DB}:22/17`,
      `cut ${CART}>${DB}/1 type 8 code 0 id 7`,
      `cut ${WEB}:40000>${DB}:22/6`,
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
  conntrack.codes = ["EBUSY", "EBUSY"];
  await cut.pass();
  assertEquals(conntrack.requests.map((it) => it.split(" ")[0]), [
    "IPCTNL_MSG_CT_NEW",
    "IPCTNL_MSG_CT_NEW", // with the bits that the kernel may have set meanwhile
    "IPCTNL_MSG_CT_DELETE",
  ]);
  assertEquals(cut.counts.cut, 1);
});

Deno.test("FlowCut.pass() warns of a flow that can neither be marked nor deleted", async () => {
  const { conntrack, cut, log } = setUp([denied(), denied({ protocol: "UDP" })]);
  conntrack.codes = ["EBUSY", undefined, "EBUSY", "EBUSY"];
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
  const { conntrack, cut } = setUp([allowed(MARKED)], NOTHING_DESIRED);
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

Deno.test("FlowCut.passConcerned() reads what a change concerns, and leaves the rest for later", async () => {
  const { graph, conntrack, cut } = setUp([denied()]);
  await cut.passConcerned(); // everything is new: a matter for the whole
  assertEquals(conntrack.dumps, []);
  await cut.passConcerned(); // nothing has changed
  assertEquals(conntrack.dumps, []);
  graph.update("policy", "shop/db", undefined);
  await cut.passConcerned();
  assertEquals([conntrack.dumps, cut.counts.cut], [[20], 0]); // nothing governs the database now
  await cut.passConcerned();
  assertEquals(conntrack.dumps, [20]);
});

Deno.test("FlowCut.passConcerned() lets the kernel filter a large table, if it does", async () => {
  const { graph, conntrack, cut } = setUp([deniedBothWays()]);
  conntrack.flowCount = 0xffff;
  await cut.passConcerned();
  graph.update("policy", "shop/web", undefined);
  await cut.passConcerned();
  // Two directions of two pods, and what there is of IPv6.
  assertEquals([conntrack.dumps.length, cut.counts.cut], [5, 1]);
  conntrack.dumps.splice(0);
  conntrack.parts = [[allowed({ source: "192.0.2.1", destination: "192.0.2.2" })]];
  graph.update("policy", "shop/db", undefined);
  await cut.passConcerned(); // one answer had more in it than was asked for: that was all of IPv4
  assertEquals(conntrack.dumps.length, 2);
  conntrack.dumps.splice(0);
  graph.update("namespace", "shop", undefined);
  await cut.passConcerned();
  assertEquals(conntrack.dumps.every((it) => it === 20), true);
});

Deno.test("FlowCut.passConcerned() leaves a pod with very many flows to the look at the whole", async () => {
  const { graph, conntrack, cut } = setUp([]);
  conntrack.flowCount = 0xffff;
  await cut.passConcerned();
  graph.update("policy", "shop/db", { ...DENY_ALL, name: "db" });
  const part = Array.from({ length: 500 }, () => deniedBothWays());
  conntrack.parts = Array.from({ length: 25 }, () => part.map((it) => ({ ...it, id: ids++ })));
  await cut.passConcerned();
  const first = cut.counts.cut;
  assert(first > 9_000 && first < 12_000, `${first}`);
  assertEquals(conntrack.closed, conntrack.dumps.length);
  graph.update("policy", "shop/db", { ...DENY_ALL, name: "db", resourceVersion: "3" });
  await cut.passConcerned(); // it is known to be one
  assertEquals(cut.counts.cut, first);
  await cut.pass();
  assertEquals(cut.counts.cut, first + 12_500);
});

Deno.test("FlowCut.pass() lets a change that comes meanwhile go first", async () => {
  const { graph, conntrack, cut } = setUp([]);
  await cut.passConcerned();
  conntrack.parts = Array.from({ length: 3 }, () => [allowed()]);
  let isFirst = true;
  conntrack.onPart = () => {
    if (!isFirst) return;
    isFirst = false;
    graph.update("policy", "shop/db", { ...DENY_ALL, name: "db", podSelector: [] });
    cut.kick();
  };
  await sleep(250); // two looks keep a distance
  await cut.pass();
  assertEquals(conntrack.dumps.length, 2);
  // One flow of the whole was judged before, three by the look at the change, the others after it.
  assertEquals(cut.counts.cut, 6);
});

Deno.test("FlowCut keeps marked flows within an eighth of the table", async () => {
  const { conntrack, cut } = setUp(Array.from({ length: 100 }, () => denied()));
  conntrack.flowsMax = 400;
  await cut.pass();
  const marked = conntrack.requests.filter((it) => it.startsWith("IPCTNL_MSG_CT_NEW")).length;
  assertEquals([marked, cut.counts.cut], [50, 100]);
});

Deno.test("FlowCut deletes marked flows that are too many by now", async () => {
  const { conntrack, cut } = setUp(Array.from({ length: 100 }, () => denied(MARKED)));
  conntrack.flowsMax = 400;
  await cut.pass(); // counts them
  conntrack.requests.splice(0);
  await cut.pass();
  assertEquals([conntrack.requests.length, cut.counts.released], [50, 0]);
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
  assertEquals([conntrack.dumps.length, cut.counts.passes], [1, 1]);
  cut.kick();
  cut.kick();
  await rest();
  assertEquals([conntrack.dumps.length, cut.counts.passes], [2, 2]);
  assert(sleeps.includes(200), `${sleeps}`);
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
