/**
 * What an `ipBlock` holds, in each spelling that API servers accept, in the decoder, the evaluator and
 * the sets for the kernel. What the servers make of it: `ValidateIPBlock`
 * (pkg/apis/networking/validation/validation.go) parses with `ParseCIDRSloppy` (k8s.io/utils/net, from
 * 1.22 on; Go's own parser of before 1.17 until 1.21), and `IPNet.Contains` of Go's package net says what
 * is in it.
 */

import { assertEquals } from "@std/assert";
import { Address } from "../../lib/ip/address.ts";
import { rangesContain } from "../../lib/ip/range.ts";
import { decodeNetworkPolicy } from "../../lib/datastore/decode/network_policy.ts";
import type { Workload } from "../../lib/model/workload.ts";
import { evaluateFlow } from "../../lib/policy/evaluate.ts";
import { PolicyGraph } from "../../lib/policy/graph.ts";

interface Row {
  readonly cidr: string;
  readonly except?: readonly string[];
  readonly inside: readonly string[];
  readonly outside: readonly string[];
}

const TEN = { inside: ["10.0.0.0", "10.255.255.255"], outside: ["8.0.0.1", "11.0.0.0", "::a00:0"] };

const ROWS: readonly Row[] = [
  { cidr: "10.0.0.0/8", ...TEN },
  { cidr: "10.9.8.7/8", ...TEN },
  { cidr: "010.0.0.0/8", ...TEN }, // decimal: octal 010 would be 8
  { cidr: "010.000.00.0/008", ...TEN },
  { cidr: "::ffff:10.0.0.0/104", ...TEN },
  { cidr: "::ffff:a00:0/104", ...TEN },
  { cidr: "0:0:0:0:000000:ffff:010.0.0.0/104", ...TEN },
  {
    cidr: "010.0.0.0/8",
    except: ["10.020.0.0/16", "::ffff:10.30.0.0/112"],
    inside: ["10.0.0.1", "10.19.255.255", "10.21.0.0", "10.16.0.1", "10.31.0.0"],
    outside: ["10.20.0.1", "10.30.255.255", "8.0.0.1"],
  },
  { cidr: "::ffff:0:0/96", inside: ["0.0.0.0", "255.255.255.255"], outside: ["::1", "fd00::1"] },
  { cidr: "::ffff:10.0.0.0/95", inside: ["::fffe:0:1"], outside: ["10.0.0.1", "0.0.0.1"] },
  { cidr: "::/0", inside: ["::1", "fd00::1"], outside: ["10.0.0.1"] },
  {
    cidr: "FD00:0000:00000:0::/016",
    except: ["fd00:00001::/32"],
    inside: ["fd00::1", "fd00:2::"],
    outside: ["fd00:1::7", "fd01::", "10.0.0.1"],
  },
];

const SERVER: Workload = {
  namespace: "shop",
  name: "web",
  uid: "u",
  nodeName: "n1",
  labels: {},
  serviceAccount: "default",
  addresses: [Address.parse("203.0.113.1"), Address.parse("2001:db8::1")],
  hostNetwork: false,
  finished: false,
  ports: [],
  resourceVersion: "1",
};

for (const { cidr, except = [], inside, outside } of ROWS) {
  const title = [cidr, ...except].join(" except ");
  Deno.test(`ipBlock ${title} holds in evaluator and kernel what API servers mean`, () => {
    const { value, problems } = decodeNetworkPolicy({
      metadata: { name: "p", namespace: "shop" },
      spec: { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr, except } }] }] },
    });
    assertEquals(problems, []);
    const graph = new PolicyGraph({ nodeName: "n1" });
    graph.update("namespace", "shop", {
      name: "shop",
      labels: {},
      isIsolated: false,
      denyAction: undefined,
    });
    graph.update("workload", "shop/web", SERVER);
    graph.update("policy", "shop/p", value);
    const sets = [...graph.flush().sets.values()].filter((it) => it.kind === "ranges");
    for (const [addresses, expected] of [[inside, true], [outside, false]] as const) {
      for (const text of addresses) {
        const address = Address.parse(text);
        const to = SERVER.addresses.find((it) => it.family === address.family);
        const { allowed } = evaluateFlow(graph.index, {
          source: { address, workload: undefined },
          destination: { address: to ?? address, workload: SERVER },
          protocol: "TCP",
          port: 80,
        });
        const isInKernel = sets.some((it) =>
          it.family === address.family && rangesContain(it.ranges, address.value)
        );
        assertEquals([allowed, isInKernel], [expected, expected], text);
      }
    }
  });
}

/** Accepted by a server by its text alone: /104 is more than /16. It leaves nothing. */
Deno.test("an exception that is larger than its ipBlock leaves nothing of it", () => {
  const { value, problems } = decodeNetworkPolicy({
    metadata: { name: "p", namespace: "shop" },
    spec: {
      podSelector: {},
      ingress: [{ from: [{ ipBlock: { cidr: "10.0.0.0/16", except: ["::ffff:10.0.0.0/104"] } }] }],
    },
  });
  assertEquals([value?.ingress, problems.length], [[{ peers: [], ports: undefined }], 1]);
});
