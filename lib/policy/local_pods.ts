/**
 * The pods of this node and their interfaces. An interface belongs to its attachment first. A pod without
 * an attachment gets one only if its status has an address that no attachment holds: then the pod runs,
 * and either another plugin attached it, or the agent has lost its attachment. The interface is then the
 * link whose alias names the pod, or else the one whose name is computed from the pod's name. A pod that
 * is about to start has no address, so its interface stays closed until the plugin reports the attachment.
 */

import { type Attachment, podKeyOf, type PodLink } from "../model/facts.ts";
import { interfaceNameOf } from "../model/interface_name.ts";
import { podDigestOf } from "../model/link_alias.ts";
import type { Workload } from "../model/workload.ts";
import { fileIn } from "./attachment_index.ts";
import type { FactStore } from "./fact_store.ts";

/** Tells which interface, if any, is opened for each pod of this node. */
export class LocalPods {
  readonly #facts: FactStore;
  readonly #prefix: string | undefined;
  /** Computed interface name by the pod's key, and the keys by that. */
  readonly #names = new Map<string, string>();
  readonly #keys = new Map<string, Set<string>>();
  /** Digest of the pod's name by the pod's key, and the key by that. */
  readonly #digests = new Map<string, string>();
  readonly #keyOfDigest = new Map<string, string>();
  /** Links that name their pod: its digest by the interface's name, and the names by that. */
  readonly #links = new Map<string, string>();
  readonly #linksOf = new Map<string, Set<string>>();

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

  /** The pods with this computed interface name; more than one is a collision. */
  keysAt(interfaceName: string): Iterable<string> {
    return this.#keys.get(interfaceName) ?? [];
  }

  /** The pods that may claim the same interface as this one, itself among them. */
  rivalsOf(key: string): readonly string[] {
    const name = this.#names.get(key);
    return name === undefined ? [] : [...this.keysAt(name)];
  }

  add(key: string, { namespace, name }: Workload): void {
    if (this.#names.has(key)) return;
    const interfaceName = interfaceNameOf(namespace, name, this.#prefix);
    this.#names.set(key, interfaceName);
    fileIn(this.#keys, interfaceName, key, true);
    const digest = podDigestOf(namespace, name);
    this.#digests.set(key, digest);
    this.#keyOfDigest.set(digest, key);
  }

  delete(key: string): void {
    const interfaceName = this.#names.get(key);
    if (interfaceName === undefined) return;
    this.#names.delete(key);
    fileIn(this.#keys, interfaceName, key, false);
    this.#keyOfDigest.delete(this.#digests.get(key) ?? "");
    this.#digests.delete(key);
  }

  /** Takes a link's alias. @returns keys of the pods that it can affect */
  setLink(interfaceName: string, link: PodLink | undefined): Iterable<string> {
    const before = this.#links.get(interfaceName);
    if (before !== undefined) fileIn(this.#linksOf, before, interfaceName, false);
    if (link === undefined) this.#links.delete(interfaceName);
    else {
      this.#links.set(interfaceName, link.podDigest);
      fileIn(this.#linksOf, link.podDigest, interfaceName, true);
    }
    const named = [before, link?.podDigest].map((it) => this.#keyOfDigest.get(it ?? "") ?? "");
    return new Set([...this.keysAt(interfaceName), ...named.flatMap((it) => this.rivalsOf(it))]);
  }

  /** The pods that a change of this attachment can affect, beside those that claim its addresses. */
  concernedBy(attachment: Attachment): Iterable<string> {
    const { interfaceName } = attachment;
    const named = this.#keyOfDigest.get(this.#links.get(interfaceName) ?? "") ?? "";
    return new Set([
      ...this.keysAt(interfaceName),
      ...this.rivalsOf(podKeyOf(attachment)),
      ...this.rivalsOf(named),
    ]);
  }

  /** The interfaces that are open for a pod of this node. */
  interfacesOf(key: string, workload: Workload): ReadonlySet<string> {
    const { attachments } = this.#facts;
    const names = new Set<string>();
    for (const { interfaceName } of this.#facts.attachmentsOf(workload)) {
      const holders = [...attachments.atInterface(interfaceName)];
      if (holders.every((it) => this.#facts.isOf(it, workload))) names.add(interfaceName);
    }
    const claimed = this.#claimOf(key);
    if (claimed !== undefined && this.#isOpenByStatus(key, claimed)) {
      const rivals = this.#claimantsOf(claimed).filter((it) => this.#isOpenByStatus(it, claimed));
      if (rivals.length === 1) names.add(claimed);
    }
    return names;
  }

  /** Interfaces that several pods claim, with the pods' keys, sorted. */
  conflicts(): ReadonlyMap<string, readonly string[]> {
    const conflicts = new Map<string, readonly string[]>();
    for (const [name, keys] of this.#keys) {
      const all = new Set([...keys].filter((it) => this.#isClaimant(it, name)));
      for (const attachment of this.#facts.attachments.atInterface(name)) {
        all.add(podKeyOf(attachment));
      }
      if (all.size > 1) conflicts.set(name, [...all].sort());
    }
    return conflicts;
  }

  /** The interface of a pod without an attachment; `undefined`: two links name the pod. */
  #claimOf(key: string): string | undefined {
    const digest = this.#digests.get(key) ?? "";
    const { attachments } = this.#facts;
    // A pod that has attachments may have left a link that its successor must not open.
    const isAttached = [...attachments.ofPod(key)].length > 0;
    const links = isAttached ? [] : [...this.#linksOf.get(digest) ?? []]
      .filter((it) => !attachments.hasInterface(it));
    const [link, ...more] = links;
    if (link !== undefined) return more.length === 0 ? link : undefined;
    const computed = this.#names.get(key);
    if (computed === undefined) return undefined;
    const named = this.#links.get(computed);
    return named === undefined || named === digest ? computed : undefined;
  }

  /** The pods that an interface without an attachment may belong to. */
  #claimantsOf(interfaceName: string): readonly string[] {
    const named = this.#keyOfDigest.get(this.#links.get(interfaceName) ?? "");
    const keys = new Set([...this.keysAt(interfaceName), ...(named === undefined ? [] : [named])]);
    return [...keys].filter((it) => this.#claimOf(it) === interfaceName);
  }

  /** Whether the pod runs without an attachment, and this interface is its. */
  #isClaimant(key: string, interfaceName: string): boolean {
    const workload = this.#facts.workload(key);
    return workload !== undefined && this.#claimOf(key) === interfaceName &&
      this.#facts.attachmentsOf(workload).length === 0 && this.#hasUnexplainedAddress(workload);
  }

  #hasUnexplainedAddress(workload: Workload): boolean {
    const { attachments } = this.#facts;
    return this.#facts.credibleAddressesOf(workload)
      .some((it) => !attachments.hasAddress(it.toString()));
  }

  #isOpenByStatus(key: string, interfaceName: string): boolean {
    const { attachments } = this.#facts;
    const workload = this.#facts.workload(key);
    return workload !== undefined && !attachments.hasInterface(interfaceName) &&
      attachments.detachmentOf(key)?.uid !== workload.uid &&
      this.#hasUnexplainedAddress(workload);
  }
}
