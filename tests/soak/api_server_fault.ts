/**
 * What goes wrong at the API server in the soak, and on the way to it. What the agent has read stays in force
 * all the while, and a change counts once it is well again.
 */

import type { FaultScene, SoakFault } from "./fault_scene.ts";

/** What answers that is no API server, or is one that is broken, for lists and watches alike. */
const NONSENSE = [
  "",
  "<html><body>502 Bad Gateway</body></html>",
  "{}\n",
  "null\n",
  '{"kind":"Status","status":"Success"}\n',
  '{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[null,1,{}]}\n',
  '{"kind":"NetworkPolicyList","apiVersion":"networking.k8s.io/v1","items":[]}\n',
  '{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}\n',
  '{"type":"ADDED","object":{"kind":"Pod","metadata":{"resourceVersion":"1"}}}\n',
  "\u0000\uffff",
];

/** At the API server: it refuses, breaks off, forgets, goes back, says nonsense or nothing. */
export const OF_API_SERVER: readonly SoakFault[] = [
  ...[401, 403, 429, 500, 503].map((status): SoakFault => ({
    name: `API server answers ${status}`,
    spares: "every packet",
    strike: ({ node: { api }, chance }) => {
      api.faults.refuse({ status, times: 1 + chance.below(8) });
      api.faults.closeWatches(chance.below(2) === 0 ? "end" : "reset");
    },
    heal: clear,
  })),
  {
    name: "API server is slow",
    spares: "every packet",
    strike: ({ node: { api }, chance }) => {
      api.faults.delay(100 + chance.below(1_000), { times: 1 + chance.below(8) });
      api.faults.closeWatches("end");
    },
    heal: clear,
  },
  {
    name: "answers break off",
    spares: "every packet",
    strike: ({ node: { api }, chance }) => {
      api.faults.cut({ times: 1 + chance.below(5) });
      api.faults.closeWatches("reset");
    },
    heal: clear,
  },
  {
    name: "watches break",
    spares: "every packet",
    strike: ({ node }) => node.api.faults.closeWatches("reset"),
  },
  {
    name: "history is gone",
    spares: "every packet",
    strike: ({ node: { api } }) => {
      api.faults.expire();
      api.faults.closeWatches("end");
    },
  },
  {
    name: "watches say nonsense",
    spares: "every packet",
    strike: ({ node: { api }, chance }) =>
      api.faults.sendText(
        chance.pick(['{"type":', "\u0000\n", "[]\n", '{"type":"MODIFIED","object":null}\n']) ?? "",
      ),
  },
  {
    name: "answers are nonsense",
    spares: "every packet",
    strike: ({ node: { api }, chance }) => {
      api.faults.garble(chance.pick(NONSENSE) ?? "", { times: 1 + chance.below(12) });
      api.faults.closeWatches(chance.below(2) === 0 ? "end" : "reset");
    },
    heal: clear,
  },
  {
    name: "answers drip",
    spares: "every packet",
    strike: ({ node: { api }, chance }) => {
      api.faults.slow({ bytes: 50 + chance.below(500), pauseMs: 1 + chance.below(20) });
      api.faults.closeWatches("end");
    },
    heal: ({ node: { api } }) => {
      api.faults.clear();
      api.faults.closeWatches("reset");
    },
  },
  {
    name: "requests have no answer",
    spares: "every packet",
    strike: ({ node: { api }, chance }) => {
      api.faults.silence({ times: 1 + chance.below(8) });
      api.faults.closeWatches("reset");
    },
    heal: clear,
  },
  {
    name: "connections die without a word",
    spares: "every packet",
    strike: ({ relay }) => relay.die(),
    // That they stay dead costs the agent the time in which it notices by itself.
    heal: ({ relay, chance }) => relay.revive({ resets: chance.below(4) > 0 }),
  },
  {
    // What was withdrawn since is there again, much of it at once and kind by kind.
    name: "etcd is restored from a backup",
    spares: "nothing",
    strike: ({ node: { api }, world }) => {
      const version = world.backupVersion();
      if (version === undefined) api.faults.closeWatches("reset");
      else api.faults.restore(version);
    },
  },
];

function clear({ node }: FaultScene): void {
  node.api.faults.clear();
}
