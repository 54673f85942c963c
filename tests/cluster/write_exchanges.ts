/** Creation, replacement, patches and deletion of objects. */

import { type Answer, type Exchange, pod, policy } from "./exchange.ts";

const MERGE = { type: "application/merge-patch+json" };
const STRATEGIC = { type: "application/strategic-merge-patch+json" };
const JSON_PATCH = { type: "application/json-patch+json" };

/** Every write but those of status and of custom resources. */
export const WRITE_EXCHANGES: readonly Exchange[] = [
  {
    name: "a policy is created with its defaults, once",
    async run(api) {
      const spec = { podSelector: {}, egress: [{ ports: [{ port: 53 }] }] };
      const show = ["spec.policyTypes", "spec.egress", "metadata.generation"];
      return lines(
        await api.call("POST", api.policies(), policy("a", spec), { show }),
        await api.call("POST", api.policies(), policy("b"), { show }),
        await api.call("POST", api.policies(), policy("a", spec)),
        await api.call("GET", api.policies("/a"), undefined, { show: ["kind", "apiVersion"] }),
        await api.call("GET", api.policies("/c")),
      );
    },
    expected: [
      '201 NetworkPolicy a spec.policyTypes=["Ingress","Egress"] ' +
      'spec.egress=[{"ports":[{"port":53,"protocol":"TCP"}]}] metadata.generation=1',
      '201 NetworkPolicy b spec.policyTypes=["Ingress"] spec.egress=undefined metadata.generation=1',
      "409 AlreadyExists",
      '200 NetworkPolicy a kind="NetworkPolicy" apiVersion="networking.k8s.io/v1"',
      "404 NotFound",
    ],
  },
  {
    name: "objects that do not fit the request are refused",
    async run(api) {
      const at = api.policies();
      const metadata = { name: "a", namespace: "default" };
      return lines(
        await api.call("POST", at, { ...policy("a"), metadata: {} }),
        await api.call("POST", at, policy("Upper")),
        await api.call("POST", at, { ...policy("a"), kind: "Pod" }),
        await api.call("POST", at, { ...policy("a"), apiVersion: "v1" }),
        await api.call("POST", at, { ...policy("a"), metadata }),
        await api.call("POST", at, "{"),
        await api.call("POST", at, policy("a"), { type: "text/plain" }),
        await api.call("POST", at.replace(api.namespace, "no-such-namespace"), policy("a")),
        await api.call("POST", at, {
          ...policy("a"),
          metadata: { name: "a", labels: { "-bad": "value", good: "bad value" } },
        }),
      );
    },
    expected: [
      "422 Invalid metadata.name:FieldValueRequired",
      "422 Invalid metadata.name:FieldValueInvalid",
      "400 BadRequest",
      "400 BadRequest",
      "400 BadRequest",
      "400 BadRequest",
      "415 UnsupportedMediaType",
      "404 NotFound",
      "422 Invalid metadata.labels:FieldValueInvalid",
    ],
  },
  {
    name: "names are generated",
    async run(api) {
      const body = { ...policy("a"), metadata: { generateName: "made-" } };
      const names = [
        (await api.call("POST", api.policies(), body)).at("metadata.name"),
        (await api.call("POST", api.policies(), body)).at("metadata.name"),
      ];
      return [
        ...names.map((it) => String(/^made-[a-z0-9]{5}$/.test(it))),
        String(names[0] !== names[1]),
      ];
    },
    expected: ["true", "true", "true"],
  },
  {
    name: "policies are validated",
    async run(api) {
      const from = (...peers: unknown[]): unknown => ({ ingress: [{ from: peers }] });
      const ports = (...list: unknown[]): unknown => ({ egress: [{ ports: list }] });
      const matching = (expression: unknown): unknown => ({
        podSelector: { matchExpressions: [expression] },
      });
      const specs = [
        from({ ipBlock: { cidr: "10.0.0.0/33" } }),
        from({ ipBlock: { cidr: "" } }),
        from({ ipBlock: { cidr: "10.0.0.0/8", except: ["11.0.0.0/16"] } }),
        from({ ipBlock: { cidr: "10.0.0.0/8", except: ["10.0.0.0/8"] } }),
        from({ ipBlock: { cidr: "fd00::/8", except: ["fd00::/16", "nonsense"] } }),
        from({}),
        from({ ipBlock: { cidr: "10.0.0.0/8" }, podSelector: {} }),
        ports({ port: 0 }),
        ports({ port: 65536, protocol: "ICMP" }),
        ports({ port: "no_name" }),
        ports({ port: "http", protocol: "SCTP" }),
        matching({ key: "a", operator: "Equals", values: ["b"] }),
        matching({ key: "a", operator: "In" }),
        matching({ key: "a", operator: "Exists", values: ["b"] }),
        { podSelector: { matchLabels: { a: "b c" } } },
        { policyTypes: ["Ingress", "Sideways"] },
        { policyTypes: ["Ingress", "Egress", "Ingress"] },
      ];
      const answers: Answer[] = [];
      for (const [i, spec] of specs.entries()) {
        const body = policy(`p${i}`, { podSelector: {}, ...spec as object });
        answers.push(await api.call("POST", api.policies(), body));
      }
      return lines(...answers);
    },
    expected: [
      "422 Invalid spec.ingress[0].from[0].ipBlock.cidr:FieldValueInvalid",
      "422 Invalid spec.ingress[0].from[0].ipBlock.cidr:FieldValueRequired",
      "422 Invalid spec.ingress[0].from[0].ipBlock.except[0]:FieldValueInvalid",
      "422 Invalid spec.ingress[0].from[0].ipBlock.except[0]:FieldValueInvalid",
      "422 Invalid spec.ingress[0].from[0].ipBlock.except[1]:FieldValueInvalid",
      "422 Invalid spec.ingress[0].from[0]:FieldValueRequired",
      "422 Invalid spec.ingress[0].from[0]:FieldValueForbidden",
      "422 Invalid spec.egress[0].ports[0].port:FieldValueInvalid",
      "422 Invalid spec.egress[0].ports[0].protocol:FieldValueNotSupported " +
      "spec.egress[0].ports[0].port:FieldValueInvalid",
      "422 Invalid spec.egress[0].ports[0].port:FieldValueInvalid",
      "201 NetworkPolicy p10",
      "422 Invalid spec.podSelector.matchExpressions[0].operator:FieldValueInvalid",
      "422 Invalid spec.podSelector.matchExpressions[0].values:FieldValueRequired",
      "422 Invalid spec.podSelector.matchExpressions[0].values:FieldValueForbidden",
      "422 Invalid spec.podSelector.matchLabels:FieldValueInvalid",
      "422 Invalid spec.policyTypes[1]:FieldValueNotSupported",
      "422 Invalid spec.policyTypes:FieldValueInvalid",
    ],
  },
  {
    name: "replacement minds the resourceVersion",
    async run(api) {
      const first = await api.call("POST", api.policies(), policy("a"));
      const { metadata } = first.body as { metadata: object };
      const changed = { ...first.body, spec: { podSelector: { matchLabels: { a: "b" } } } };
      const show = ["metadata.generation"];
      const second = await api.call("PUT", api.policies("/a"), changed, { show });
      const same = await api.call("PUT", api.policies("/a"), second.body, { show });
      const version = "metadata.resourceVersion";
      return [
        ...lines(second, await api.call("PUT", api.policies("/a"), changed), same),
        `changed ${first.at(version) !== second.at(version)}`,
        `unchanged ${second.at(version) === same.at(version)}`,
        ...lines(
          await api.call("PUT", api.policies("/a"), policy("a"), { show }),
          await api.call("PUT", api.policies("/a"), {
            ...policy("a"),
            metadata: { ...metadata, resourceVersion: "", labels: { l: "m" } },
          }, { show }),
          await api.call("PUT", api.policies("/a"), {
            ...policy("a"),
            metadata: { name: "a", uid: "11111111-2222-3333-4444-555555555555" },
          }),
          await api.call("PUT", api.policies("/a"), policy("b")),
          await api.call("PUT", api.policies("/b"), policy("b")),
        ),
      ];
    },
    expected: [
      "200 NetworkPolicy a metadata.generation=2",
      "409 Conflict",
      "200 NetworkPolicy a metadata.generation=2",
      "changed true",
      "unchanged true",
      "200 NetworkPolicy a metadata.generation=3",
      "200 NetworkPolicy a metadata.generation=3",
      "409 Conflict",
      "400 BadRequest",
      "404 NotFound",
    ],
  },
  {
    name: "patches in three formats",
    async run(api) {
      const first = await api.call("POST", api.policies(), policy("a"));
      const at = api.policies("/a");
      const labels = { show: ["metadata.labels"] };
      const types = { show: ["spec.policyTypes"] };
      const add = { op: "add", path: "/metadata/labels/e~1f", value: "g" };
      return lines(
        await api.call("PATCH", at, { metadata: { labels: { a: "b", c: "d" } } }, {
          ...MERGE,
          ...labels,
        }),
        await api.call("PATCH", at, { metadata: { labels: { a: null } } }, {
          ...STRATEGIC,
          ...labels,
        }),
        await api.call("PATCH", at, [add], { ...JSON_PATCH, ...labels }),
        await api.call("PATCH", at, { spec: { policyTypes: ["Egress"] } }, { ...MERGE, ...types }),
        await api.call("PATCH", at, { spec: { policyTypes: ["Ingress"] } }, {
          ...STRATEGIC,
          ...types,
        }),
        await api.call(
          "PATCH",
          at,
          [{ op: "test", path: "/spec/policyTypes/0", value: "Egress" }],
          {
            ...JSON_PATCH,
          },
        ),
        await api.call("PATCH", at, [{ op: "remove", path: "/spec/nothing" }], JSON_PATCH),
        await api.call("PATCH", at, { op: "add" }, JSON_PATCH),
        await api.call("PATCH", at, {}, { type: "application/json" }),
        await api.call("PATCH", at, {
          metadata: { resourceVersion: first.at("metadata.resourceVersion"), labels: { x: "y" } },
        }, MERGE),
        await api.call("PATCH", at, { spec: { policyTypes: ["Sideways"] } }, MERGE),
        await api.call("PATCH", at, { metadata: { name: "b" } }, MERGE),
        await api.call("PATCH", api.policies("/b"), {}, MERGE),
      );
    },
    expected: [
      '200 NetworkPolicy a metadata.labels={"a":"b","c":"d"}',
      '200 NetworkPolicy a metadata.labels={"c":"d"}',
      '200 NetworkPolicy a metadata.labels={"c":"d","e/f":"g"}',
      '200 NetworkPolicy a spec.policyTypes=["Egress"]',
      '200 NetworkPolicy a spec.policyTypes=["Ingress"]',
      "422 Invalid",
      "422 Invalid",
      "400 BadRequest",
      "415 UnsupportedMediaType",
      "409 Conflict",
      "422 Invalid spec.policyTypes[0]:FieldValueNotSupported",
      "400 BadRequest",
      "404 NotFound",
    ],
  },
  {
    name: "a dry run changes nothing",
    async run(api) {
      return lines(
        await api.call("POST", api.policies("?dryRun=All"), policy("a")),
        await api.call("GET", api.policies("/a")),
        await api.call("POST", api.policies(), policy("a")),
        await api.call(
          "PATCH",
          api.policies("/a?dryRun=All"),
          { metadata: { labels: { a: "b" } } },
          {
            ...MERGE,
            show: ["metadata.labels"],
          },
        ),
        await api.call("DELETE", api.policies("/a?dryRun=All")),
        await api.call("GET", api.policies("/a"), undefined, { show: ["metadata.labels"] }),
      );
    },
    expected: [
      "201 NetworkPolicy a",
      "404 NotFound",
      "201 NetworkPolicy a",
      '200 NetworkPolicy a metadata.labels={"a":"b"}',
      "200 Success",
      "200 NetworkPolicy a metadata.labels=undefined",
    ],
  },
  {
    name: "deletion answers, minds preconditions and finalizers",
    async run(api) {
      const created = await api.call("POST", api.policies(), policy("a"));
      const options = (preconditions: object): object => ({
        kind: "DeleteOptions",
        apiVersion: "v1",
        preconditions,
      });
      const uid = created.at("metadata.uid");
      const held = policy("held");
      return lines(
        await api.call("DELETE", api.policies("/a"), options({ uid: "other" })),
        await api.call("DELETE", api.policies("/a"), options({ resourceVersion: "1" })),
        await api.call("DELETE", api.policies("/a"), options({ uid })),
        await api.call("DELETE", api.policies("/a")),
        await api.call("POST", api.policies(), {
          ...held,
          metadata: { name: "held", finalizers: ["calyx.example/test"] },
        }),
        await api.call("DELETE", api.policies("/held")),
        await api.call("GET", api.policies("/held")),
        await api.call("PATCH", api.policies("/held"), { metadata: { finalizers: null } }, MERGE),
        await api.call("GET", api.policies("/held")),
      );
    },
    expected: [
      "409 Conflict",
      "409 Conflict",
      "200 Success",
      "404 NotFound",
      "201 NetworkPolicy held",
      "200 NetworkPolicy held",
      "200 NetworkPolicy held",
      "200 NetworkPolicy held",
      "404 NotFound",
    ],
  },
  {
    name: "pods go at once, or after their grace",
    async run(api) {
      const spec = { nodeName: "some-node", terminationGracePeriodSeconds: 7 };
      const show = ["metadata.deletionGracePeriodSeconds"];
      await api.call("POST", api.pods(), pod("free"));
      await api.call("POST", api.pods(), pod("bound", { spec }));
      return lines(
        await api.call("DELETE", api.pods("/free")),
        await api.call("GET", api.pods("/free")),
        await api.call("DELETE", api.pods("/bound"), undefined, { show }),
        await api.call("GET", api.pods("/bound"), undefined, { show }),
        await api.call("DELETE", api.pods("/bound?gracePeriodSeconds=3"), undefined, { show }),
        await api.call("DELETE", api.pods("/bound"), { gracePeriodSeconds: 0 }),
        await api.call("GET", api.pods("/bound")),
      );
    },
    expected: [
      "200 Pod free",
      "404 NotFound",
      "200 Pod bound metadata.deletionGracePeriodSeconds=7",
      "200 Pod bound metadata.deletionGracePeriodSeconds=7",
      "200 Pod bound metadata.deletionGracePeriodSeconds=3",
      "200 Pod bound",
      "404 NotFound",
    ],
  },
  {
    name: "many are deleted by selector",
    async run(api) {
      for (const name of ["a", "b", "c"]) {
        const labels = { role: name === "b" ? "stay" : "go" };
        await api.call("POST", api.policies(), { ...policy(name), metadata: { name, labels } });
      }
      return lines(
        await api.call("DELETE", api.policies("?labelSelector=role%3Dgo")),
        await api.call("GET", api.policies()),
      );
    },
    expected: ["200 NetworkPolicyList a,c", "200 NetworkPolicyList b"],
  },
];

function lines(...answers: readonly Answer[]): string[] {
  return answers.map((it) => it.line);
}
