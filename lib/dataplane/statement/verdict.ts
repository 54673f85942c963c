/** What happens to a packet. */

import {
  NF_ACCEPT,
  NF_DROP,
  NFT_GOTO,
  NFT_JUMP,
  NFT_RETURN,
  type Verdict as KernelVerdict,
} from "../../netlink/nftables/data.ts";

/** The verdict of a rule or of a map's element. A map cannot reject. */
export type Verdict =
  | { readonly code: "accept" | "drop" | "return" }
  | { readonly code: "jump" | "goto"; readonly chain: string };

const CODES: Readonly<Record<Verdict["code"], number>> = {
  accept: NF_ACCEPT,
  drop: NF_DROP,
  return: NFT_RETURN,
  jump: NFT_JUMP,
  goto: NFT_GOTO,
};

/** A verdict as the kernel has it. */
export function encodeVerdict(verdict: Verdict): KernelVerdict {
  const code = CODES[verdict.code];
  return "chain" in verdict ? { code, chain: verdict.chain } : { code };
}

/** Renders a verdict: `accept`, `goto to-pod`. */
export function renderVerdict(verdict: Verdict): string {
  return "chain" in verdict ? `${verdict.code} ${verdict.chain}` : verdict.code;
}
