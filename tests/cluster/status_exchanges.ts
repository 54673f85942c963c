/** Status and its subresource, pods' and nodes' rules, custom resources, and what is not served. */

import { type Answer, type Exchange, pod, policy, widget } from "./exchange.ts";

const MERGE = { type: "application/merge-patch+json" };

/** Parts of objects that have writers of their own, and paths and methods that have none. */
export const STATUS_EXCHANGES: readonly Exchange[] = [
  {
    name: "a pod's status has its own way in",
    async run(api) {
      const status = { phase: "Running", podIP: "10.0.0.1", podIPs: [{ ip: "10.0.0.1" }] };
      const show = ["status.phase", "status.podIP", "metadata.labels"];
      const created = await api.call("POST", api.pods(), pod("a", { status }), { show });
      const seen = await api.call("PATCH", api.pods("/a/status"), {
        status,
        spec: { nodeName: "ignored" },
      }, { ...MERGE, show: [...show, "spec.nodeName"] });
      const { resourceVersion: _, ...metadata } = seen.body.metadata as Record<string, unknown>;
      return lines(
        created,
        seen,
        await api.call("PUT", api.pods("/a"), {
          ...seen.body,
          metadata: { ...metadata, labels: { a: "b" } },
          status: { phase: "Failed" },
        }, { show }),
        await api.call("GET", api.pods("/a/status"), undefined, { show }),
        await api.call("PATCH", api.pods("/a"), { status: { phase: "Failed" } }, {
          ...MERGE,
          show,
        }),
        await api.call("PUT", api.pods("/a/status"), {
          ...seen.body,
          metadata: { ...metadata, labels: { a: "b" } },
          status: { ...status, phase: "Succeeded" },
        }, { show }),
        await api.call("PATCH", api.pods("/none/status"), { status }, MERGE),
        await api.call("DELETE", api.pods("/a/status")),
      );
    },
    expected: [
      '201 Pod a status.phase="Pending" status.podIP=undefined metadata.labels=undefined',
      '200 Pod a status.phase="Running" status.podIP="10.0.0.1" metadata.labels=undefined ' +
      "spec.nodeName=undefined",
      '200 Pod a status.phase="Running" status.podIP="10.0.0.1" metadata.labels={"a":"b"}',
      '200 Pod a status.phase="Running" status.podIP="10.0.0.1" metadata.labels={"a":"b"}',
      '200 Pod a status.phase="Running" status.podIP="10.0.0.1" metadata.labels={"a":"b"}',
      '200 Pod a status.phase="Succeeded" status.podIP="10.0.0.1" metadata.labels={"a":"b"}',
      "404 NotFound",
      "405 MethodNotAllowed",
    ],
  },
  {
    name: "both addresses of a pod are kept",
    async run(api) {
      const podIPs = [{ ip: "10.0.0.1" }, { ip: "fd00::1" }];
      await api.call("POST", api.pods(), pod("a"));
      return lines(
        await api.call("PATCH", api.pods("/a/status"), { status: { podIP: "10.0.0.1", podIPs } }, {
          ...MERGE,
          show: ["status.podIPs"],
        }),
      );
    },
    expected: ['200 Pod a status.podIPs=[{"ip":"10.0.0.1"},{"ip":"fd00::1"}]'],
  },
  {
    name: "a pod's spec hardly changes",
    async run(api) {
      await api.call("POST", api.pods(), pod("a"));
      const image = { spec: { containers: [{ name: "c", image: "image:2" }] } };
      return lines(
        await api.call("POST", api.pods(), { ...pod("b"), spec: {} }),
        await api.call("POST", api.pods(), { ...pod("b"), spec: { containers: [{ name: "c" }] } }),
        await api.call("PATCH", api.pods("/a"), { spec: { hostNetwork: true } }, MERGE),
        await api.call("PATCH", api.pods("/a"), image, {
          type: "application/strategic-merge-patch+json",
          show: ["spec.containers.0.image"],
        }),
      ).map((line) => line.replace(/ spec\.containers.*Required.*$/, " spec.containers…"));
    },
    expected: [
      "422 Invalid spec.containers…",
      "422 Invalid spec.containers…",
      "422 Invalid spec:FieldValueForbidden",
      '200 Pod a spec.containers.0.image="image:2"',
    ],
  },
  {
    name: "a node keeps the status it is created with, and its pod CIDRs",
    async run(api) {
      const name = `node-${api.namespace}`;
      const at = `/api/v1/nodes/${name}`;
      const addresses = [{ type: "InternalIP", address: "192.0.2.1" }];
      const cidrs = ["10.244.0.0/24", "fd00:10:244::/64"];
      const spec = { podCIDR: cidrs[0], podCIDRs: cidrs };
      const show = ["status.addresses.0.address", "spec.podCIDRs"];
      const body = {
        apiVersion: "v1",
        kind: "Node",
        metadata: { name },
        spec,
        status: { addresses },
      };
      const moved = { addresses: [{ type: "InternalIP", address: "192.0.2.2" }] };
      return lines(
        await api.call("POST", "/api/v1/nodes", body, { show }),
        await api.call("PATCH", at, { status: moved }, { ...MERGE, show }),
        await api.call("PATCH", `${at}/status`, { status: moved }, { ...MERGE, show }),
        await api.call(
          "PATCH",
          at,
          { spec: { podCIDR: "10.9.0.0/24", podCIDRs: ["10.9.0.0/24"] } },
          {
            ...MERGE,
          },
        ),
        await api.call("GET", `/api/v1/nodes?fieldSelector=metadata.name%3D${name}`),
        await api.call("DELETE", at),
      )
        // Of the two causes that old servers give, the second names no field.
        .map((line) => line.replaceAll(name, "NODE").replace(" []:FieldValueForbidden", ""));
    },
    expected: [
      '201 Node NODE status.addresses.0.address="192.0.2.1" ' +
      'spec.podCIDRs=["10.244.0.0/24","fd00:10:244::/64"]',
      '200 Node NODE status.addresses.0.address="192.0.2.1" ' +
      'spec.podCIDRs=["10.244.0.0/24","fd00:10:244::/64"]',
      '200 Node NODE status.addresses.0.address="192.0.2.2" ' +
      'spec.podCIDRs=["10.244.0.0/24","fd00:10:244::/64"]',
      "422 Invalid spec.podCIDRs:FieldValueForbidden",
      "200 NodeList NODE",
      "200 Success",
    ],
  },
  {
    name: "a namespace is active",
    async run(api) {
      const at = `/api/v1/namespaces/${api.namespace}`;
      const show = ["status.phase", "spec.finalizers", "metadata.labels.a"];
      return lines(
        await api.call(
          "PATCH",
          at,
          { metadata: { labels: { a: "b" } }, status: { phase: "Odd" } },
          {
            ...MERGE,
            show,
          },
        ),
        await api.call("GET", at, undefined, { show }),
      ).map((line) => line.replaceAll(api.namespace, "NS"));
    },
    expected: [
      '200 Namespace NS status.phase="Active" spec.finalizers=["kubernetes"] metadata.labels.a="b"',
      '200 Namespace NS status.phase="Active" spec.finalizers=["kubernetes"] metadata.labels.a="b"',
    ],
  },
  {
    name: "custom resources are stricter",
    isCustom: true,
    async run(api) {
      const show = ["spec", "status", "metadata.generation"];
      const at = api.widgets("/a");
      const body = widget("a", { spec: { size: 1 }, status: { seen: 1 } });
      const created = await api.call("POST", api.widgets(), body, { show });
      return lines(
        created,
        await api.call("PUT", at, widget("a", { spec: { size: 2 } })),
        await api.call("PUT", at, { ...created.body, status: { seen: 2 } }, { show }),
        await api.call("PATCH", `${at}/status`, { spec: { size: 9 }, status: { seen: 3 } }, {
          ...MERGE,
          show,
        }),
        await api.call("PATCH", at, { spec: { size: 3 }, status: { seen: 9 } }, { ...MERGE, show }),
        await api.call("PATCH", at, { metadata: { labels: { a: "b" } } }, { ...MERGE, show }),
        await api.call("PATCH", `${at}/status`, { metadata: { labels: { a: "c" } } }, {
          ...MERGE,
          show: ["metadata.labels"],
        }),
        await api.call("PATCH", at, {}, { type: "application/strategic-merge-patch+json" }),
        await api.call("GET", api.widgets(), undefined, { show: ["items.0.kind"] }),
        await api.call("DELETE", at),
      );
    },
    expected: [
      '201 Widget a spec={"size":1} status=undefined metadata.generation=1',
      "422 Invalid metadata.resourceVersion:FieldValueInvalid",
      '200 Widget a spec={"size":1} status=undefined metadata.generation=1',
      '200 Widget a spec={"size":1} status={"seen":3} metadata.generation=1',
      '200 Widget a spec={"size":3} status={"seen":3} metadata.generation=2',
      '200 Widget a spec={"size":3} status={"seen":3} metadata.generation=2',
      '200 Widget a metadata.labels={"a":"b"}',
      "415 UnsupportedMediaType",
      '200 WidgetList a items.0.kind="Widget"',
      "200 Success",
    ],
  },
  {
    name: "what is not served is refused",
    async run(api) {
      await api.call("POST", api.policies(), policy("a"));
      return lines(
        await api.call("GET", "/api/v1/gadgets"),
        await api.call("GET", "/apis/gadgets.example/v1/gadgets"),
        await api.call("GET", api.policies("/a/status")),
        await api.call("POST", "/api/v1/pods", pod("a")),
        await api.call("DELETE", "/api/v1/pods"),
        await api.call("PUT", api.policies(), policy("a")),
        await api.call("POST", api.policies("/a"), policy("a")),
        await api.call("GET", api.policies("/a"), undefined, {
          headers: { accept: "application/xml" },
        }),
        await api.call("GET", api.policies("/a"), undefined, {
          headers: { accept: "application/xml, application/json;q=0.5" },
        }),
        await api.call("GET", api.policies(), undefined, {
          headers: { authorization: "Bearer wrong" },
        }),
      );
    },
    expected: [
      "404 NotFound",
      "404 text",
      "404 NotFound",
      "405 MethodNotAllowed",
      "405 MethodNotAllowed",
      "405 MethodNotAllowed",
      "405 MethodNotAllowed",
      "406 NotAcceptable",
      "200 NetworkPolicy a",
      "401 Unauthorized",
    ],
  },
  {
    name: "the server describes itself",
    async run(api) {
      const group = "/apis/networking.k8s.io";
      const version = await api.call("GET", "/version");
      const list = await api.call("GET", `${group}/v1`);
      const found = (list.body.resources as { name: string; kind: string; namespaced: boolean }[])
        .find((it) => it.name === "networkpolicies");
      return [
        `version ${/^v1\.\d+/.test(version.at("gitVersion"))}`,
        `${(await api.call("GET", "/readyz")).status} ready`,
        (await api.call("GET", "/api")).at("versions"),
        (await api.call("GET", group)).at("preferredVersion.groupVersion"),
        `${found?.kind} ${found?.namespaced}`,
      ];
    },
    expected: [
      "version true",
      "200 ready",
      "v1",
      "networking.k8s.io/v1",
      "NetworkPolicy true",
    ],
  },
];

function lines(...answers: readonly Answer[]): string[] {
  return answers.map((it) => it.line);
}
