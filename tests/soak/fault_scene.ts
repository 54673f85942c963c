/** What a fault of the soak is, and on what it strikes. */

import type { Chance } from "../support/chance.ts";
import type { DeadRelay } from "../support/kubernetes/dead_relay.ts";
import type { TestNode } from "../support/node/node.ts";
import type { RunningAgent } from "../support/program/executable.ts";
import type { SoakWorld } from "./world.ts";

/** What a fault strikes. */
export interface FaultScene {
  readonly node: TestNode;
  readonly world: SoakWorld;
  /** Through which the agent reaches its API server. */
  readonly relay: DeadRelay;
  readonly chance: Chance;
}

/** Starts the agent of a scene. */
export async function startAgent(
  { node, relay }: Pick<FaultScene, "node" | "relay">,
  options: { readonly waits?: boolean } = {},
): Promise<RunningAgent> {
  const env = {
    // So that others can change the table: the kernel keeps them out of one that has an owner.
    CALYX_TABLE_OWNER: "off",
    K8S_API_ENDPOINT: `http://127.0.0.1:${relay.port}`,
  };
  return await node.startAgent(env, options);
}

/** One kind of fault. */
export interface SoakFault {
  readonly name: string;
  /**
   * What stays right meanwhile: every packet; those that policy allows (the table is away); none (it is
   * wrong both ways). The agent mends its table, so the last two end by themselves.
   */
  readonly spares: "every packet" | "allowed packets" | "nothing";
  readonly strike: (scene: FaultScene) => void | Promise<void>;
  /** Ends what does not end by itself. */
  readonly heal?: (scene: FaultScene) => void | Promise<void>;
}
