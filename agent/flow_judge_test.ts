import { assert, assertEquals } from "@std/assert";
import { Address } from "../lib/ip/address.ts";
import { SAMPLE_NODE, sampleGraph } from "../tests/support/facts/sample_facts.ts";
import { type FlowWords, rawFlow, trackedFlow } from "../tests/support/packet/tracked_flow.ts";
import type { TrackedFlow } from "../lib/netlink/conntrack/flow.ts";
import {
  IPS_CONFIRMED,
  IPS_EXPECTED,
  IPS_FIXED_TIMEOUT,
} from "../lib/netlink/conntrack/message.ts";
import type { PolicyGraph } from "../lib/policy/graph.ts";
import { FlowJudge, type JudgeOptions } from "./flow_judge.ts";

/** Pods of the sample: web, web-2 and db are on this node, cart and probe are not. */
const [WEB, DB, CART, PROBE] = ["10.244.0.1", "10.244.0.3", "10.244.0.4", "10.244.0.5"];
const [WEB6, DB6] = ["fd00:10:244::1", "fd00:10:244::3"];
const HOST = "192.168.0.1";
const ELSEWHERE = "8.8.8.8";
const CUT = IPS_CONFIRMED | IPS_FIXED_TIMEOUT;

/** Of the ports of nodes, the cluster leaves pods this one alone. */
const NODE_PORT = 9100;
/** An address of the host that its Node object does not have. */
const BRIDGE = "172.17.0.1";

function judgeOfSample(): FlowJudge {
  const graph = sampleGraph();
  graph.update("node", SAMPLE_NODE, {
    name: SAMPLE_NODE,
    labels: {},
    podCidrs: [],
    addresses: [Address.parse(HOST)],
  });
  graph.update("clusterPolicy", "nodes", {
    name: "nodes",
    tier: "admin",
    priority: 1,
    namespaceSelector: [],
    podSelector: [],
    ingress: [],
    egress: [
      {
        name: "",
        action: "pass",
        peers: undefined,
        ports: [{ protocol: "TCP", port: { first: NODE_PORT, last: NODE_PORT } }],
      },
      { name: "", action: "deny", peers: [{ kind: "nodes", selector: [] }], ports: undefined },
    ],
    resourceVersion: "1",
  });
  return new FlowJudge({
    enforced: graph.flush(),
    index: graph.index,
    hostAddresses: new Set([HOST, BRIDGE]),
  });
}

/** What becomes of each flow, all in one pass. */
function judge(flows: readonly TrackedFlow[]): (string | undefined)[] {
  const one = judgeOfSample();
  for (const flow of flows) one.take(flow);
  one.finish();
  const judgements = one.drain();
  return flows.map((flow) => judgements.find((it) => it.flow === flow)?.action);
}

const CASES: Readonly<
  Record<string, readonly [FlowWords, "cut" | "keep" | "release" | undefined]>
> = {
  "allowed by both ends": [{ source: WEB, destination: DB, port: 5432 }, undefined],
  "denied by its destination": [{ source: WEB, destination: DB, port: 5433 }, "cut"],
  "denied by its source": [{ source: DB, destination: WEB, port: 80 }, "cut"],
  "allowed from another node": [{ source: CART, destination: DB, port: 5432 }, undefined],
  "denied from another node": [{ source: CART, destination: DB, port: 22 }, "cut"],
  "between two other nodes' pods": [{ source: CART, destination: PROBE, port: 22 }, undefined],
  "allowed from elsewhere": [{ source: ELSEWHERE, destination: WEB, port: 80 }, undefined],
  "denied from elsewhere": [{ source: ELSEWHERE, destination: WEB, port: 22 }, "cut"],
  "of no pod": [{ source: ELSEWHERE, destination: HOST, port: 22 }, undefined],
  "from this host, which no policy keeps out": [
    { source: HOST, destination: DB, port: 22 },
    undefined,
  ],
  "to this host, which the cluster denies": [{ source: WEB, destination: HOST, port: 22 }, "cut"],
  "to this host, which no NetworkPolicy denies": [
    { source: DB, destination: HOST, port: NODE_PORT },
    undefined,
  ],
  "to an address of this host that is not its node's": [
    { source: DB, destination: BRIDGE, port: 22 },
    undefined,
  ],
  "to itself by way of a service, which no NetworkPolicy denies": [
    { source: WEB, destination: WEB, port: 22, service: { address: "10.96.0.1", port: 1 } },
    undefined,
  ],
  "over IPv6, allowed": [{ source: WEB6, destination: DB6, port: 5432 }, undefined],
  "over IPv6, denied": [{ source: WEB6, destination: DB6, port: 5433 }, "cut"],
  "to a service whose pod and port are allowed": [
    { source: WEB, destination: DB, port: 5432, service: { address: "10.96.0.1", port: 1 } },
    undefined,
  ],
  "to a service whose pod's port is denied": [
    { source: WEB, destination: DB, port: 22, service: { address: "10.96.0.1", port: 5432 } },
    "cut",
  ],
  "masqueraded, allowed": [
    { source: WEB, destination: ELSEWHERE, protocol: "UDP", port: 53, masquerade: HOST },
    undefined,
  ],
  "masqueraded, denied": [
    { source: WEB, destination: ELSEWHERE, port: 443, masquerade: HOST },
    "cut",
  ],
  "of another protocol than the rule's": [
    { source: ELSEWHERE, destination: WEB, protocol: "UDP", port: 80 },
    "cut",
  ],
  "SCTP, allowed": [{ source: ELSEWHERE, destination: WEB, protocol: "SCTP", port: 9 }, undefined],
  "SCTP, denied": [{ source: CART, destination: DB, protocol: "SCTP", port: 5432 }, "cut"],
  "a ping that a rule without ports allows": [
    { source: "192.0.2.1", destination: WEB, protocol: "ICMP" },
    undefined,
  ],
  "a ping that no rule allows": [
    { source: "192.0.2.65", destination: WEB, protocol: "ICMP" },
    "cut",
  ],
  "cut before and still denied": [
    { source: WEB, destination: DB, port: 22, status: CUT },
    "keep",
  ],
  "cut before and allowed now": [
    { source: WEB, destination: DB, port: 5432, status: CUT },
    "release",
  ],
  "cut before, of pods that are gone": [
    { source: "10.244.0.99", destination: "10.244.0.98", status: CUT },
    "release",
  ],
};

for (const [what, [words, expected]] of Object.entries(CASES)) {
  Deno.test(`FlowJudge: a flow ${what}`, () => {
    assertEquals(judge([trackedFlow(words)]), [expected]);
  });
}

Deno.test("FlowJudge: what a flow announced shares its fate, in whichever order they come", () => {
  const allowed = trackedFlow({ source: WEB, destination: DB, port: 5432 });
  const denied = trackedFlow({ source: WEB, destination: DB, port: 22 });
  const announcedBy = (flow: TrackedFlow, status = 0): TrackedFlow =>
    trackedFlow({
      source: DB,
      destination: WEB,
      port: 12345,
      status: IPS_CONFIRMED | IPS_EXPECTED | status,
      master: flow.original,
    });
  const flows = [
    announcedBy(denied),
    announcedBy(allowed),
    denied,
    allowed,
    announcedBy(allowed, IPS_FIXED_TIMEOUT),
    announcedBy(denied, IPS_FIXED_TIMEOUT),
  ];
  const expected = ["cut", undefined, "cut", undefined, "release", "keep"];
  assertEquals(judge(flows), expected);
  assertEquals(judge(flows.toReversed()), expected.toReversed());
});

Deno.test("FlowJudge takes a flow that comes twice once", () => {
  const one = judgeOfSample();
  const flow = trackedFlow({ source: WEB, destination: DB, port: 22 });
  one.take(flow);
  assertEquals(one.drain(), [{ action: "cut", flow, mayReturn: false }]);
  one.take(flow);
  assertEquals(one.drain(), []);
  assertEquals(one.deniedCount, 1);
});

Deno.test("FlowJudge.sieve lets every flow pass that can be denied or released, and few others", () => {
  const { sieve } = judgeOfSample();
  const passes = (words: FlowWords): boolean => sieve.passes(rawFlow(trackedFlow(words)));
  for (const [what, [words, action]] of Object.entries(CASES)) {
    if (action !== undefined) assert(passes(words), what);
  }
  assertEquals(passes({ source: WEB, destination: ELSEWHERE }), true);
  assertEquals(passes({ source: DB6.replace("::3", "::9"), destination: `${WEB6}0` }), false);
  assertEquals(passes({ source: CART, destination: PROBE }), false);
  assertEquals(
    passes({ source: CART, destination: PROBE, status: IPS_CONFIRMED | IPS_EXPECTED }),
    true,
  );
});

/** The sample, where pods may send what no policy of theirs forbids. */
function openSample(): PolicyGraph {
  const graph = sampleGraph();
  graph.update("policy", "shop/default-deny", undefined);
  graph.update("policy", "shop/web", undefined);
  return graph;
}

Deno.test("FlowJudge says whether a denied flow may come back the other way round", () => {
  const options = (graph: PolicyGraph): JudgeOptions => ({
    enforced: graph.flush(),
    index: graph.index,
    hostAddresses: new Set(),
  });
  const flows = [
    trackedFlow({ source: CART, destination: DB, port: 22 }),
    trackedFlow({ source: CART, destination: DB, port: 22, status: CUT }),
  ];
  const closed = new FlowJudge(options(sampleGraph()));
  const open = new FlowJudge(options(openSample()));
  for (const flow of flows) {
    closed.take(flow);
    open.take(flow);
  }
  const expected = (mayReturn: boolean): unknown => [
    { action: "cut", flow: flows[0], mayReturn },
    { action: "keep", flow: flows[1], mayReturn },
  ];
  assertEquals(closed.drain(), expected(false));
  assertEquals(open.drain(), expected(true));
});

Deno.test("FlowJudge of a part leaves announced flows to the look at the whole", () => {
  const graph = sampleGraph();
  const part = new FlowJudge({
    enforced: graph.flush(),
    index: graph.index,
    hostAddresses: new Set(),
    isWhole: false,
  });
  const master = trackedFlow({ source: WEB, destination: DB, port: 5432 }).original;
  part.take(trackedFlow({ source: DB, destination: WEB, status: CUT | IPS_EXPECTED, master }));
  part.finish();
  assertEquals(part.drain(), []);
});

Deno.test("FlowJudge.renew() judges what comes then by the facts of then", () => {
  const judge = judgeOfSample();
  judge.take(trackedFlow({ source: CART, destination: WEB, port: 22 }));
  const graph = openSample();
  judge.renew({ enforced: graph.flush(), index: graph.index, hostAddresses: new Set() });
  judge.take(trackedFlow({ source: CART, destination: WEB, port: 22 }));
  assertEquals(judge.drain().map((it) => it.action), ["cut"]);
  assertEquals(judge.sieve.passes(rawFlow(trackedFlow({ source: WEB, destination: CART }))), false);
});
