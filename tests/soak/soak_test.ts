import { announceSeed } from "../conformance/seed.ts";
import { Chance } from "../support/chance.ts";
import { requireIsolation } from "../support/isolation/isolation.ts";
import { programTest } from "../support/program/program.ts";
import { soak } from "./soak.ts";

/** `deno task soak` takes minutes. */
const DURATION_MS = 15_000;

programTest(
  "changes and faults by chance leak no packet and lose none",
  ["nft"],
  async () => {
    requireIsolation();
    const chance = new Chance(announceSeed("soak"));
    await soak({ durationMs: DURATION_MS, chance, say: () => {} });
  },
);
