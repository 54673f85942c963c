/**
 * Which Node this machine is. Under a name that no Node has, no pod would be this node's: so nothing is
 * enforced before the Node is there, and people are told which Nodes there are. A Node that goes later
 * takes nothing with it.
 */

import type { Node } from "../lib/model/node.ts";

/** What the agent knows before the API server answers. */
export interface OwnNodeOptions {
  readonly name: string;
  /** Whether the user set it; otherwise it is the host name, a guess. */
  readonly isNameGiven: boolean;
  readonly nodes: () => Iterable<Node>;
  /** Whether every Node has been listed. */
  readonly isListed: () => boolean;
  /** The machine's addresses, as canonical texts. */
  readonly hostAddresses: () => ReadonlySet<string>;
}

const NAMES_SHOWN_MAX = 5;

/** Searches this machine's Node until it is found, and keeps it from then on. */
export class OwnNode {
  readonly #options: OwnNodeOptions;
  #name: string;
  #isFound = false;
  #isGone = false;
  /** The Node as last seen; fields that it has lost keep their earlier values. */
  #last: Node | undefined;

  constructor(options: OwnNodeOptions) {
    this.#options = options;
    this.#name = options.name;
  }

  /** The name of the Node; until it is found, the configured one. */
  get name(): string {
    return this.#name;
  }

  get isFound(): boolean {
    return this.#isFound;
  }

  /**
   * Searches the Node: by its name; else by the names that clouds give the machine (`Node.aliases`);
   * else, if no name was configured, by the machine's addresses. If several match, it takes none.
   *
   * @returns whether it is found
   */
  find(): boolean {
    if (this.#isFound) return true;
    const { name, isNameGiven, nodes } = this.#options;
    const all = [...nodes()];
    const ways = [
      all.filter((it) => it.name === name),
      all.filter((it) => it.aliases?.includes(name)),
      ...(isNameGiven ? [] : [this.#atHostAddresses(all)]),
    ];
    const [node, ...more] = ways.find((it) => it.length > 0) ?? [];
    if (node === undefined || more.length > 0) return false;
    this.#name = node.name;
    this.#last = node;
    return this.#isFound = true;
  }

  /**
   * Takes a Node that was added or changed, or (`undefined`) deleted.
   *
   * @returns the Node to use: this machine's Node, once found, stays as last seen, and keeps the pod
   * CIDRs and addresses that it had
   */
  complete(name: string, node: Node | undefined): Node | undefined {
    if (name !== this.#name) return node;
    this.#isGone = node === undefined;
    if (!this.#isFound) return this.#last = node;
    if (node !== undefined) {
      const { podCidrs = [], addresses = [] } = this.#last ?? {};
      this.#last = {
        ...node,
        podCidrs: node.podCidrs.length > 0 ? node.podCidrs : podCidrs,
        addresses: node.addresses.length > 0 ? node.addresses : addresses,
      };
    }
    return this.#last;
  }

  /** One sentence why the agent cannot enforce; `undefined`: the Node is found. */
  get missing(): string | undefined {
    const { name, nodes, isListed } = this.#options;
    if (this.#isFound) return undefined;
    if (!isListed()) return `Node ${name} is not known yet: the API server has not answered`;
    const all = [...nodes()];
    return `No Node is named ${name}; there are: ${formatNames(all)}; set CALYX_NODE_NAME ` +
      `(--node-name) to the name of this machine's Node${this.#hint(all)}`;
  }

  /** Sentences for `/readyz` about the Node, once it is found. */
  get details(): readonly string[] {
    if (!this.#isFound || !this.#isGone) return [];
    return [`Node ${this.#name} is gone from the API server: what it said last stays in force`];
  }

  #hint(all: readonly Node[]): string {
    const { name } = this.#options;
    const likely = [...this.#atHostAddresses(all), ...all.filter((it) => isLike(it, name))];
    const names = [...new Set(likely.map((it) => it.name))].slice(0, NAMES_SHOWN_MAX);
    return names.length === 0 ? "" : `, perhaps ${names.join(" or ")}`;
  }

  #atHostAddresses(all: readonly Node[]): readonly Node[] {
    const own = this.#options.hostAddresses();
    return all.filter((it) => it.addresses.some((address) => own.has(address.toString())));
  }
}

/** Whether `wanted` is the Node's name or one of its aliases, either with or without a domain. */
function isLike({ name, aliases = [] }: Node, wanted: string): boolean {
  return [name, ...aliases].some((it) =>
    it === wanted || it.startsWith(`${wanted}.`) || wanted.startsWith(`${it}.`)
  );
}

function formatNames(nodes: readonly Node[]): string {
  const names = nodes.map((it) => it.name).sort();
  if (names.length === 0) return "none";
  const more = names.length - NAMES_SHOWN_MAX;
  return names.slice(0, NAMES_SHOWN_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
