/** Computes the messages that turn the kernel's sets and maps into those of a ruleset. */

import type { Request } from "../netlink/message.ts";
import type { Element } from "../netlink/nftables/element.ts";
import { deleteElements, newElements } from "../netlink/nftables/element_list.ts";
import { deleteSet, newSet } from "../netlink/nftables/set.ts";
import {
  definitionOf,
  elementContent,
  elementId,
  elementOfId,
  elementsOf,
  iterateElements,
  memberElements,
} from "./element.ts";
import {
  isSameElement,
  type NamedSet,
  type NameElement,
  type Ruleset,
  type SetElements,
} from "./ruleset.ts";
import type { MemberSet } from "../model/member_set.ts";
import type { Sent, SentChanges, SentSet } from "./sent.ts";
import { TABLE } from "./table.ts";

/** The tag of a set: a hash of its definition, without its elements. */
export function setTag(set: NamedSet): string {
  return JSON.stringify(set.type);
}

/** Messages by phase: created sets are named by no rule that packets reach yet. */
export interface SetDifference {
  readonly created: Request[];
  readonly createdElements: Request[];
  /** Elements of new maps, which name chains. */
  readonly createdMapElements: Request[];
  /** Elements of sets that rules name. */
  readonly elements: Request[];
  /** Elements of maps that rules name. */
  readonly mapElements: Request[];
  readonly deleted: Request[];
  readonly sent: SentChanges<SentSet>;
  changed: number;
  changedElements: number;
}

/** Compares the sets of these names; `undefined` if `sent` is incomplete. */
export function diffSets(
  sent: Sent,
  ruleset: Ruleset,
  names: Iterable<string>,
): SetDifference | undefined {
  const out: SetDifference = {
    created: [],
    createdElements: [],
    createdMapElements: [],
    elements: [],
    mapElements: [],
    deleted: [],
    sent: new Map(),
    changed: 0,
    changedElements: 0,
  };
  let id = 0;
  for (const name of names) {
    const set = ruleset.sets.get(name);
    const there = sent.sets.get(name);
    id++;
    if (set === undefined) {
      if (there === undefined) continue;
      out.changed++;
      out.deleted.push(deleteSet({ table: TABLE, name }));
      out.sent.set(name, undefined);
      continue;
    }
    if (there !== undefined && isSameAs(there, set)) continue;
    if (there === undefined) {
      const { comment } = set;
      const definition = definitionOf(set.type);
      out.changed++;
      out.created.push(
        newSet({ table: TABLE, name, id, comment, tag: setTag(set), ...definition }),
      );
    }
    const isMap = "isMap" in set.type && set.type.isMap === true;
    if (there === undefined) {
      const target = isMap ? out.createdMapElements : out.createdElements;
      const elements = counted(iterateElements(set), out);
      target.push(...newElements({ table: TABLE, set: set.name, elements }));
      out.sent.set(set.name, sentSet(there, set));
      continue;
    }
    const elements = diffElements(there, set);
    if (elements === undefined) return undefined;
    const { removed, added } = elements;
    const target = isMap ? out.mapElements : out.elements;
    if (removed.length > 0) {
      target.push(...deleteElements({ table: TABLE, set: set.name, elements: removed }));
    }
    if (added.length > 0) {
      target.push(...newElements({ table: TABLE, set: set.name, elements: added }));
    }
    out.changedElements += removed.length + added.length;
    out.sent.set(set.name, sentSet(there, set));
  }
  return out;
}

/** The elements of a new set as a generator, since there may be many. */
function* counted(elements: Iterable<Element>, out: SetDifference): Generator<Element> {
  for (const element of elements) {
    out.changedElements++;
    yield element;
  }
}

interface ElementDifference {
  readonly removed: readonly Element[];
  readonly added: readonly Element[];
}

/** @returns `undefined` if the kernel's elements are not known */
function diffElements(there: SentSet, set: NamedSet): ElementDifference | undefined {
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
  const changes = changesOf(before, after, there.elements.revision);
  return changes && {
    removed: memberElements(set.type, changes.removed),
    added: memberElements(set.type, changes.added),
  };
}

/** Whether the elements of `there` are known well enough to compare them with those of `set`. */
export function isComparable(there: SentSet, set: NamedSet): boolean {
  if (there.elements.kind === "listed") return true;
  const { elements: before } = there.elements.set;
  if (before.kind !== "members" && set.elements.kind !== "members") return true;
  return changesOf(before, set.elements, there.elements.revision) !== undefined;
}

/**
 * How the members of a set that lives on have changed.
 *
 * @returns `undefined` if another set has taken the name between two flushes, or the log is too short
 */
function changesOf(
  before: SetElements,
  after: SetElements,
  revision: number,
): ReturnType<MemberSet["changesSince"]> {
  if (before.kind !== "members" || after.kind !== "members") return undefined;
  return before.members === after.members ? after.members.changesSince(revision) : undefined;
}

/** The contents of elements, by id. */
export function listContents(elements: Iterable<Element>): Map<string, string> {
  const contents = new Map<string, string>();
  for (const element of elements) contents.set(elementId(element), elementContent(element));
  return contents;
}

/** A changed element is deleted and added: the kernel does not update one in place. */
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

/** The same for elements with names: only those that differ are encoded. */
function compareNames(
  set: NamedSet,
  before: ReadonlyMap<string, NameElement>,
  after: ReadonlyMap<string, NameElement>,
): ElementDifference {
  const removed = new Map<string, NameElement>();
  const added = new Map<string, NameElement>();
  for (const [name, element] of before) {
    if (!isSameElement(element, after.get(name))) removed.set(name, element);
  }
  for (const [name, element] of after) {
    if (!isSameElement(element, before.get(name))) added.set(name, element);
  }
  const encode = (names: ReadonlyMap<string, NameElement>): readonly Element[] =>
    elementsOf({ ...set, elements: { kind: "names", names } });
  return { removed: encode(removed).map(({ key }) => ({ key })), added: encode(added) };
}

/** Whether the kernel's set was sent from this very object. */
export function isFrom(
  there: SentSet,
  set: NamedSet,
): there is SentSet & { readonly elements: { readonly kind: "sent" } } {
  return there.elements.kind === "sent" && there.elements.set === set;
}

/** Whether the kernel has all of `set` already. */
export function isSameAs(there: SentSet, set: NamedSet): boolean {
  return isFrom(there, set) && there.elements.revision === revisionOf(set);
}

function revisionOf({ elements }: NamedSet): number {
  return elements.kind === "members" ? elements.members.revision : 0;
}

function sentSet(there: SentSet | undefined, set: NamedSet): SentSet {
  const tag = there !== undefined && isFrom(there, set) ? there.tag : setTag(set);
  return { tag, elements: { kind: "sent", set, revision: revisionOf(set) } };
}
