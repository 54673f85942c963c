/**
 * What goes wrong in the soak: at the API server, in the kernel and on the node. Each fault says what
 * it spares: packets whose verdict no change touches go on being judged while it lasts.
 */

import { NETLINK_NETFILTER, openNetlinkSocket } from "../../lib/netlink/socket.ts";
import type { Chance } from "../support/chance.ts";
import { flushFlows } from "../support/packet/many_flows.ts";
import { nft } from "../support/kernel/nft_listing.ts";
import { sleep } from "../support/until.ts";
import { OF_API_SERVER } from "./api_server_fault.ts";
import { type SoakFault, startAgent } from "./fault_scene.ts";

/** By then the agent has looked at the flows of a table that it has made again. */
const FIRST_LOOK_MS = 1_000;

function forgetFlows(): void {
  using socket = openNetlinkSocket(NETLINK_NETFILTER);
  flushFlows(socket);
}

/** Makes conntrack see every packet, as kube-proxy's rules do. */
export function keepFlowsKnown(): void {
  nft(
    "table ip kube-proxy { chain c { type filter hook forward priority 10; ct state new counter; }; }; " +
      "table ip6 kube-proxy { chain c { type filter hook forward priority 10; ct state new counter; }; }",
  );
}

/** In the kernel: others take away or change what is ours. */
const OF_KERNEL: readonly SoakFault[] = [
  {
    name: "the table is deleted",
    spares: "allowed packets",
    strike: deleteTable,
  },
  {
    // Nothing keeps conntrack awake then: it meets flows in their middle, and takes whom it sees first for
    // the one who called. A flow that it holds the wrong way round is cut as such.
    name: "the ruleset is flushed",
    spares: "nothing",
    strike: () => void nft("flush", "ruleset"),
    heal: async ({ node }) => {
      await node.agent.until("the table is back", () => nft("list", "tables").includes("calyx"));
      await sleep(FIRST_LOOK_MS);
      forgetFlows();
      keepFlowsKnown();
    },
  },
  {
    name: "a base chain is emptied",
    spares: "nothing",
    strike: () => void nft("flush", "chain", "inet", "calyx", "forward-ingress"),
  },
  {
    name: "a rule of others is in front of ours",
    spares: "nothing",
    strike: () => void nft("insert", "rule", "inet", "calyx", "forward-ingress", "accept"),
  },
  {
    name: "a map is emptied",
    spares: "nothing",
    strike: () => void nft("flush", "map", "inet", "calyx", "ingress"),
  },
  {
    name: "flows are forgotten",
    spares: "every packet",
    strike: forgetFlows,
  },
];

/** The agent ends by a signal, and another one starts; `meanwhile` is done between. */
function agentEnds(
  signal: Deno.Signal,
  meanwhile: () => void = () => {},
): Omit<SoakFault, "name" | "spares"> {
  return {
    strike: async ({ node }) => {
      node.agent.kill(signal);
      await node.agent.status;
      meanwhile();
    },
    heal: async (scene) => void await startAgent(scene, { waits: false }),
  };
}

function deleteTable(): void {
  nft("delete", "table", "inet", "calyx");
}

/** On the node: the agent ends, or stands still. */
const OF_NODE: readonly SoakFault[] = [
  { name: "the agent is killed", spares: "every packet", ...agentEnds("SIGKILL") },
  {
    // What the next one remembers may be older than the last changes, and a pod that it does not know is
    // closed until the API server has answered.
    name: "the agent is killed, and the table deleted",
    spares: "nothing",
    ...agentEnds("SIGKILL", deleteTable),
  },
  { name: "the agent is ended", spares: "every packet", ...agentEnds("SIGTERM") },
  {
    name: "the agent stands still",
    spares: "every packet",
    strike: ({ node }) => node.agent.kill("SIGSTOP"),
    heal: ({ node }) => node.agent.kill("SIGCONT"),
  },
];

/** Nothing at all is the most usual. */
const NONE: SoakFault = { name: "nothing", spares: "every packet", strike: () => {} };

/** A fault by chance: every kind of place as often as nothing. */
export function pickFault(chance: Chance): SoakFault {
  const kinds = [[NONE], OF_API_SERVER, OF_KERNEL, OF_NODE];
  return chance.pick(chance.pick(kinds) ?? []) ?? NONE;
}
