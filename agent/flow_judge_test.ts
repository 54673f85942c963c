import { assertEquals } from "@std/assert";
import { Address } from "../lib/ip/address.ts";
import { SAMPLE_NODE, sampleGraph } from "../tests/support/sample_facts.ts";
import { type FlowWords, trackedFlow } from "../tests/support/tracked_flow.ts";
import type { TrackedFlow } from "../lib/netlink/conntrack/flow.ts";
import {
  IPS_CONFIRMED,
  IPS_EXPECTED,
  IPS_FIXED_TIMEOUT,
} from "../lib/netlink/conntrack/message.ts";
import { FlowJudge } from "./flow_judge.ts";

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

const CASES: Readonly<Record<string, readonly [FlowWords, "cut" | "release" | undefined]>> = {
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
    undefined,
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
  const expected = ["cut", undefined, "cut", undefined, "release", undefined];
  assertEquals(judge(flows), expected);
  assertEquals(judge(flows.toReversed()), expected.toReversed());
});

Deno.test("FlowJudge takes a flow that comes twice once", () => {
  const one = judgeOfSample();
  const flow = trackedFlow({ source: WEB, destination: DB, port: 22 });
  one.take(flow);
  assertEquals(one.drain(), [{ action: "cut", flow }]);
  one.take(flow);
  assertEquals(one.drain(), []);
  assertEquals(one.deniedCount, 1);
});

Deno.test("FlowJudge.filters show every flow that can be denied", () => {
  const texts = judgeOfSample().filters.map((it) => JSON.stringify(it));
  const both = [WEB, "10.244.0.2", DB].flatMap((source) => [
    { family: 4, reply: { source } },
    { family: 4, original: { source } },
  ]);
  assertEquals(texts.sort(), [...both, { family: 6 }].map((it) => JSON.stringify(it)).sort());
});
