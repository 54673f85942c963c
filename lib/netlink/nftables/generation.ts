/**
 * The ruleset's generation, which every commit by anybody raises by one.
 * `enum nft_gen_attributes`: <linux/netfilter/nf_tables.h>.
 */

import type { RawMessage, Request } from "../message.ts";
import { attributes, be32, text } from "../schema.ts";
import {
  messageKind,
  NFPROTO_UNSPEC,
  NFT_MSG_GETGEN,
  NFT_MSG_NEWGEN,
  parseMessage,
  tableRequest,
} from "./message.ts";

/** `enum nft_gen_attributes`. */
const generationAttributes = attributes("generation", {
  id: [1, be32], // NFTA_GEN_ID
  processId: [2, be32], // NFTA_GEN_PROC_PID
  processName: [3, text], // NFTA_GEN_PROC_NAME
});

const NEWGEN = messageKind("NFT_MSG_NEWGEN", NFT_MSG_NEWGEN, generationAttributes);
const GETGEN = messageKind("NFT_MSG_GETGEN", NFT_MSG_GETGEN, generationAttributes);

/** A generation; in a notification also the process that committed. */
export interface Generation {
  readonly id: number;
  readonly processId: number | undefined;
  readonly processName: string | undefined;
}

/** `NFT_MSG_GETGEN`: asks for the number of the last commit. Reply: {@link parseGeneration}. */
export function getGeneration(): Request {
  return tableRequest(GETGEN, NFPROTO_UNSPEC, "", {});
}

/** Parses an NFT_MSG_NEWGEN. */
export function parseGeneration(raw: RawMessage): Generation {
  const { attributes } = parseMessage(NEWGEN, raw);
  return {
    id: attributes.id ?? 0,
    processId: attributes.processId,
    processName: attributes.processName,
  };
}
