/** The cases that the fake kernel is held to, asked of the real one. */

import { transaction } from "../../../lib/netlink/nftables/batch.ts";
import { deleteTable } from "../../../lib/netlink/nftables/table.ts";
import { NETLINK_NETFILTER, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { NFTABLES_SUITE, runCase, SUITE_TABLE } from "../../support/kernel/nftables_suite.ts";

for (const it of NFTABLES_SUITE) {
  Deno.test(`the kernel: ${it.name}`, async () => {
    requireIsolation();
    using socket = openNetlinkSocket(NETLINK_NETFILTER);
    try {
      await runCase(socket, it);
    } finally {
      await socket.batch(transaction([deleteTable(SUITE_TABLE)])).catch(() => {}); // none was made
    }
  });
}
