import { assertEquals } from "@std/assert";
import { formatHolder, type Holder, isAddressName, parseHolder } from "./reservation.ts";
import { ReservationTable } from "./reservation_table.ts";
import { formatIndex, parseIndex, type ReservationIndex } from "./reservation_index.ts";

Deno.test("parseHolder() reads both forms, and nothing else", () => {
  const cases: readonly (readonly [string, Holder | undefined])[] = [
    ["c1\r\neth0", { containerId: "c1", ifname: "eth0" }],
    [" c1\neth0 \n", { containerId: "c1", ifname: "eth0" }],
    ["c1", { containerId: "c1", ifname: undefined }],
    ["", undefined],
    ["\0\0\0", undefined],
    ["c1\r\neth0\r\nmore", undefined],
    ["c 1", undefined],
  ];
  for (const [text, holder] of cases) assertEquals(parseHolder(text), holder, text);
  assertEquals(formatHolder({ containerId: "c1", ifname: "eth0" }), "c1\r\neth0");
  assertEquals(formatHolder({ containerId: "c1", ifname: undefined }), "c1");
});

Deno.test("isAddressName() knows addresses by their looks", () => {
  const yes = ["10.1.0.2", "fd00::2", "::1", "fd00:1:2:3:4:5:6:7", "::ffff:10.0.0.1"];
  const no = [
    "lock",
    "last_reserved_ip.0",
    ".calyx.json",
    "10.1.0",
    "10.1.0.2.tmp",
    "fd00",
    "FD::1",
  ];
  assertEquals(yes.filter((it) => !isAddressName(it)), []);
  assertEquals(no.filter(isAddressName), []);
});

const TABLE = ReservationTable.of([
  { address: "10.1.0.2", holder: { containerId: "c1", ifname: "eth0" } },
  { address: "10.1.0.20", holder: { containerId: "old", ifname: undefined } },
  { address: "10.1.0.21", holder: { containerId: "c2", ifname: "old" } },
  { address: "fd00::2", holder: undefined },
  { address: "fd00::20", holder: { containerId: "c1", ifname: "eth0" } },
]);

Deno.test("ReservationTable finds holders and addresses, and not what only looks like them", () => {
  const find = (containerId: string, ifname?: string): string[] =>
    TABLE.find({ containerId, ifname });
  assertEquals(find("c1", "eth0"), ["10.1.0.2", "fd00::20"]);
  assertEquals(find("old"), ["10.1.0.20"]);
  assertEquals(find("c2", "old"), ["10.1.0.21"]);
  for (const it of [find("1", "eth0"), find("c1", "eth"), find("c1"), find("eth0"), find("c2")]) {
    assertEquals(it, []);
  }
  const yes = ["10.1.0.2", "10.1.0.20", "fd00::2", "fd00::20"];
  assertEquals(yes.filter((it) => !TABLE.has(it)), []);
  assertEquals(
    ["10.1.0.1", "0.1.0.2", "10.1.0.200", "fd00::", "c1"].filter((it) => TABLE.has(it)),
    [],
  );
});

Deno.test("ReservationTable takes out one line, wherever it stands", () => {
  for (const { address } of TABLE.reservations) {
    const table = ReservationTable.fromText(TABLE.text);
    table.delete(address);
    assertEquals(table.reservations, TABLE.reservations.filter((it) => it.address !== address));
    table.delete(address);
    table.add({ address, holder: undefined });
    assertEquals([table.has(address), table.reservations.length], [true, 5]);
  }
  const empty = ReservationTable.of([]);
  empty.delete("10.1.0.2");
  assertEquals([empty.text, empty.reservations], ["", []]);
});

Deno.test("parseIndex() reads what formatIndex() wrote, and no piece of it", () => {
  const index: ReservationIndex = {
    folderTimeMs: 1_700_000_000_000,
    boot: { source: "/proc/sys/kernel/random/boot_id", id: "b1" },
    held: TABLE,
    freedMs: new Map([["10.1.0.4", 1_700_000_000_001]]),
  };
  const text = formatIndex(index);
  assertEquals(parseIndex(text), index);
  for (let length = 0; length < text.length; length++) {
    assertEquals(parseIndex(text.slice(0, length)), undefined);
  }
  for (
    const wrong of ["", "{}", text.replace(" 1\n", " 2\n"), text.replace("folder 1", "folder x")]
  ) {
    assertEquals(parseIndex(wrong), undefined, wrong);
  }
  const unknown = { ...index, boot: { source: "a path", id: "" }, held: ReservationTable.of([]) };
  assertEquals(parseIndex(formatIndex(unknown)), unknown);
});
