/** Allocation on disk, and the reference plugin of the machine on the same files where there is one. */

import { assertEquals, assertThrows } from "@std/assert";
import { Address } from "../../lib/ip/address.ts";
import { Prefix } from "../../lib/ip/prefix.ts";
import { CniError } from "../protocol/error.ts";
import type { HostLocalSettings } from "./configuration.ts";
import { allocateAddresses, releaseInvalid, releaseOf } from "./host_local.ts";
import { completeRange } from "./range.ts";
import { ReservationStore } from "./store.ts";

const REFERENCE = "/usr/lib/cni/host-local";
const hasReference = exists(REFERENCE);

/** A folder of reservations for the length of a test. */
class Folder implements Disposable {
  readonly root = Deno.makeTempDirSync();
  readonly path = `${this.root}/net1`;

  settings(subnets: readonly string[], requested: readonly string[] = []): HostLocalSettings {
    return {
      folder: this.path,
      sets: subnets.map((it) => [completeRange({ subnet: Prefix.parse(it) })]),
      requested: requested.map((it) => Address.parse(it)),
      routes: [],
      resolvConf: undefined,
    };
  }

  /** Names and texts of all files but the lock. */
  get files(): Record<string, string> {
    const names = [...Deno.readDirSync(this.path)].map((it) => it.name).filter((it) =>
      it !== "lock"
    );
    return Object.fromEntries(
      names.sort().map((it) => [it, Deno.readTextFileSync(`${this.path}/${it}`)]),
    );
  }

  get addresses(): string[] {
    return Object.keys(this.files).filter((it) => !it.startsWith("last_reserved_ip"));
  }

  write(name: string, text: string): void {
    Deno.mkdirSync(this.path, { recursive: true });
    Deno.writeTextFileSync(`${this.path}/${name}`, text);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.root, { recursive: true });
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function allocate(settings: HostLocalSettings, containerId: string, ifname = "eth0"): string[] {
  return allocateAddresses(settings, { containerId, ifname }).map((it) => `${it.address}`);
}

Deno.test("allocateAddresses() writes the reference plugin's files", () => {
  using folder = new Folder();
  const settings = folder.settings(["10.1.0.0/24", "fd00::/64"]);
  assertEquals(allocate(settings, "c1"), ["10.1.0.2/24", "fd00::2/64"]);
  assertEquals(folder.files, {
    "10.1.0.2": "c1\r\neth0",
    "fd00::2": "c1\r\neth0",
    "last_reserved_ip.0": "10.1.0.2",
    "last_reserved_ip.1": "fd00::2",
  });
  const mode = (name: string): number | null =>
    (Deno.statSync(`${folder.path}/${name}`).mode ?? 0) & 0o777;
  assertEquals([mode("10.1.0.2"), mode("last_reserved_ip.0"), mode("lock")], [0o600, 0o600, 0o750]);
});

Deno.test("allocateAddresses() goes on behind the last address, and around", () => {
  using folder = new Folder();
  const settings = folder.settings(["10.1.0.0/29"]);
  const given = ["a", "b", "c"].flatMap((it) => allocate(settings, it));
  releaseOf(folder.path, { containerId: "a", ifname: "eth0" });
  given.push(...["d", "e", "f"].flatMap((it) => allocate(settings, it)));
  const expected = ["2", "3", "4", "5", "6", "2"].map((it) => `10.1.0.${it}/29`);
  assertEquals(given, expected);
  const error = assertThrows(() => allocate(settings, "g"), CniError);
  assertEquals(
    error.message,
    "failed to allocate for range 0: no IP addresses available in range set: 10.1.0.1-10.1.0.6",
  );
});

Deno.test("allocateAddresses() keeps nothing when one of the sets is exhausted", () => {
  using folder = new Folder();
  const settings = folder.settings(["10.1.0.0/24", "10.2.0.0/30"]);
  allocate(settings, "c1");
  assertThrows(() => allocate(settings, "c2"), CniError, "range 1");
  assertEquals(folder.addresses, ["10.1.0.2", "10.2.0.2"]);
});

Deno.test("allocateAddresses() refuses a second time, and leaves the first address alone", () => {
  using folder = new Folder();
  const settings = folder.settings(["10.1.0.0/24"]);
  allocate(settings, "c1");
  assertThrows(() => allocate(settings, "c1"), CniError, "duplicate allocation");
  assertEquals(folder.addresses, ["10.1.0.2"]);
  assertEquals(allocate(settings, "c1", "eth1"), ["10.1.0.3/24"]);
});

Deno.test("allocateAddresses() gives what is requested, or says why not", () => {
  using folder = new Folder();
  const subnets = ["10.1.0.0/24", "fd00::/64"];
  assertEquals(allocate(folder.settings(subnets, ["fd00::99"]), "c1"), [
    "10.1.0.2/24",
    "fd00::99/64",
  ]);
  const cases: readonly (readonly [string, string])[] = [
    ["fd00::99", "not available"],
    ["10.1.0.1", "gateway"],
    ["192.0.2.1", "192.0.2.1 is in no range"],
  ];
  for (const [address, message] of cases) {
    assertThrows(() => allocate(folder.settings(subnets, [address]), "c2"), CniError, message);
  }
  assertThrows(() => allocate(folder.settings(subnets, ["10.1.0.8", "10.1.0.9"]), "c2"), CniError);
  assertEquals(folder.addresses, ["10.1.0.2", "fd00::99"]);
});

Deno.test("allocateAddresses() takes back an address whose file a kill left empty", () => {
  using folder = new Folder();
  folder.write("10.1.0.2", "");
  assertEquals(allocate(folder.settings(["10.1.0.0/30"]), "c1"), ["10.1.0.2/30"]);
});

Deno.test("releaseOf() frees by container and interface, of any range, and files of the old form", () => {
  using folder = new Folder();
  releaseOf(folder.path, { containerId: "c1", ifname: "eth0" });
  assertEquals(exists(`${folder.path}/lock`), false);
  folder.write("10.1.0.2", "c1\r\neth0\n");
  folder.write("10.1.0.3", "c1\r\neth1");
  folder.write("10.9.0.4", "c1\r\neth0");
  folder.write("fd00::2", "c2\r\neth0");
  folder.write("10.1.0.5", "old\n");
  releaseOf(folder.path, { containerId: "c1", ifname: "eth0" });
  assertEquals(folder.addresses, ["10.1.0.3", "10.1.0.5", "fd00::2"]);
  releaseOf(folder.path, { containerId: "old", ifname: "eth7" });
  releaseOf(folder.path, { containerId: "old", ifname: "eth7" });
  assertEquals(folder.addresses, ["10.1.0.3", "fd00::2"]);
});

Deno.test("releaseInvalid() frees what no valid attachment holds", () => {
  using folder = new Folder();
  folder.write("10.1.0.2", "c1\r\neth0");
  folder.write("10.1.0.3", "c1\r\neth1");
  folder.write("10.1.0.4", "c2\r\neth0");
  folder.write("10.1.0.5", "c1");
  assertEquals(releaseInvalid(folder.path, [{ containerId: "c1", ifname: "eth0" }]), 2);
  assertEquals(folder.addresses, ["10.1.0.2", "10.1.0.5"]);
  assertEquals(releaseInvalid(folder.path, []), 2);
});

Deno.test("ReservationStore.open() waits for whoever holds the lock", async () => {
  using folder = new Folder();
  const settings = folder.settings(["10.1.0.0/24"]);
  allocate(settings, "c1");
  const script = `flock ${folder.path}/lock sh -c 'echo; sleep 0.3; rm ${folder.path}/10.1.0.2'`;
  const child = new Deno.Command("sh", { args: ["-c", script], stdout: "piped" }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  const open = (): string[] => {
    using store = ReservationStore.open(folder.path);
    return [...store.reservations].map((it) => `${it.address}`);
  };
  assertEquals(open(), []);
  await reader.cancel();
  await child.status;
});

/** Runs the reference plugin on the folder. */
async function reference(
  folder: Folder,
  command: "ADD" | "DEL",
  containerId: string,
): Promise<Record<string, unknown>> {
  const child = new Deno.Command(REFERENCE, {
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: "/run/netns/none",
      CNI_IFNAME: "eth0",
      CNI_PATH: "/usr/lib/cni",
    },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const ranges = [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00::/64" }]];
  const ipam = { type: "host-local", dataDir: folder.root, ranges };
  const text = JSON.stringify({ cniVersion: "1.0.0", name: "net1", type: "ptp", ipam });
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { stdout } = await child.output();
  return stdout.length === 0 ? {} : JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test({
  name: "allocateAddresses() and the reference plugin take turns on the same files",
  ignore: !hasReference, // Debian: containernetworking-plugins
  async fn() {
    using folder = new Folder();
    const settings = folder.settings(["10.1.0.0/24", "fd00::/64"]);
    const first = await reference(folder, "ADD", "theirs");
    assertEquals(JSON.stringify(first.ips).includes("10.1.0.2/24"), true);
    assertEquals(allocate(settings, "ours"), ["10.1.0.3/24", "fd00::3/64"]);
    assertEquals((await reference(folder, "ADD", "ours")).code, 999); // a duplicate for it too
    await reference(folder, "ADD", "theirs2");
    assertEquals(folder.addresses, [
      ...["10.1.0.2", "10.1.0.3", "10.1.0.4"],
      ...["fd00::2", "fd00::3", "fd00::4"],
    ]);
    const { files } = folder;
    assertEquals(files["10.1.0.3"]?.replace("ours", "theirs"), files["10.1.0.2"]);
    await reference(folder, "DEL", "ours");
    releaseOf(folder.path, { containerId: "theirs", ifname: "eth0" });
    assertEquals(folder.addresses, ["10.1.0.4", "fd00::4"]);
  },
});
