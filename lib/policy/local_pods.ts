/**
 * The pods of this node and their interfaces. An interface belongs to its attachment first. The name
 * that is computed from the pod's is opened without an attachment only where the pod's status has an
 * address that no attachment explains: then the pod runs, and another plugin attached it, or what the
 * agent knew of it is lost. A pod that is about to start has no address, so nothing is open for it
 * before the plugin says that it is this very pod's.
 */

import { podKeyOf } from "../model/facts.ts";
import { interfaceNameOf } from "../model/interface_name.ts";
import type { Workload } from "../model/workload.ts";
import { fileIn } from "./attachment_index.ts";
import type { FactStore } from "./fact_store.ts";

/** See the file's comment. */
export class LocalPods {
  readonly #facts: FactStore;
  readonly #prefix: string | undefined;
  /** Computed interface name by the pod's key, and the keys by that. */
  readonly #names = new Map<string, string>();
  readonly #keys = new Map<string, Set<string>>();

  /** @param prefix of the pods' interfaces */
  constructor(facts: FactStore, prefix: string | undefined) {
    this.#facts = facts;
    this.#prefix = prefix;
  }

  has(key: string): boolean {
    return this.#names.has(key);
  }

  keys(): Iterable<string> {
    return this.#names.keys();
  }

  /** The pods whose computed name this is; more than one is a collision. */
  keysAt(interfaceName: string): Iterable<string> {
    return this.#keys.get(interfaceName) ?? [];
  }

  /** The pods that can have a claim on what a pod of this node claims by its name, itself among them. */
  rivalsOf(key: string): Iterable<string> {
    const name = this.#names.get(key);
    return name === undefined ? [] : [...this.keysAt(name)];
  }

  add(key: string, { namespace, name }: Workload): void {
    if (this.#names.has(key)) return;
    const interfaceName = interfaceNameOf(namespace, name, this.#prefix);
    this.#names.set(key, interfaceName);
    fileIn(this.#keys, interfaceName, key, true);
  }

  delete(key: string): void {
    const interfaceName = this.#names.get(key);
    if (interfaceName === undefined) return;
    this.#names.delete(key);
    fileIn(this.#keys, interfaceName, key, false);
  }

  /** The interfaces that are open for a pod of this node. */
  interfacesOf(key: string, workload: Workload): ReadonlySet<string> {
    const { attachments } = this.#facts;
    const names = new Set<string>();
    for (const { interfaceName } of this.#facts.attachmentsOf(workload)) {
      const holders = [...attachments.atInterface(interfaceName)];
      if (holders.every((it) => this.#facts.isOf(it, workload))) names.add(interfaceName);
    }
    const computed = this.#names.get(key);
    if (computed !== undefined && this.#isOpenByStatus(key, computed)) {
      const rivals = [...this.keysAt(computed)].filter((it) => this.#isOpenByStatus(it, computed));
      if (rivals.length === 1) names.add(computed);
    }
    return names;
  }

  /** Interfaces that several pods claim, with the pods' keys, sorted. */
  conflicts(): ReadonlyMap<string, readonly string[]> {
    const conflicts = new Map<string, readonly string[]>();
    for (const [name, keys] of this.#keys) {
      const all = new Set(keys);
      for (const attachment of this.#facts.attachments.atInterface(name)) {
        all.add(podKeyOf(attachment));
      }
      if (all.size > 1) conflicts.set(name, [...all].sort());
    }
    return conflicts;
  }

  #isOpenByStatus(key: string, interfaceName: string): boolean {
    const { attachments } = this.#facts;
    const workload = this.#facts.workload(key);
    return workload !== undefined && !attachments.hasInterface(interfaceName) &&
      attachments.detachmentOf(key)?.uid !== workload.uid &&
      this.#facts.credibleAddressesOf(workload).some((it) =>
        !attachments.hasAddress(it.toString())
      );
  }
}
