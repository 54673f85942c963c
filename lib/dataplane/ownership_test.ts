import { assertEquals } from "@std/assert";
import { NFT_TABLE_F_DORMANT, NFT_TABLE_F_PERSIST } from "../netlink/nftables/table.ts";
import { OWNED, planTable } from "./ownership.ts";

const NONE = { owner: undefined };

Deno.test("planTable() declares what the kernel takes, and remakes only where it takes nothing", () => {
  const declare = (flags: number): unknown => ({ flags, isRemade: false });
  const cases = [
    ["no table, own it", undefined, true, declare(OWNED)],
    ["no table, leave it open", undefined, false, declare(0)],
    ["left by an owner, own it", { ...NONE, flags: NFT_TABLE_F_PERSIST }, true, declare(OWNED)],
    [
      ...["left by an owner, leave it open", { ...NONE, flags: NFT_TABLE_F_PERSIST }] as const,
      ...[false, declare(NFT_TABLE_F_PERSIST)] as const,
    ],
    ["ours", { flags: OWNED, owner: 7 }, true, declare(OWNED)],
    ["open, own it", { ...NONE, flags: 0 }, true, { flags: OWNED, isRemade: true }],
    ["open, leave it so", { ...NONE, flags: 0 }, false, declare(0)],
    ["asleep, leave it open", { ...NONE, flags: NFT_TABLE_F_DORMANT }, false, declare(0)],
    ["another's without persist", { flags: 2, owner: 7 }, true, declare(OWNED)],
  ] as const;
  for (const [what, there, isOwned, plan] of cases) {
    assertEquals(planTable(there, isOwned), plan, what);
  }
});
