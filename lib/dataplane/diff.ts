/**
 * What to send so that the kernel, which has `Sent`, gets a ruleset: one transaction's messages, in an
 * order in which nothing is named before it exists or deleted while it is named. What is already
 * right is not touched, and keeps its counters.
 */

import type { Request } from "../netlink/message.ts";
import {
  deleteChain,
  newChain,
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
} from "../netlink/nftables/chain.ts";
import type { Element } from "../netlink/nftables/element.ts";
import { deleteElements, newElements } from "../netlink/nftables/element_list.ts";
import { NFPROTO_INET } from "../netlink/nftables/message.ts";
import { flushChain, newRule } from "../netlink/nftables/rule.ts";
import { deleteSet, newSet } from "../netlink/nftables/set.ts";
import { deleteTable, newTable } from "../netlink/nftables/table.ts";
import { TABLE_NAME } from "./compile/names.ts";
import {
  definitionOf,
  elementContent,
  elementId,
  elementOfId,
  elementsOf,
  memberElements,
} from "./element.ts";
import { encodeRule } from "./encode.ts";
import type { Chain, NamedSet, NameElement, Ruleset } from "./ruleset.ts";

/** Our table, as messages name it. */
export const TABLE = { family: NFPROTO_INET, name: TABLE_NAME } as const;

/** Priority of our base chains: behind DNAT, so that policy sees pod addresses. */
const PRIORITY_FILTER = 0;
const HOOKS = {
  input: NF_INET_LOCAL_IN,
  forward: NF_INET_FORWARD,
  output: NF_INET_LOCAL_OUT,
} as const;

/** What the kernel has: read from it at first, then what we sent. */
export interface Sent {
  readonly chains: ReadonlyMap<string, SentChain>;
  readonly sets: ReadonlyMap<string, SentSet>;
}

/** A chain by what identifies it. */
export interface SentChain {
  readonly hook: string | undefined;
  /** The tags of its rules, in order. */
  readonly tags: string;
  /** The chain that we sent: the same object again needs no look inside. */
  readonly chain?: Chain;
}

/** A set by what identifies it, and its elements: listed by the kernel, or those of the set that we sent. */
export interface SentSet {
  readonly tag: string;
  readonly elements:
    | { readonly kind: "listed"; readonly contents: ReadonlyMap<string, string> }
    /** `revision`: of the members, where it has such. */
    | { readonly kind: "sent"; readonly set: NamedSet; readonly revision: number };
}

/** The messages, and what the kernel has when it has taken them. */
export interface Difference {
  readonly requests: readonly Request[];
  readonly sent: Sent;
  /** Numbers for people. */
  readonly changed: {
    readonly chains: number;
    readonly sets: number;
    readonly elements: number;
  };
}

/** What a set's tag is: its definition, whatever its elements are. */
export function setTag(set: NamedSet): string {
  return JSON.stringify(set.type);
}

/** What identifies the rules of a chain. */
export function chainTags(chain: Chain): string {
  return chain.rules.map((rule) => rule.tag).join(" ");
}

/**
 * Compares.
 *
 * @param tableFlags for the case that the table must be made anew
 * @returns `undefined` when `sent` does not say enough: read the kernel and compare with that
 */
export function diff(sent: Sent, ruleset: Ruleset, tableFlags: number): Difference | undefined {
  if (!isIncompatible(sent, ruleset)) return diffCompatible(sent, ruleset);
  const anew = [deleteTable(TABLE), newTable({ table: TABLE, flags: tableFlags })];
  const whole = diffCompatible({ chains: new Map(), sets: new Map() }, ruleset);
  return whole && { ...whole, requests: [...anew, ...whole.requests] };
}

/** A set or base chain of the same name that is defined otherwise: another version made it. */
function isIncompatible(sent: Sent, ruleset: Ruleset): boolean {
  for (const set of ruleset.sets.values()) {
    const there = sent.sets.get(set.name);
    if (there === undefined || isFrom(there, set)) continue;
    if (there.tag !== setTag(set)) return true;
  }
  for (const chain of ruleset.chains.values()) {
    const there = sent.chains.get(chain.name);
    if (there !== undefined && there.hook !== chain.hook) return true;
  }
  return false;
}

function diffCompatible(sent: Sent, ruleset: Ruleset): Difference | undefined {
  const sets = diffSets(sent, ruleset);
  if (sets === undefined) return undefined;
  const chains = diffChains(sent, ruleset);
  return {
    requests: [
      ...sets.created,
      ...chains.created,
      ...sets.plainElements,
      ...chains.rules,
      ...sets.mapElements,
      ...chains.deleted,
      ...sets.deleted,
    ],
    sent: { chains: chains.sent, sets: sets.sent },
    changed: { chains: chains.changed, sets: sets.changed, elements: sets.changedElements },
  };
}

interface ChainDifference {
  readonly created: Request[];
  readonly rules: Request[];
  readonly deleted: Request[];
  readonly sent: Map<string, SentChain>;
  changed: number;
}

function diffChains(sent: Sent, ruleset: Ruleset): ChainDifference {
  const out: ChainDifference = {
    created: [],
    rules: [],
    deleted: [],
    sent: new Map(),
    changed: 0,
  };
  for (const chain of ruleset.chains.values()) {
    const { name, hook } = chain;
    const there = sent.chains.get(name);
    if (there?.chain === chain) {
      out.sent.set(name, there);
      continue;
    }
    const tags = chainTags(chain);
    out.sent.set(name, { hook, tags, chain });
    if (there === undefined) {
      out.created.push(newChain({ table: TABLE, name, hook: hook && baseHook(hook) }));
    }
    if (there?.tags === tags) continue;
    out.changed++;
    if (there !== undefined && there.tags !== "") {
      out.rules.push(flushChain({ table: TABLE, chain: name }));
    }
    for (const rule of chain.rules) {
      const { comment, tag } = rule;
      const expressions = encodeRule(rule);
      out.rules.push(newRule({ table: TABLE, chain: name, expressions, comment, tag }));
    }
  }
  for (const name of sent.chains.keys()) {
    if (ruleset.chains.has(name)) continue;
    out.changed++;
    out.rules.push(flushChain({ table: TABLE, chain: name }));
    out.deleted.push(deleteChain({ table: TABLE, name }));
  }
  return out;
}

function baseHook(
  hook: keyof typeof HOOKS,
): { hook: number; priority: number; type: "filter"; policy: "accept" } {
  return { hook: HOOKS[hook], priority: PRIORITY_FILTER, type: "filter", policy: "accept" };
}

interface SetDifference {
  readonly created: Request[];
  /** Elements of sets that rules will name. */
  readonly plainElements: Request[];
  /** Elements of maps, which name chains. */
  readonly mapElements: Request[];
  readonly deleted: Request[];
  readonly sent: Map<string, SentSet>;
  changed: number;
  changedElements: number;
}

function diffSets(sent: Sent, ruleset: Ruleset): SetDifference | undefined {
  const out: SetDifference = {
    created: [],
    plainElements: [],
    mapElements: [],
    deleted: [],
    sent: new Map(),
    changed: 0,
    changedElements: 0,
  };
  let id = 0;
  for (const set of ruleset.sets.values()) {
    const there = sent.sets.get(set.name);
    id++;
    if (there !== undefined && isFrom(there, set) && there.elements.revision === revisionOf(set)) {
      out.sent.set(set.name, there);
      continue;
    }
    if (there === undefined) {
      const { name, comment } = set;
      const definition = definitionOf(set.type);
      out.changed++;
      out.created.push(
        newSet({ table: TABLE, name, id, comment, tag: setTag(set), ...definition }),
      );
    }
    const elements = diffElements(there, set);
    if (elements === undefined) return undefined;
    const { removed, added } = elements;
    const isMap = "isMap" in set.type && set.type.isMap === true;
    const target = isMap ? out.mapElements : out.plainElements;
    if (removed.length > 0) {
      target.push(...deleteElements({ table: TABLE, set: set.name, elements: removed }));
    }
    if (added.length > 0) {
      target.push(...newElements({ table: TABLE, set: set.name, elements: added }));
    }
    out.changedElements += removed.length + added.length;
    out.sent.set(set.name, sentSet(there, set));
  }
  for (const name of sent.sets.keys()) {
    if (ruleset.sets.has(name)) continue;
    out.changed++;
    out.deleted.push(deleteSet({ table: TABLE, name }));
  }
  return out;
}

interface ElementDifference {
  readonly removed: readonly Element[];
  readonly added: readonly Element[];
}

/** @returns `undefined` when what the kernel holds is not known here */
function diffElements(there: SentSet | undefined, set: NamedSet): ElementDifference | undefined {
  if (there === undefined) return { removed: [], added: elementsOf(set) };
  if (there.elements.kind === "listed") {
    return compareElements(there.elements.contents, elementsOf(set));
  }
  const { elements: before } = there.elements.set;
  const { elements: after } = set;
  if (before.kind === "names" && after.kind === "names") {
    return compareNames(set, before.names, after.names);
  }
  if (before.kind !== "members" && after.kind !== "members") {
    return compareElements(listContents(elementsOf(there.elements.set)), elementsOf(set));
  }
  // Another set may have taken the name between two flushes, or the log may not reach back.
  if (before.kind !== "members" || after.kind !== "members") return undefined;
  if (before.members !== after.members) return undefined;
  const changes = after.members.changesSince(there.elements.revision);
  return changes && {
    removed: memberElements(set.type, changes.removed),
    added: memberElements(set.type, changes.added),
  };
}

/** The contents of elements, by id. */
export function listContents(elements: Iterable<Element>): Map<string, string> {
  const contents = new Map<string, string>();
  for (const element of elements) contents.set(elementId(element), elementContent(element));
  return contents;
}

/** An element whose content changed goes and comes: the kernel does not change one in place. */
function compareElements(
  before: ReadonlyMap<string, string>,
  after: readonly Element[],
): ElementDifference {
  if (before.size === 0) return { removed: [], added: after };
  const added: Element[] = [];
  const unchanged = new Set<string>();
  for (const element of after) {
    const id = elementId(element);
    if (before.get(id) === elementContent(element)) unchanged.add(id);
    else added.push(element);
  }
  const removed = [...before.keys()].filter((id) => !unchanged.has(id)).map(elementOfId);
  return { removed, added };
}

/** The same for what we know by its name: only what differs becomes bytes. */
function compareNames(
  set: NamedSet,
  before: ReadonlyMap<string, NameElement>,
  after: ReadonlyMap<string, NameElement>,
): ElementDifference {
  const removed = new Map<string, NameElement>();
  const added = new Map<string, NameElement>();
  for (const [name, element] of before) {
    if (!isSameName(element, after.get(name))) removed.set(name, element);
  }
  for (const [name, element] of after) {
    if (!isSameName(element, before.get(name))) added.set(name, element);
  }
  const encode = (names: ReadonlyMap<string, NameElement>): readonly Element[] =>
    elementsOf({ ...set, elements: { kind: "names", names } });
  return { removed: encode(removed).map(({ key }) => ({ key })), added: encode(added) };
}

function isSameName(a: NameElement, b: NameElement | undefined): boolean {
  if (a === b) return true;
  return b !== undefined && a.comment === b.comment && a.verdict?.code === b.verdict?.code &&
    chainOf(a) === chainOf(b);
}

function chainOf({ verdict }: NameElement): string | undefined {
  return verdict !== undefined && "chain" in verdict ? verdict.chain : undefined;
}

/** Whether what is there was sent from this very value. */
function isFrom(
  there: SentSet,
  set: NamedSet,
): there is SentSet & { readonly elements: { readonly kind: "sent" } } {
  return there.elements.kind === "sent" && there.elements.set === set;
}

function revisionOf({ elements }: NamedSet): number {
  return elements.kind === "members" ? elements.members.revision : 0;
}

function sentSet(there: SentSet | undefined, set: NamedSet): SentSet {
  const tag = there !== undefined && isFrom(there, set) ? there.tag : setTag(set);
  return { tag, elements: { kind: "sent", set, revision: revisionOf(set) } };
}
