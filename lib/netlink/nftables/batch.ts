/**
 * The frame of a transaction: everything between begin and end is applied at once or not at all.
 * NFNL_MSG_BATCH_*, NFNL_BATCH_GENID: <linux/netfilter/nfnetlink.h>.
 */

import { type Request, request } from "../message.ts";
import { attributes, be32 } from "../schema.ts";
import { nfgenmsg, NFNL_SUBSYS_NFTABLES } from "./message.ts";

/** `enum nfnl_batch_attributes`. */
const batchAttributes = attributes("batch", {
  generation: [1, be32], // NFNL_BATCH_GENID
});

const BATCH_BEGIN = {
  name: "NFNL_MSG_BATCH_BEGIN",
  type: 0x10,
  header: nfgenmsg,
  attributes: batchAttributes,
};
const BATCH_END = {
  name: "NFNL_MSG_BATCH_END",
  type: 0x11,
  header: nfgenmsg,
  attributes: batchAttributes,
};

/**
 * `NFNL_MSG_BATCH_BEGIN`: begins a transaction.
 *
 * @param generation the kernel refuses the whole batch (ERESTART) if another program has committed since
 */
export function beginBatch(generation?: number): Request {
  return request(BATCH_BEGIN, {
    header: { resourceId: NFNL_SUBSYS_NFTABLES },
    attributes: { generation },
  });
}

/** `NFNL_MSG_BATCH_END`: ends the transaction, and the kernel commits it. */
export function endBatch(): Request {
  return request(BATCH_END, { header: { resourceId: NFNL_SUBSYS_NFTABLES }, attributes: {} });
}

/** `requests` between begin and end, ready for `NetlinkSocket.batch()`. */
export function transaction(requests: readonly Request[], generation?: number): Request[] {
  return [beginBatch(generation), ...requests, endBatch()];
}
