/**
 * What the agent needs of the kernel: one row each, from which `--help` and the sentences derive that
 * say what a kernel, or this process, lacks. Not for what a ruleset needs in detail: the kernel names
 * the expression that it does not know ({@link explainRefusal}).
 */

import { KernelError } from "../lib/kernel/errno.ts";
import { getFlowCount } from "../lib/netlink/conntrack/flow.ts";
import { NetlinkBatchError, NetlinkError } from "../lib/netlink/error.ts";
import { getGeneration } from "../lib/netlink/nftables/generation.ts";
import { refusedExpression } from "../lib/netlink/nftables/rule.ts";
import { NETLINK_NETFILTER, type NetlinkSocket, openNetlinkSocket } from "../lib/netlink/socket.ts";

/** The kernels that the tests were run on; what lies between is likely, what is older is not known. */
export const KERNELS_TRIED = ["6.1", "6.12", "6.18"] as const;

/** Something that may be missing. */
interface Need {
  readonly name: string;
  /** How the user provides it. */
  readonly how: string;
  /** What does not work without it. */
  readonly without: string;
}

const NEEDS = {
  netAdmin: {
    name: "CAP_NET_ADMIN",
    how: "run calyx-agent as root, or add NET_ADMIN to its capabilities",
    without: "nothing is enforced",
  },
  nfTables: {
    name: "nf_tables",
    how: "modprobe nf_tables, or a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET",
    without: "nothing is enforced",
  },
  expressions: {
    name: "nft_ct, nft_reject_inet",
    how: "modprobe them, or a kernel with CONFIG_NFT_CT and CONFIG_NFT_REJECT_INET",
    without: "nothing is enforced",
  },
  conntrack: {
    name: "nf_conntrack_netlink",
    how: "modprobe nf_conntrack_netlink, or a kernel with CONFIG_NF_CT_NETLINK",
    without: "flows that a change of policy denies are not cut (--flow-cut)",
  },
  ownedTables: {
    name: "owned tables",
    how: "Linux 6.9",
    without: "others can change table inet calyx, and the agent undoes it (--table-owner)",
  },
} as const satisfies Readonly<Record<string, Need>>;

/** Expressions of our rules that are modules of their own; ENOENT for one means that it is not there. */
const MODULES: Readonly<Record<string, string>> = {
  counter: "nft_counter", // in nf_tables itself since Linux 5.17
  ct: "nft_ct",
  reject: "nft_reject_inet",
};

/** The end of `--help`: one line for each need. */
export function formatNeeds(): readonly string[] {
  return [
    `Kernel: tried on Linux ${KERNELS_TRIED.join(", ")}`,
    ...Object.values(NEEDS).map(({ name, how, without }) =>
      `  ${name.padEnd(26)}${how}; without, ${without}`
    ),
  ];
}

/**
 * Opens a NETLINK_NETFILTER socket, to a kernel that has nf_tables and lets us change it.
 *
 * @throws {Error} one sentence with what is missing, and how to have it
 */
export function openNetfilter(open = openNetlinkSocket): NetlinkSocket {
  let socket: NetlinkSocket | undefined;
  try {
    socket = open(NETLINK_NETFILTER);
    socket.request(getGeneration());
    return socket;
  } catch (error) {
    socket?.[Symbol.dispose]();
    throw explain(error, "nfTables");
  }
}

/**
 * Why flows cannot be read and cut, in one sentence; undefined where they can.
 *
 * @param socket NETLINK_NETFILTER
 */
export function missingConntrack(
  socket: Pick<NetlinkSocket, "request">,
): string | undefined {
  try {
    socket.request(getFlowCount());
    return undefined;
  } catch (error) {
    const { message } = explain(error, "conntrack");
    return message;
  }
}

/** What the kernel lacks if that is why it refused a ruleset; undefined where it is something else. */
export function explainRefusal(error: unknown): string | undefined {
  if (!(error instanceof NetlinkBatchError)) return undefined;
  for (const { code, request, attributeOffset } of error.failures) {
    if (code !== "ENOENT" || request === undefined || attributeOffset === undefined) continue;
    const module = MODULES[refusedExpression(request, attributeOffset)?.name ?? ""];
    if (module !== undefined) return `This kernel has no ${module}: modprobe ${module}`;
  }
  return undefined;
}

/** The errors for a missing subsystem: EINVAL for a message, EPROTONOSUPPORT for a socket. */
function explain(error: unknown, need: "nfTables" | "conntrack"): Error {
  if (!(error instanceof NetlinkError || error instanceof KernelError)) throw error;
  switch (error.code) {
    case "EPERM":
      return new Error(`CAP_NET_ADMIN is missing: ${NEEDS.netAdmin.how}`, { cause: error });
    case "EINVAL":
    case "EOPNOTSUPP":
    case "EPROTONOSUPPORT": {
      const { name, how, without } = NEEDS[need];
      return new Error(`This kernel has no ${name}, so ${without}: ${how}`, { cause: error });
    }
    default:
      return error;
  }
}
