import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { KernelError } from "../lib/kernel/errno.ts";
import { NetlinkBatchError, NetlinkError } from "../lib/netlink/error.ts";
import type { Request } from "../lib/netlink/message.ts";
import { counter, ct } from "../lib/netlink/nftables/expression.ts";
import { NFT_CT_STATE } from "../lib/netlink/nftables/expression_attributes.ts";
import { NFPROTO_INET } from "../lib/netlink/nftables/message.ts";
import { newRule } from "../lib/netlink/nftables/rule.ts";
import type { NetlinkSocket } from "../lib/netlink/socket.ts";
import {
  explainRefusal,
  formatNeeds,
  KERNELS_TRIED,
  missingConntrack,
  openNetfilter,
} from "./kernel_need.ts";
import { formatHelp } from "./settings.ts";

const CODES: Readonly<Record<string, number>> = { EPERM: 1, ENOENT: 2, EINVAL: 22, EBUSY: 16 };

/** A socket that refuses everything. */
class RefusingSocket implements Pick<NetlinkSocket, "request"> {
  isOpen = true;
  readonly #code: string;

  constructor(code: string) {
    this.#code = code;
  }

  request(request: Request): never {
    throw new NetlinkError(request.name, CODES[this.#code] ?? 0, this.#code);
  }

  [Symbol.dispose](): void {
    this.isOpen = false;
  }
}

const CASES = [
  [
    "EPERM",
    "CAP_NET_ADMIN is missing: run calyx-agent as root, or add NET_ADMIN to its capabilities",
  ],
  [
    "EINVAL",
    "This kernel has no nf_tables, so nothing is enforced: modprobe nf_tables, or a kernel with " +
    "CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET",
  ],
  ["EBUSY", "Cannot NFT_MSG_GETGEN: EBUSY"],
] as const;

for (const [code, message] of CASES) {
  Deno.test(`openNetfilter() says what is missing: ${code}`, () => {
    const socket = new RefusingSocket(code);
    const open = () => socket as unknown as NetlinkSocket;
    assertThrows(() => openNetfilter(open), Error, message);
    assert(!socket.isOpen);
  });
}

Deno.test("openNetfilter() says what is missing where there is no such socket", () => {
  const open = (): never => {
    throw new KernelError("open netlink socket", 93);
  };
  assertThrows(() => openNetfilter(open), Error, "This kernel has no nf_tables, so nothing");
});

Deno.test("missingConntrack() says what is not done without it", () => {
  assertEquals(
    missingConntrack(new RefusingSocket("EINVAL")),
    "This kernel has no nf_conntrack_netlink, so flows that a change of policy denies are not cut " +
      "(--flow-cut): modprobe nf_conntrack_netlink, or a kernel with CONFIG_NF_CT_NETLINK",
  );
  assertEquals(missingConntrack({ request: () => [] }), undefined);
});

Deno.test("explainRefusal() names the module of the expression that the kernel does not know", () => {
  const request = newRule({
    table: { family: NFPROTO_INET, name: "calyx" },
    chain: "a",
    expressions: [ct({ key: NFT_CT_STATE, destinationRegister: 1 }), counter()],
  });
  const refused = (code: string, attributeOffset: number): string | undefined =>
    explainRefusal(
      new NetlinkBatchError([
        new NetlinkError("x", CODES[code] ?? 0, code, { request, attributeOffset }),
      ]),
    );
  // Headers 16 + 4, table 12, chain 8, header of the list 4: the first expression begins at 44.
  assertEquals(refused("ENOENT", 44), "This kernel has no nft_ct: modprobe nft_ct");
  assertEquals(refused("ENOENT", 40), undefined);
  assertEquals(refused("EBUSY", 44), undefined);
  assertEquals(explainRefusal(new Error("x")), undefined);
});

Deno.test("--help ends with what the agent needs of the kernel", () => {
  assert(formatHelp().endsWith(`\n\n${formatNeeds().join("\n")}\n`));
});

Deno.test("README names the oldest kernel that was tested", async () => {
  const readme = await Deno.readTextFile(new URL("../README.md", import.meta.url));
  const [oldest = "", ...others] = KERNELS_TRIED;
  assertMatch(
    readme.replaceAll(/\s+/g, " "),
    new RegExp(`tested on Linux ${oldest} \\(the oldest\\)`),
  );
  for (const it of others) assert(readme.includes(it), it);
});
