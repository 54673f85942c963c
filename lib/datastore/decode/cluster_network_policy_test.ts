import { assertEquals } from "@std/assert";
import { formatSelector } from "../../model/labels.ts";
import type { ClusterPolicyRule } from "../../model/policy.ts";
import { decodeClusterNetworkPolicy } from "./cluster_network_policy.ts";

/** A rule as short text. */
function print({ name, action, peers, ports }: ClusterPolicyRule): string {
  const who = peers?.map((it) => {
    switch (it.kind) {
      case "addresses":
        return `${it.cidr}`;
      case "nodes":
        return `nodes ${formatSelector(it.selector)}`;
      case "pods":
        return `${it.namespaceSelector && formatSelector(it.namespaceSelector)}/${
          formatSelector(it.podSelector)
        }`;
    }
  }).join(",") ?? "every";
  const what =
    ports?.map(({ protocol, port }) =>
      `${protocol} ${typeof port === "object" ? `${port.first}-${port.last}` : port}`
    ).join(",") ?? "every";
  return `${name} ${action} ${who} on ${what}`.trim();
}

function decode(spec: unknown): unknown {
  const { value, problems } = decodeClusterNetworkPolicy({ metadata: { name: "p" }, spec });
  return {
    tier: value?.tier,
    priority: value?.priority,
    subject: value &&
      `${formatSelector(value.namespaceSelector)}/${formatSelector(value.podSelector)}`,
    ingress: value?.ingress.map(print),
    egress: value?.egress.map(print),
    problems: problems.length,
  };
}

const EVERY = { namespaces: {} };

Deno.test("decodeClusterNetworkPolicy() reads every field of the API", () => {
  assertEquals(
    decode({
      tier: "Baseline",
      priority: 7,
      subject: {
        pods: {
          namespaceSelector: { matchLabels: { team: "a" } },
          podSelector: { matchLabels: { app: "web" } },
        },
      },
      ingress: [{
        name: "first",
        action: "Accept",
        from: [{ namespaces: { matchLabels: { team: "b" } } }, { pods: { podSelector: {} } }],
        protocols: [
          { tcp: { destinationPort: { number: 80 } } },
          { udp: { destinationPort: { range: { start: 10, end: 20 } } } },
          { sctp: {} },
        ],
      }],
      egress: [
        { action: "Deny", to: [{ networks: ["10.1.2.3/8", "fd00::/8"] }] },
        { action: "Pass", to: [{ nodes: { matchLabels: { role: "edge" } } }, EVERY] },
        { action: "Accept", to: [EVERY], protocols: [{ destinationNamedPort: "http" }] },
      ],
    }),
    {
      tier: "baseline",
      priority: 7,
      subject: "team=a/app=web",
      ingress: [
        "first accept team=b/<all>,<all>/<all> on TCP 80-80,UDP 10-20,SCTP undefined",
      ],
      egress: [
        "deny 10.0.0.0/8,fd00::/8 on every",
        "pass nodes role=edge,<all>/<all> on every",
        "accept <all>/<all> on TCP http,UDP http,SCTP http",
      ],
      problems: 0,
    },
  );
});

Deno.test("decodeClusterNetworkPolicy() fails closed: Accept matches nothing, Deny and Pass deny all", () => {
  const bad: readonly (readonly [string, unknown])[] = [
    ["no peers", []],
    ["no field", [{}]],
    ["an unknown field", [{ services: {} }]],
    ["two fields", [{ namespaces: {}, pods: { podSelector: {} } }]],
    ["names, which are not resolved", [{ domainNames: ["example.org"] }]],
    ["a bad network", [{ networks: ["10.0.0.0/33"] }]],
    ["no network", [{ networks: [] }]],
    ["IPv4 in the clothes of IPv6", [{ networks: ["::ffff:10.0.0.0/104"] }]],
    ["IPv4 in the clothes of IPv6, shorter", [{ networks: ["::ffff:10.0.0.0/90"] }]],
    ["leading zeros, which may be octal", [{ networks: ["010.0.0.0/8"] }]],
    ["leading zeros of the length", [{ networks: ["10.0.0.0/08"] }]],
    ["a bad selector", [{ namespaces: { matchLabels: 1 } }]],
    ["one good, one bad", [EVERY, {}]],
  ];
  for (const [name, to] of bad) {
    const rules = ["Accept", "Deny", "Pass", "Explode"].map((action) => ({
      name: action,
      action,
      to,
    }));
    const { egress } = decode({ tier: "Admin", priority: 1, subject: EVERY, egress: rules }) as {
      egress: unknown;
    };
    assertEquals(egress, [
      "Deny deny every on every",
      "Pass deny every on every",
      "Explode deny every on every",
    ], name);
  }
});

Deno.test("decodeClusterNetworkPolicy() fails closed on the rest of the object", () => {
  const accept = { action: "Accept", from: [EVERY] };
  const pass = { action: "Pass", from: [EVERY], protocols: [{ udp: {} }] };
  const deny = { action: "Deny", from: [EVERY] };
  // What passes goes to who may accept it: where the policy is in doubt, it is denied.
  const DOUBTFUL = ["deny <all>/<all> on UDP undefined", "deny <all>/<all> on every"];
  const policy = { tier: "Admin", priority: 1, subject: EVERY };
  const cases: readonly (readonly [string, unknown, Record<string, unknown>])[] = [
    ["a subject that is not understood is every pod, and accepts nothing", {
      ...policy,
      subject: { serviceAccounts: {} },
      ingress: [accept, pass, deny],
    }, { subject: "<all>/<all>", ingress: DOUBTFUL }],
    ["an unknown tier is the first, and accepts nothing", {
      ...policy,
      tier: "Top",
      ingress: [accept, pass, deny],
    }, { tier: "admin", ingress: DOUBTFUL }],
    ["a priority out of range is before all others, and accepts nothing", {
      ...policy,
      priority: 1001,
      ingress: [accept, pass, deny],
    }, { priority: -1, ingress: DOUBTFUL }],
    ["a field of the spec that is not known", {
      ...policy,
      enforcement: "audit",
      ingress: [accept, pass, deny],
    }, { priority: 1, ingress: DOUBTFUL }],
    ["rules that are no list deny everything", { ...policy, ingress: "all" }, {
      ingress: ["deny every on every"],
    }],
    ["ports that are not understood", {
      ...policy,
      ingress: [{ ...accept, protocols: [{ icmp: {} }] }, { ...deny, protocols: [] }],
    }, { ingress: ["deny every on every"] }],
    ["a range with a field that is not known", {
      ...policy,
      ingress: [{
        ...accept,
        protocols: [{ tcp: { destinationPort: { range: { start: 1, end: 9, step: 2 } } } }],
      }],
    }, { ingress: [] }],
    ["ingress knows no networks", {
      ...policy,
      ingress: [{ ...deny, from: [{ networks: ["::/0"] }] }],
    }, {
      ingress: ["deny every on every"],
    }],
  ];
  for (const [name, spec, expected] of cases) {
    const decoded = decode(spec) as Record<string, unknown>;
    for (const [field, value] of Object.entries(expected)) {
      assertEquals(decoded[field], value, name);
    }
    assertEquals(decoded.problems !== 0, true, name);
  }
});

Deno.test("decodeClusterNetworkPolicy() names all mistakes of one protocol, and takes none of it", () => {
  const { value, problems } = decodeClusterNetworkPolicy({
    metadata: { name: "p" },
    spec: {
      tier: "Admin",
      priority: 1,
      subject: { namespaces: {} },
      ingress: [{
        action: "Accept",
        from: [{ namespaces: {} }],
        protocols: [{ TCP: { destinationPort: { number: "80" } } }],
      }],
    },
  });
  assertEquals(value?.ingress, []);
  assertEquals(problems, [
    'spec.ingress[0].protocols[0].TCP cannot be {"destinationPort":{"number":"80"}}: ' +
    "this is not known; did you mean tcp?",
    'spec.ingress[0].protocols[0].TCP.destinationPort cannot be {"number":"80"}: ' +
    "a number or a range from 1 to 65535 is expected",
  ]);
});
