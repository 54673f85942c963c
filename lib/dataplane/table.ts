/** Our table, as messages name it. */

import { NFPROTO_INET } from "../netlink/nftables/message.ts";
import { TABLE_NAME } from "./compile/names.ts";

/** `inet calyx`. */
export const TABLE = { family: NFPROTO_INET, name: TABLE_NAME } as const;
