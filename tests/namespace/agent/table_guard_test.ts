/** Whose change it was: the guard against a real kernel, with transactions of ours and of nft(8). */

import { assertEquals } from "@std/assert";
import { TableGuard } from "../../../agent/table_guard.ts";
import { createLogger } from "../../../lib/base/log.ts";
import { Dataplane } from "../../../lib/dataplane/apply.ts";
import { TABLE } from "../../../lib/dataplane/table.ts";
import { transaction } from "../../../lib/netlink/nftables/batch.ts";
import { newChain } from "../../../lib/netlink/nftables/chain.ts";
import { newRule } from "../../../lib/netlink/nftables/rule.ts";
import { deleteTable, newTable } from "../../../lib/netlink/nftables/table.ts";
import {
  NETLINK_NETFILTER,
  type NetlinkSocket,
  openNetlinkSocket,
} from "../../../lib/netlink/socket.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { nft } from "../../support/kernel/nft_listing.ts";
import { programTest } from "../../support/program/program.ts";

/** A table that others can change, with a guard over it. */
class GuardedTable implements AsyncDisposable {
  readonly socket: NetlinkSocket = openNetlinkSocket(NETLINK_NETFILTER);
  readonly reasons: string[] = [];
  readonly #guard;
  #onRepair: () => void = () => {};

  constructor() {
    const logger = createLogger({
      write: (line) => this.reasons.push(String(JSON.parse(line).reason)),
    });
    this.#guard = new TableGuard(logger);
    this.#guard.start({
      ownPortId: new Dataplane(this.socket, logger).portId,
      onForeignChange: () => this.#onRepair(),
    });
  }

  /** As of now: what the kernel has queued is counted. */
  get changes(): number {
    return this.#guard.foreignChanges();
  }

  /** Our own transaction: the table, and `rules` rules of it. */
  async make(rules: number): Promise<void> {
    await this.socket.batch(transaction([
      newTable({ table: TABLE }),
      newChain({ table: TABLE, name: "own" }),
      ...Array.from({ length: rules }, (_, index) =>
        newRule({
          ...{ table: TABLE, chain: "own", expressions: [], tag: `${index}`.padEnd(60, ".") },
        })),
    ]));
  }

  repaired(): Promise<void> {
    return new Promise((resolve) => this.#onRepair = resolve);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#guard[Symbol.dispose]();
    await this.#guard.done;
    await this.socket.batch(transaction([deleteTable(TABLE)])).catch(() => {}); // or nft flushed it
    this.socket[Symbol.dispose]();
  }
}

programTest(
  "TableGuard is silent about our own transactions, however large they are",
  ["nft"],
  async () => {
    requireIsolation();
    await using table = new GuardedTable();
    await table.make(10);
    assertEquals(table.changes, 0);
    // Three megabytes, sent by another thread; then more notifications than a receive buffer holds.
    await table.make(20_000);
    assertEquals(table.changes, 0);
    await table.make(100_000);
    assertEquals(table.changes, 0);
    const repaired = table.repaired();
    nft("add", "chain", "inet", "calyx", "foreign");
    assertEquals(table.changes, 1);
    await repaired;
    assertEquals(table.reasons, ["changed by nft"]);
  },
);

programTest("TableGuard misses no foreign change amid our own", ["nft"], async () => {
  requireIsolation();
  await using table = new GuardedTable();
  await table.make(1);
  for (let round = 1; round <= 10; round++) {
    const large = table.make(8_000); // on its way while nft commits
    nft("add", "chain", "inet", "calyx", `foreign${round}`);
    await large;
    assertEquals(table.changes, round);
  }
  nft("flush", "ruleset");
  assertEquals(table.changes, 11);
});

programTest("TableGuard leaves other tables to others", ["nft"], async () => {
  requireIsolation();
  await using table = new GuardedTable();
  await table.make(1);
  nft("add", "table", "inet", "other");
  nft("add", "table", "ip", "calyx");
  nft("delete", "table", "inet", "other");
  nft("delete", "table", "ip", "calyx");
  assertEquals(table.changes, 0);
  nft("flush", "chain", "inet", "calyx", "own");
  assertEquals(table.changes, 1);
});
