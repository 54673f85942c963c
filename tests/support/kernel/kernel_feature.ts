/**
 * What the running kernel can, found by trying in a network namespace of its own: what a test expects
 * follows the kernel that it runs on. Not for what the programs under test decide: they try themselves.
 */

import { withNamespace } from "../../../lib/kernel/namespace.ts";
import { NetlinkBatchError } from "../../../lib/netlink/error.ts";
import type { Request } from "../../../lib/netlink/message.ts";
import { transaction } from "../../../lib/netlink/nftables/batch.ts";
import { NFPROTO_INET } from "../../../lib/netlink/nftables/message.ts";
import {
  destroyTable,
  newTable,
  NFT_TABLE_F_OWNER,
  NFT_TABLE_F_PERSIST,
} from "../../../lib/netlink/nftables/table.ts";
import { NETLINK_NETFILTER, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import { TestNamespace } from "./test_namespace.ts";

const table = { family: NFPROTO_INET, name: "feature" };

/** Whether a table can be owned and outlive its owner: Linux 6.9. */
export function hasOwnedTables(): Promise<boolean> {
  return takes([newTable({ table, flags: NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST })]);
}

/** Whether deleting what is not there can be no error (`NFT_MSG_DESTROY*`): Linux 6.3. */
export function hasDestroy(): Promise<boolean> {
  return takes([destroyTable(table)]);
}

/** Whether the kernel takes a transaction of `requests`. */
async function takes(requests: readonly Request[]): Promise<boolean> {
  using pod = new TestNamespace();
  using socket = withNamespace(pod.namespace, () => openNetlinkSocket(NETLINK_NETFILTER));
  try {
    await socket.batch(transaction(requests));
    return true;
  } catch (error) {
    if (error instanceof NetlinkBatchError) return false;
    throw error;
  }
}
