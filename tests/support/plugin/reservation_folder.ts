/** A folder of reservations for the length of a test, and the reference plugin host-local beside us. */

import type { Boot } from "../../../cni/ipam/boot.ts";
import { ReservationStore } from "../../../cni/ipam/store.ts";
import { runProgram } from "../program/executable.ts";
import { findProgram } from "../program/program.ts";
import { environmentOf } from "./call.ts";

/** What does not belong to the reference plugin, or says nothing. */
const UNSAID = ["lock", ".calyx"];

/** One network's folder; time and boots pass as the test says. */
export class ReservationFolder implements Disposable {
  readonly root: string = Deno.makeTempDirSync();
  readonly path: string = `${this.root}/net1`;
  /** The present boot, and when it began. */
  bootId = "boot-1";
  bootMs = 0;
  nowMs: number = Date.now();

  /** Opens the reservations for the length of `f`. */
  use<T>(f: (store: ReservationStore) => T): T {
    using store = ReservationStore.open(this.path, {
      boot: this.#boot,
      nowMs: () => this.nowMs,
    });
    return f(store);
  }

  get #boot(): Boot {
    return { source: "test", id: this.bootId, startMs: () => this.bootMs };
  }

  /** Ends the present boot: what was written until now is of an earlier one. */
  reboot(): void {
    this.bootId = `boot-${Number(this.bootId.slice(5)) + 1}`;
    this.bootMs = Date.now() + 1;
    while (Date.now() <= this.bootMs + 10); // files are stamped by a clock that ticks every 4 ms
  }

  /** Names and texts of the reference plugin's files. */
  get files(): Record<string, string> {
    const entries = [...Deno.readDirSync(this.path)].filter(({ name }) => !UNSAID.includes(name));
    const textOf = ({ name, isFile }: Deno.DirEntry): string =>
      isFile ? Deno.readTextFileSync(`${this.path}/${name}`) : "no file";
    return Object.fromEntries(
      entries.sort((a, b) => a.name < b.name ? -1 : 1).map((it) => [it.name, textOf(it)]),
    );
  }

  /** The addresses that have a file. */
  get addresses(): string[] {
    return Object.keys(this.files).filter((it) => !it.startsWith("last_reserved_ip"));
  }

  write(name: string, text: string): void {
    const path = `${this.path}/${name}`;
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    Deno.writeTextFileSync(path, text);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.root, { recursive: true });
  }
}

/** What the reference plugin answers. */
export interface ReferenceAnswer {
  readonly code?: number;
  readonly msg?: string;
  readonly ips?: readonly { readonly address: string }[];
}

/** What else the reference plugin is told. */
export interface ReferenceOptions {
  /** Fields of `ipam` besides where the files are. */
  readonly ipam?: object;
  /** Fields of the configuration besides. */
  readonly fields?: object;
  readonly args?: string;
}

/** Runs the reference plugin of the machine on the folder of network `net1` below a root. */
export async function callReference(
  folder: { readonly root: string },
  command: "ADD" | "DEL" | "CHECK",
  containerId: string,
  ranges: readonly (readonly object[])[],
  options: ReferenceOptions = {},
): Promise<ReferenceAnswer> {
  const path = findProgram("host-local") ?? "host-local";
  const container = { containerId, path: "/run/netns/none" };
  const env = environmentOf(command, container, path.slice(0, path.lastIndexOf("/")));
  const ipam = { type: "host-local", dataDir: folder.root, ranges, ...options.ipam };
  const fields = { cniVersion: "1.0.0", name: "net1", type: "ptp", ...options.fields };
  // Not by callPlugin(): it runs others' plugins in a mount namespace, and this one needs no root.
  const { stdout } = await runProgram(path, {
    env: { ...env, CNI_ARGS: options.args ?? "" },
    stdin: JSON.stringify({ ...fields, ipam }),
  });
  return stdout === "" ? {} : JSON.parse(stdout);
}
