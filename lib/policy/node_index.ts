/** The nodes by name and by address: which node has an address, and whether a pod may have it too. */

import type { Address } from "../ip/address.ts";
import type { Node } from "../model/node.ts";
import { isCredible } from "./address_doubts.ts";
import { fileIn } from "./attachment_index.ts";

/** Nodes by name and address. */
export class NodeIndex {
  readonly #nodes = new Map<string, Node>();
  /** Names of the nodes that have an address. */
  readonly #holders = new Map<string, Set<string>>();

  get(name: string): Node | undefined {
    return this.#nodes.get(name);
  }

  all(): Iterable<Node> {
    return this.#nodes.values();
  }

  /** Whether an address (canonical text) is some node's. */
  hasAddress(address: string): boolean {
    return this.#holders.has(address);
  }

  /** Whether the address counts if the status of a pod of this node has it. */
  isCredible(address: Address, nodeName: string): boolean {
    return isCredible(address, this.#nodes.get(nodeName), (it) => this.#holders.has(it));
  }

  /** @returns the addresses that the node gained or lost */
  set(name: string, value: Node | undefined): readonly string[] {
    const before = new Set(this.#nodes.get(name)?.addresses.map(String));
    const after = new Set(value?.addresses.map(String));
    for (const address of before) fileIn(this.#holders, address, name, false);
    for (const address of after) fileIn(this.#holders, address, name, true);
    if (value === undefined) this.#nodes.delete(name);
    else this.#nodes.set(name, value);
    return [...before.symmetricDifference(after)];
  }
}
