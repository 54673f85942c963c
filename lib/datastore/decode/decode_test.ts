import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { formatSelector } from "../../model/labels.ts";
import type { NetworkPolicy, PolicyRule } from "../../model/policy.ts";
import { decodeClusterNetworkPolicy } from "./cluster_network_policy.ts";
import { decodeNamespace } from "./namespace.ts";
import { decodeNetworkPolicy } from "./network_policy.ts";
import { decodeNode } from "./node.ts";
import { decodePod } from "./pod.ts";

/** A policy's meaning as short text. */
function print(policy: NetworkPolicy | undefined): unknown {
  if (policy === undefined) return undefined;
  const rules = (list: readonly PolicyRule[] | undefined): unknown =>
    list?.map((rule) => ({
      peers: rule.peers?.map((it) =>
        it.kind === "addresses"
          ? `${it.cidr} except ${it.except.join()}`
          : `${it.namespaceSelector && formatSelector(it.namespaceSelector)} ${
            formatSelector(it.podSelector)
          }`
      ),
      ports: rule.ports?.map(({ protocol, port }) =>
        `${protocol} ${typeof port === "object" ? `${port.first}-${port.last}` : port}`
      ),
    }));
  return {
    selector: formatSelector(policy.podSelector),
    ingress: rules(policy.ingress),
    egress: rules(policy.egress),
  };
}

function decode(spec: unknown): unknown {
  const metadata = { name: "p", namespace: "x", resourceVersion: "7" };
  const { value, problems } = decodeNetworkPolicy({ metadata, spec });
  return { ...print(value) as object, problems };
}

Deno.test("decodeNetworkPolicy() applies the defaults of the API", () => {
  const cases: readonly (readonly [string, unknown, unknown])[] = [
    ["no spec", undefined, { selector: "<all>", ingress: [], egress: undefined, problems: [] }],
    ["deny all ingress", { podSelector: {} }, {
      selector: "<all>",
      ingress: [],
      egress: undefined,
      problems: [],
    }],
    ["egress rules govern egress too", { podSelector: {}, egress: [{}] }, {
      selector: "<all>",
      ingress: [],
      egress: [{ peers: undefined, ports: undefined }],
      problems: [],
    }],
    ["empty egress without types", { egress: [] }, {
      selector: "<all>",
      ingress: [],
      egress: undefined,
      problems: [],
    }],
    ["types win", { policyTypes: ["Egress"], ingress: [{}] }, {
      selector: "<all>",
      ingress: undefined,
      egress: [],
      problems: [],
    }],
    ["empty lists are every one", { ingress: [{ from: [], ports: [] }] }, {
      selector: "<all>",
      ingress: [{ peers: undefined, ports: undefined }],
      egress: undefined,
      problems: [],
    }],
    ["peers and ports", {
      podSelector: { matchLabels: { app: "web" } },
      policyTypes: ["Ingress"],
      ingress: [{
        from: [
          { podSelector: {} },
          { namespaceSelector: {} },
          {
            podSelector: { matchLabels: { a: "1" } },
            namespaceSelector: { matchExpressions: [{ key: "n", operator: "Exists" }] },
          },
          { ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] } },
        ],
        ports: [{ port: 80 }, { protocol: "UDP" }, { port: "http", protocol: "SCTP" }, {
          port: 10,
          endPort: 20,
        }],
      }],
    }, {
      selector: "app=web",
      ingress: [{
        peers: [
          "undefined <all>",
          "<all> <all>",
          "n a=1",
          "10.0.0.0/8 except 10.1.0.0/16",
        ],
        ports: ["TCP 80-80", "UDP undefined", "SCTP http", "TCP 10-20"],
      }],
      egress: undefined,
      problems: [],
    }],
  ];
  for (const [name, spec, expected] of cases) assertEquals(decode(spec), expected, name);
});

Deno.test("decodeNetworkPolicy() fails closed on what it does not understand, and names all of it", () => {
  const cases: readonly (readonly [string, unknown, unknown])[] = [
    ["a spec of another type", "junk", {
      selector: "<all>",
      ingress: [],
      egress: [],
      problems: ['spec cannot be "junk": an object is expected'],
    }],
    ["a bad selector selects all and allows nothing, or it would open others' pods", {
      podSelector: { matchLabels: { a: 1 } },
      ingress: [{}],
      egress: [{}],
    }, {
      selector: "<all>",
      ingress: [],
      egress: [],
      problems: ["spec.podSelector.matchLabels.a cannot be 1: a string is expected"],
    }],
    ["bad peers fall away, none left allows none", {
      ingress: [{
        from: [{}, { ipBlock: { cidr: "300.0.0.0/8" } }, { fqdn: "x" }, {
          ipBlock: { cidr: "10.0.0.0/8" },
          podSelector: {},
        }],
      }],
    }, {
      selector: "<all>",
      ingress: [{ peers: [], ports: undefined }],
      egress: undefined,
      problems: [
        "spec.ingress[0].from[0] cannot be {}: either ipBlock or selectors are expected",
        'spec.ingress[0].from[1].ipBlock.cidr cannot be "300.0.0.0/8": a CIDR is expected',
        'spec.ingress[0].from[2] cannot be {"fqdn":"x"}: either ipBlock or selectors are expected',
        'spec.ingress[0].from[3] cannot be {"ipBlock":{"cidr":"10.0.0.0/8"},"podSelector":{}}: ' +
        "either ipBlock or selectors are expected",
      ],
    }],
    ["bad ports fall away", {
      ingress: [{
        ports: [{ port: 0 }, { port: 80, endPort: 79 }, { protocol: "ICMP" }, { port: 81 }],
      }],
    }, {
      selector: "<all>",
      ingress: [{ peers: undefined, ports: ["TCP 81-81"] }],
      egress: undefined,
      problems: [
        "spec.ingress[0].ports[0].port cannot be 0: 1 to 65535 is expected",
        "spec.ingress[0].ports[1].endPort cannot be 79: 80 to 65535 is expected",
        'spec.ingress[0].ports[2].protocol cannot be "ICMP": TCP, UDP or SCTP is expected',
      ],
    }],
    ["a rule with an unknown field allows nothing", { ingress: [{ schedule: "night" }, {}] }, {
      selector: "<all>",
      ingress: [{ peers: undefined, ports: undefined }],
      egress: undefined,
      problems: ['spec.ingress[0].schedule cannot be "night": this field is not known'],
    }],
    ["an unknown type governs both", { policyTypes: ["Ingress", "Egres"], ingress: [{}] }, {
      selector: "<all>",
      ingress: [{ peers: undefined, ports: undefined }],
      egress: [],
      problems: ['spec.policyTypes cannot be "Egres": Ingress or Egress is expected'],
    }],
    ["types that are no list govern both", { policyTypes: "Egress" }, {
      selector: "<all>",
      ingress: [],
      egress: [],
      problems: ['spec.policyTypes cannot be "Egress": a list is expected'],
    }],
    ["null is no rule, peer or port", {
      ingress: [null, { from: [null] }, { ports: [null, { port: 1 }] }],
    }, {
      selector: "<all>",
      ingress: [{ peers: [], ports: undefined }, { peers: undefined, ports: ["TCP 1-1"] }],
      egress: undefined,
      problems: [
        "spec.ingress[0] cannot be null: an object is expected",
        "spec.ingress[1].from[0] cannot be null: an object is expected",
        "spec.ingress[2].ports[0] cannot be null: an object is expected",
      ],
    }],
    ["exceptions are within their block", {
      ingress: [{
        from: [
          { ipBlock: { cidr: "10.1.2.3/8", except: ["10.2.3.4/16"] } },
          { ipBlock: { cidr: "10.0.0.0/8", except: ["11.0.0.0/16"] } },
          { ipBlock: { cidr: "10.0.0.0/8", except: ["0.0.0.0/0"] } },
          { ipBlock: { cidr: "10.0.0.0/8", until: "noon" } },
        ],
      }],
    }, {
      selector: "<all>",
      ingress: [{ peers: ["10.0.0.0/8 except 10.2.0.0/16"], ports: undefined }],
      egress: undefined,
      problems: [
        'spec.ingress[0].from[1].ipBlock.except[0] cannot be "11.0.0.0/16": ' +
        "a part of 10.0.0.0/8 is expected",
        'spec.ingress[0].from[2].ipBlock.except[0] cannot be "0.0.0.0/0": ' +
        "a part of 10.0.0.0/8 is expected",
        'spec.ingress[0].from[3].ipBlock.until cannot be "noon": this field is not known',
      ],
    }],
    ["names of ports have a letter", { ingress: [{ ports: [{ port: "80" }, { port: "a-1" }] }] }, {
      selector: "<all>",
      ingress: [{ peers: undefined, ports: ["TCP a-1"] }],
      egress: undefined,
      problems: [
        'spec.ingress[0].ports[0].port cannot be "80": a port\'s name is expected; ' +
        "a number stands without quotes",
      ],
    }],
    ["several mistakes in one rule", {
      ingress: [{
        schedule: "night",
        from: [{
          ipBlock: { cidr: "10.0.0.0/33" },
          podSelector: { matchExpressions: [{ key: "", operator: "Like", values: [1] }] },
        }],
        ports: [
          { port: "80", protocol: "tcp" },
          { port: 0, endPort: 70_000, protocol: "ICMP", name: "x" },
          { endPort: 9, protocol: "x" },
        ],
      }],
    }, {
      selector: "<all>",
      ingress: [],
      egress: undefined,
      problems: [
        'spec.ingress[0].schedule cannot be "night": this field is not known',
        'spec.ingress[0].from[0] cannot be {"ipBlock":{"cidr":"10.0.0.0/33"},"podSelector":' +
        '{"matchExpressions":[{"key":"",": either ipBlock or selectors are expected',
        'spec.ingress[0].from[0].podSelector.matchExpressions[0].key cannot be ""',
        'spec.ingress[0].from[0].podSelector.matchExpressions[0].operator cannot be "Like": ' +
        "one of In, NotIn, Exists, DoesNotExist is expected",
        "spec.ingress[0].from[0].podSelector.matchExpressions[0].values cannot be [1]",
        'spec.ingress[0].from[0].ipBlock.cidr cannot be "10.0.0.0/33": a CIDR is expected',
        'spec.ingress[0].ports[0].protocol cannot be "tcp": TCP, UDP or SCTP is expected',
        'spec.ingress[0].ports[0].port cannot be "80": a port\'s name is expected; ' +
        "a number stands without quotes",
        'spec.ingress[0].ports[1].name cannot be "x": this field is not known',
        'spec.ingress[0].ports[1].protocol cannot be "ICMP": TCP, UDP or SCTP is expected',
        "spec.ingress[0].ports[1].port cannot be 0: 1 to 65535 is expected",
        "spec.ingress[0].ports[1].endPort cannot be 70000: 1 to 65535 is expected",
        'spec.ingress[0].ports[2].protocol cannot be "x": TCP, UDP or SCTP is expected',
        "spec.ingress[0].ports[2].endPort cannot be 9: it needs a port",
      ],
    }],
    ["an unknown field of the spec, which may restrict the others", {
      podSelector: { matchLabels: { app: "web" } },
      schedule: "night",
      ingress: [{}],
      egress: [{ ports: [{ port: 53 }] }],
    }, {
      selector: "app=web",
      ingress: [],
      egress: [],
      problems: ['spec.schedule cannot be "night": this field is not known'],
    }],
    ["a requirement with a field that is not known", {
      ingress: [{
        from: [{
          podSelector: {
            matchExpressions: [{ key: "a", operator: "NotIn", values: ["b"], match: "glob" }],
          },
        }],
      }],
    }, {
      selector: "<all>",
      ingress: [{ peers: [], ports: undefined }],
      egress: undefined,
      problems: [
        "spec.ingress[0].from[0].podSelector.matchExpressions[0].match " +
        'cannot be "glob": this field is not known',
      ],
    }],
    ["IPv4 in the clothes of IPv6", {
      ingress: [{
        from: [
          { ipBlock: { cidr: "::ffff:10.0.0.0/104", except: ["10.1.0.0/16"] } },
          { ipBlock: { cidr: "::/0", except: ["::ffff:0:0/96"] } },
          { ipBlock: { cidr: "::/0", except: ["fd00::/8"] } },
        ],
      }],
    }, {
      selector: "<all>",
      ingress: [{
        peers: ["10.0.0.0/8 except 10.1.0.0/16", "::/0 except fd00::/8"],
        ports: undefined,
      }],
      egress: undefined,
      problems: [
        'spec.ingress[0].from[1].ipBlock.except[0] cannot be "::ffff:0:0/96": ' +
        "a part of ::/0 is expected",
      ],
    }],
    ["rules that are no list allow nothing", { ingress: "all" }, {
      selector: "<all>",
      ingress: [],
      egress: undefined,
      problems: ['spec.ingress cannot be "all": a list is expected'],
    }],
  ];
  for (const [name, spec, expected] of cases) assertEquals(decode(spec), expected, name);
});

Deno.test("decodePod() keeps what policy needs", () => {
  const { value, problems } = decodePod({
    metadata: {
      name: "web",
      namespace: "x",
      uid: "u",
      resourceVersion: "3",
      labels: { app: "web" },
    },
    spec: {
      nodeName: "n1",
      serviceAccountName: "default",
      containers: [{ ports: [{ name: "http", containerPort: 80 }, { containerPort: 81 }] }],
      initContainers: [
        { restartPolicy: "Always", ports: [{ name: "dns", containerPort: 53, protocol: "UDP" }] },
        { ports: [{ name: "once", containerPort: 1 }] },
      ],
    },
    status: {
      phase: "Running",
      podIP: "10.0.0.1",
      podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }],
    },
  });
  assertEquals(problems, []);
  assertEquals({ ...value, addresses: value?.addresses.map(String) }, {
    namespace: "x",
    name: "web",
    uid: "u",
    nodeName: "n1",
    labels: { app: "web" },
    serviceAccount: "default",
    addresses: ["10.0.0.1", "fd00::1"],
    hostNetwork: false,
    finished: false,
    ports: [{ name: "http", protocol: "TCP", port: 80 }, {
      name: "dns",
      protocol: "UDP",
      port: 53,
    }],
    resourceVersion: "3",
  });
});

Deno.test("decodePod() gives a static pod the uid that the kubelet gives to the runtime", () => {
  const uidOf = (annotations: object): string | undefined =>
    decodePod({ metadata: { name: "web", namespace: "x", uid: "u", annotations } }).value?.uid;
  const [hash, mirror] = ["kubernetes.io/config.hash", "kubernetes.io/config.mirror"];
  assertEquals(uidOf({ [hash]: "h", [mirror]: "h" }), "h");
  assertEquals(uidOf({ [mirror]: "h" }), "h");
  // Whatever else a pod of the API server says, the kubelet knows it by its uid.
  assertEquals(uidOf({ [hash]: "h" }), "u");
});

Deno.test("decodePod() survives every kind of junk", () => {
  const junk: readonly unknown[] = [undefined, null, 1, "x", [], {}, { metadata: 1 }, {
    metadata: { name: 1, namespace: [] },
  }];
  for (const object of junk) assertEquals(decodePod(object).value, undefined);
  const { value, problems } = decodePod({
    metadata: { name: "web", namespace: "x" },
    spec: { containers: [1, { ports: [{ name: "a", containerPort: "80" }] }] },
    status: { podIPs: [{ ip: "10.0.0.300" }, 7, { ip: "10.0.0.1" }], phase: 5 },
  });
  assertEquals([value?.addresses.map(String), value?.ports], [["10.0.0.1"], []]);
  assertEquals(problems.length, 6);
});

Deno.test("decodePod() takes a pod for absent if it cannot read what policies select it by", () => {
  const pods: readonly (readonly [string, object])[] = [
    ["labels", { metadata: { name: "web", namespace: "x", labels: { a: 1 } } }],
    ["nodeName", { metadata: { name: "web", namespace: "x" }, spec: { nodeName: 4 } }],
    ["hostNetwork", { metadata: { name: "web", namespace: "x" }, spec: { hostNetwork: "yes" } }],
  ];
  for (const [name, object] of pods) {
    const { value, problems } = decodePod(object);
    assertEquals([value, problems.length], [undefined, 1], name);
  }
});

Deno.test("every decoder takes any JSON, and reads nothing from a prototype", () => {
  const decoders = [
    decodePod,
    decodeNamespace,
    decodeNode,
    decodeNetworkPolicy,
    decodeClusterNetworkPolicy,
  ];
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (metadata, spec, status) => {
      for (const decode of decoders) {
        decode(metadata);
        decode({ metadata: { name: "a", namespace: "b", labels: metadata }, spec, status });
        decode({
          metadata: { name: "a", namespace: "b" },
          spec: { ingress: spec, egress: status },
        });
      }
    }),
  );
  const labels = JSON.parse('{"__proto__": "x", "constructor": "y"}');
  const { value } = decodePod({ metadata: { name: "a", namespace: "b", labels } });
  assertEquals(Object.entries(value?.labels ?? {}), [["__proto__", "x"], ["constructor", "y"]]);
});

Deno.test("decodePod() takes a pod that is being deleted for one that runs", () => {
  const metadata = { name: "a", namespace: "b", deletionTimestamp: "2024-01-01T00:00:00Z" };
  const finished = ["Running", "Pending", "Unknown", undefined, "Succeeded", "Failed"]
    .map((phase) => decodePod({ metadata, status: { phase } }).value?.finished);
  assertEquals(finished, [false, false, false, false, true, true]);
});

Deno.test("decodeNamespace() and decodeNode() keep what policy needs", () => {
  assertEquals(decodeNamespace({ metadata: { name: "x", labels: { a: "1" } } }).value, {
    name: "x",
    labels: { a: "1", "kubernetes.io/metadata.name": "x" },
    isIsolated: false,
    denyAction: undefined,
  });
  const node = decodeNode({
    metadata: { name: "n1" },
    spec: { podCIDR: "10.244.0.0/24" },
    status: {
      addresses: [
        { type: "Hostname", address: "n1" },
        { type: "InternalIP", address: "192.0.2.1" },
        { type: "Hostname", address: "192.0.2.2" },
      ],
    },
  });
  assertEquals(node.problems, []);
  assertEquals(node.value?.podCidrs.map(String), ["10.244.0.0/24"]);
  assertEquals(node.value?.addresses.map(String), ["192.0.2.1", "192.0.2.2"]);
});

Deno.test("decodePod() and decodeNode() take addresses as API servers do", () => {
  const pod = decodePod({
    metadata: { name: "web", namespace: "x" },
    status: {
      podIPs: [{ ip: "010.244.000.007" }, { ip: "::ffff:10.244.0.8" }, { ip: "0fd00::7" }],
    },
  });
  assertEquals([pod.value?.addresses.map(String), pod.problems], [
    ["10.244.0.7", "10.244.0.8", "fd00::7"],
    [],
  ]);
  const node = decodeNode({
    metadata: { name: "n1" },
    spec: { podCIDRs: ["010.244.0.0/024", "::ffff:10.245.0.0/120"] },
    status: { addresses: [{ type: "InternalIP", address: "::ffff:192.0.2.1" }] },
  });
  assertEquals([...node.value?.podCidrs ?? [], ...node.value?.addresses ?? []].map(String), [
    "10.244.0.0/24",
    "10.245.0.0/24",
    "192.0.2.1",
  ]);
});

Deno.test("decodeNode() takes the names that clouds give a machine beside the Node's", () => {
  const aliasesOf = (spec: unknown, addresses: unknown): readonly string[] | undefined => {
    const { value, problems } = decodeNode({
      metadata: { name: "a" },
      spec,
      status: { addresses },
    });
    assertEquals(problems, []);
    return value?.aliases;
  };
  assertEquals(
    aliasesOf({ providerID: "aws:///eu-1a/i-0abc" }, [
      { type: "InternalIP", address: "192.0.2.1" },
      { type: "Hostname", address: "A" },
      { type: "InternalDNS", address: "IP-192-0-2-1.ec2.internal" },
      { type: "ExternalDNS", address: 7 },
    ]),
    ["ip-192-0-2-1.ec2.internal", "i-0abc"],
  );
  assertEquals(aliasesOf({ providerID: "" }, [{ type: "Hostname", address: "a" }]), undefined);
});
