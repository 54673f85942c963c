/** Lists: selectors and pages. */

import { type Answer, type Api, type Exchange, pod, policy } from "./exchange.ts";

/** Everything about lists. */
export const LIST_EXCHANGES: readonly Exchange[] = [
  {
    name: "label selectors, by equality and by set",
    async run(api) {
      await api.call("POST", api.pods(), pod("a", { labels: { app: "web", tier: "front" } }));
      await api.call("POST", api.pods(), pod("b", { labels: { app: "db" } }));
      await api.call("POST", api.pods(), pod("c"));
      const selectors = [
        "app=web",
        "app==web,tier=front",
        "app!=web",
        "app",
        "!app",
        "app in (web, db)",
        "app notin (web)",
        "app in (db),tier",
        "app=",
        "",
        "app in web",
        "a b",
        "=web",
        "app=web,",
        "-app=web",
      ];
      const answers: Answer[] = [];
      for (const selector of selectors) {
        const query = new URLSearchParams({ labelSelector: selector });
        answers.push(await api.call("GET", api.pods(`?${query}`)));
      }
      return lines(...answers);
    },
    expected: [
      "200 PodList a",
      "200 PodList a",
      "200 PodList b,c",
      "200 PodList a,b",
      "200 PodList c",
      "200 PodList a,b",
      "200 PodList b,c",
      "200 PodList ",
      "200 PodList ",
      "200 PodList a,b,c",
      "400 BadRequest",
      "400 BadRequest",
      "400 BadRequest",
      "400 BadRequest",
      "400 BadRequest",
    ],
  },
  {
    name: "field selectors",
    async run(api) {
      await api.call("POST", api.pods(), pod("a", { spec: { nodeName: "n1" } }));
      await api.call("POST", api.pods(), pod("b"));
      await api.call("POST", api.policies(), policy("p"));
      await api.call("PATCH", api.pods("/b/status"), { status: { phase: "Running" } }, {
        type: "application/merge-patch+json",
      });
      const selectors = [
        "spec.nodeName=n1",
        "spec.nodeName!=n1",
        "spec.nodeName=",
        "status.phase=Running",
        "metadata.name=a,spec.nodeName==n1",
        `metadata.namespace=${api.namespace}`,
        "status.podIP=1.2.3.4",
        "spec.unknown=x",
        "nonsense",
      ];
      const answers: Answer[] = [];
      for (const selector of selectors) {
        const query = new URLSearchParams({ fieldSelector: selector });
        answers.push(await api.call("GET", api.pods(`?${query}`)));
      }
      return lines(
        ...answers,
        await api.call("GET", api.policies("?fieldSelector=metadata.name%3Dp")),
        await api.call("GET", api.policies("?fieldSelector=spec.nodeName%3Dp")),
      );
    },
    expected: [
      "200 PodList a",
      "200 PodList b",
      "200 PodList b",
      "200 PodList b",
      "200 PodList a",
      "200 PodList a,b",
      "200 PodList ",
      "400 BadRequest",
      "400 BadRequest",
      "200 NetworkPolicyList p",
      "400 BadRequest",
    ],
  },
  {
    name: "lists are in order, and their items name no kind",
    async run(api) {
      for (const name of ["b", "a.b", "a", "a-b", "c"]) {
        await api.call("POST", api.policies(), policy(name));
      }
      const show = ["kind", "apiVersion", "items.0.kind", "items.0.metadata.namespace"];
      const all = await api.call("GET", "/apis/networking.k8s.io/v1/networkpolicies");
      const mine = (all.body.items as { metadata: { name: string; namespace: string } }[])
        .filter((it) => it.metadata.namespace === api.namespace).map((it) => it.metadata.name);
      return [
        (await api.call("GET", api.policies(), undefined, { show })).line
          .replaceAll(api.namespace, "NS"),
        mine.join(","),
      ];
    },
    expected: [
      '200 NetworkPolicyList a,a-b,a.b,b,c kind="NetworkPolicyList" ' +
      'apiVersion="networking.k8s.io/v1" items.0.kind=undefined items.0.metadata.namespace="NS"',
      "a,a-b,a.b,b,c",
    ],
  },
  {
    name: "pages show the state of the first one",
    async run(api) {
      await createPolicies(api);
      const first = await api.call("GET", api.policies("?limit=2"));
      await api.call("DELETE", api.policies("/d"));
      await api.call("POST", api.policies(), policy("bb"));
      const second = await next(api, first, "limit=2");
      const third = await next(api, second, "limit=2");
      const version = "metadata.resourceVersion";
      return [
        ...lines(first, second, third),
        `same version ${first.at(version) === third.at(version)}`,
        ...lines(await next(api, first, ""), await api.call("GET", api.policies())),
      ];
    },
    expected: [
      "200 NetworkPolicyList a,b and 3 more",
      "200 NetworkPolicyList c,d and 1 more",
      "200 NetworkPolicyList e",
      "same version true",
      "200 NetworkPolicyList c,d,e",
      "200 NetworkPolicyList a,b,bb,c,e",
    ],
  },
  {
    name: "pages of a selection count nothing",
    async run(api) {
      for (const name of ["a", "b", "c", "d"]) {
        const labels = { keep: name === "b" ? "no" : "yes" };
        await api.call("POST", api.pods(), pod(name, { labels }));
      }
      const first = await api.call("GET", api.pods("?limit=2&labelSelector=keep%3Dyes"));
      const { continue: token } = first.body.metadata as { continue: string };
      const query = new URLSearchParams({ limit: "2", labelSelector: "keep=yes", continue: token });
      return lines(first, await api.call("GET", api.pods(`?${query}`)));
    },
    expected: ["200 PodList a,c and more", "200 PodList d"],
  },
  {
    name: "pages that cannot be had are refused",
    async run(api) {
      await createPolicies(api);
      const first = await api.call("GET", api.policies("?limit=2"));
      return lines(
        await api.call("GET", api.policies("?limit=2&continue=nonsense")),
        await next(api, first, "limit=2&resourceVersion=5"),
        await api.call("GET", api.policies("?limit=two")),
        await api.call("GET", api.policies("?resourceVersion=nonsense")),
        // Old servers take it for a fault of their own.
      ).map((it) => it.replace("500 undefined", "400 BadRequest"));
    },
    expected: [
      "400 BadRequest",
      "400 BadRequest",
      "400 BadRequest",
      "400 BadRequest",
    ],
  },
  {
    name: "a list of any version knows no pages, nor, on old servers, an order",
    async run(api) {
      const last = await createPolicies(api);
      await api.settle(api.policies(), last);
      const any = await api.call("GET", api.policies("?limit=2&resourceVersion=0"));
      const items = any.body.items as { metadata: { name: string } }[];
      return [any.at("metadata.continue"), items.map((it) => it.metadata.name).sort().join(",")];
    },
    expected: ["", "a,b,c,d,e"],
  },
  {
    name: "a page that is too old says so, and how to go on",
    async run(api) {
      await createPolicies(api);
      const first = await api.call("GET", api.policies("?limit=2"));
      await api.call("DELETE", api.policies("/d"));
      await api.served.expirePages();
      const expired = await next(api, first, "limit=2");
      return lines(expired, await next(api, expired, "limit=2"));
    },
    expected: ["410 Expired", "200 NetworkPolicyList c,e"],
  },
  {
    name: "a list cannot be newer than the server",
    async run(api) {
      const current = await api.call("GET", api.policies());
      const version = Number(current.at("metadata.resourceVersion")) + 1_000_000;
      return lines(await api.call("GET", api.policies(`?resourceVersion=${version}`)));
    },
    expected: ["504 Timeout undefined:ResourceVersionTooLarge"],
  },
];

/** Creates policies `a` to `e`; answers with the last answer. */
async function createPolicies(api: Api): Promise<Answer> {
  for (const name of ["a", "b", "c", "d"]) await api.call("POST", api.policies(), policy(name));
  return await api.call("POST", api.policies(), policy("e"));
}

async function next(api: Api, page: Answer, query: string): Promise<Answer> {
  const token = encodeURIComponent(page.at("metadata.continue"));
  return await api.call("GET", api.policies(`?${query}&continue=${token}`));
}

function lines(...answers: readonly Answer[]): string[] {
  return answers.map((it) => it.line);
}
