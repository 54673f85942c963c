/**
 * Whose the table is. `nf_tables_updtable()` in the kernel's net/netfilter/nf_tables_api.c: NFT_TABLE_F_PERSIST
 * of a table never changes; NFT_TABLE_F_OWNER can be set where PERSIST is and no process owns the table,
 * and goes only when the owner does.
 */

import { NFT_TABLE_F_OWNER, NFT_TABLE_F_PERSIST, type Table } from "../netlink/nftables/table.ts";

/** The flags of a table that only its owner can change, and that outlives the owner. Linux 6.9. */
export const OWNED = NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST;

/** How to get a table with the right flags. */
export interface TablePlan {
  /** The flags to declare it with. */
  readonly flags: number;
  /** Whether it must be replaced with all its objects, in one transaction. */
  readonly isRemade: boolean;
}

/**
 * Plans how to get the table with the right flags.
 *
 * @param there the table as it is; `undefined` when there is none
 * @param isOwned whether the table is to be ours alone
 */
export function planTable(
  there: Pick<Table, "flags" | "owner"> | undefined,
  isOwned: boolean,
): TablePlan {
  const isPersistent = there !== undefined && (there.flags & NFT_TABLE_F_PERSIST) !== 0;
  if (!isOwned) {
    // A table of an earlier owner keeps its persist flag: without an owner every program may change it.
    return { flags: isPersistent ? NFT_TABLE_F_PERSIST : 0, isRemade: false };
  }
  const isForeign = there?.owner !== undefined; // the kernel refuses, and says why
  return { flags: OWNED, isRemade: there !== undefined && !isPersistent && !isForeign };
}
