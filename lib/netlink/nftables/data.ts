/**
 * What a register, an element or an `immediate` holds: a value or a verdict.
 * `enum nft_data_attributes`, `enum nft_verdict_attributes`, `enum nft_registers`, `enum nft_verdicts`:
 * <linux/netfilter/nf_tables.h>; NF_DROP, NF_ACCEPT: <linux/netfilter.h>.
 */

import { attributes, type AttributesOf, bes32, bytes, text } from "../schema.ts";

export const NF_DROP = 0;
export const NF_ACCEPT = 1;
export const NFT_CONTINUE = -1;
export const NFT_BREAK = -2;
export const NFT_JUMP = -3;
export const NFT_GOTO = -4;
export const NFT_RETURN = -5;

/** The verdict register. */
export const NFT_REG_VERDICT = 0;
/** Four registers of 16 bytes. */
export const NFT_REG_1 = 1;
export const NFT_REG_2 = 2;
export const NFT_REG_3 = 3;
export const NFT_REG_4 = 4;
/** Sixteen of 4 bytes over the same memory: the first four are NFT_REG_1. */
export const NFT_REG32_00 = 8;
export const NFT_REG32_15 = 23;

/** The data type of a map to verdicts, in `NewSet.dataType`. */
export const NFT_DATA_VERDICT = 0xffffff00;

/** `enum nft_verdict_attributes`. */
export const verdictAttributes = attributes("verdict", {
  code: [1, bes32], // NFTA_VERDICT_CODE
  chain: [2, text], // NFTA_VERDICT_CHAIN: of NFT_JUMP and NFT_GOTO
});

/** `enum nft_data_attributes`: one of the two. */
export const data = attributes("data", {
  value: [1, bytes], // NFTA_DATA_VALUE
  verdict: [2, verdictAttributes], // NFTA_DATA_VERDICT
});
export type DataAttributes = AttributesOf<typeof data>;

/** What happens to the packet; `chain` with NFT_JUMP and NFT_GOTO. */
export interface Verdict {
  readonly code: number;
  readonly chain?: string | undefined;
}

/** A value in the byte order of what it is compared with, or a verdict. */
export type Data =
  | { readonly value: Uint8Array; readonly verdict?: undefined }
  | { readonly verdict: Verdict; readonly value?: undefined };

/** Decodes a verdict or value from its attributes; `undefined` if they hold neither. */
export function parseData(attributes: DataAttributes): Data | undefined {
  if (attributes.value !== undefined) return { value: attributes.value };
  const verdict = attributes.verdict;
  if (verdict?.code === undefined) return undefined;
  return {
    verdict: {
      code: verdict.code,
      ...(verdict.chain === undefined ? {} : { chain: verdict.chain }),
    },
  };
}
