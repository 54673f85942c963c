/**
 * One table of a {@link ./fake_kernel.ts FakeKernel}: chains, rules, sets and elements, and what the kernel
 * refuses about them. After net/netfilter/nf_tables_api.c, whose functions stand beside what follows them.
 * Objects are kept as their messages: a dump gives back what was sent, with a handle.
 */

import type { Chain, Hook } from "../../../lib/netlink/nftables/chain.ts";
import { type Element, NFT_SET_ELEM_INTERVAL_END } from "../../../lib/netlink/nftables/element.ts";
import type { Expression } from "../../../lib/netlink/nftables/expression.ts";
import type { Rule } from "../../../lib/netlink/nftables/rule.ts";
import { NFT_SET_INTERVAL, type SetDefinition } from "../../../lib/netlink/nftables/set.ts";

/** What the kernel refuses with. */
export type Refusal =
  | "ENOENT"
  | "EEXIST"
  | "EBUSY"
  | "ENFILE"
  | "EINVAL"
  | "ERESTART"
  | "EOPNOTSUPP";

/** Thrown where the kernel returns an error. */
export class RefusalError extends Error {
  override readonly name = "RefusalError";
  readonly code: Refusal;

  constructor(code: Refusal) {
    super(code);
    this.code = code;
  }
}

/** @throws {RefusalError} always */
export function refuse(code: Refusal): never {
  throw new RefusalError(code);
}

/** A rule: its message, and what it leads to. */
export interface FakeRule {
  readonly handle: bigint;
  readonly message: Uint8Array;
  readonly expressions: readonly Expression[];
}

/** A chain. */
export interface FakeChain {
  readonly handle: bigint;
  readonly message: Uint8Array;
  readonly hook: Hook | undefined;
  readonly rules: readonly FakeRule[];
}

/** A set or map; elements by {@link elementId}. */
export interface FakeSet {
  readonly handle: bigint;
  readonly message: Uint8Array;
  readonly definition: SetDefinition;
  readonly elements: ReadonlyMap<string, Element>;
}

/** A table; {@link clone} makes what a transaction changes. */
export class FakeTable {
  readonly chains = new Map<string, FakeChain>();
  readonly sets = new Map<string, FakeSet>();

  clone(): FakeTable {
    const copy = new FakeTable();
    for (const [name, chain] of this.chains) copy.chains.set(name, chain);
    for (const [name, set] of this.sets) copy.sets.set(name, set);
    return copy;
  }

  /** `nf_tables_newchain()`, `nf_tables_updchain()`: type and place of a base chain cannot change. */
  putChain(chain: Chain, made: Pick<FakeChain, "handle" | "message">, isExclusive: boolean): void {
    const there = this.chains.get(chain.name);
    if (there === undefined) {
      this.chains.set(chain.name, { ...made, hook: chain.hook, rules: [] });
      return;
    }
    if (isExclusive) refuse("EEXIST");
    if (chain.hook === undefined) return;
    if (there.hook === undefined || placeOf(there.hook) !== placeOf(chain.hook)) {
      refuse("EOPNOTSUPP");
    }
    const { handle, rules } = there;
    this.chains.set(chain.name, { handle, rules, message: made.message, hook: chain.hook });
  }

  /** `nf_tables_delchain()`: its rules go first, and what they held on to. */
  deleteChain(name: string): void {
    const chain = this.#chain(name);
    this.chains.set(name, { ...chain, rules: [] });
    if (this.#isLedTo(name)) refuse("EBUSY");
    this.chains.delete(name);
  }

  /** `nf_tables_newrule()`. */
  putRule(
    { chain: name, handle: replaced }: Rule,
    rule: FakeRule,
    place: "first" | "last" | "replace",
  ): void {
    const chain = this.#chain(name);
    const at = chain.rules.findIndex((it) => it.handle === replaced);
    if (place === "replace" && at < 0) refuse("ENOENT");
    for (const it of rule.expressions) this.#checkExpression(it);
    const rules = place === "first"
      ? [rule, ...chain.rules]
      : place === "last"
      ? [...chain.rules, rule]
      : chain.rules.with(at, rule);
    this.chains.set(name, { ...chain, rules });
  }

  /** `nf_tables_delrule()`; without a handle every rule of the chain. */
  deleteRules(name: string, handle: bigint): void {
    const chain = this.#chain(name);
    const rules = handle === 0n ? [] : chain.rules.filter((it) => it.handle !== handle);
    if (handle !== 0n && rules.length === chain.rules.length) refuse("ENOENT");
    this.chains.set(name, { ...chain, rules });
  }

  /** `nf_tables_newset()`: one that is there has to be the same. */
  putSet(
    definition: SetDefinition,
    made: Pick<FakeSet, "handle" | "message">,
    isExclusive: boolean,
  ): void {
    const there = this.sets.get(definition.name);
    if (there === undefined) {
      this.sets.set(definition.name, { ...made, definition, elements: new Map() });
    } else if (isExclusive || kindOf(there.definition) !== kindOf(definition)) refuse("EEXIST");
  }

  /** `nf_tables_delset()`. */
  deleteSet(name: string): void {
    this.set(name);
    const isUsed = this.#expressions().some((it) => setOf(it) === name);
    if (isUsed) refuse("EBUSY");
    this.sets.delete(name);
  }

  /** `nft_add_set_elem()`: the same element again is no error, one that overlaps or differs is. */
  addElements(name: string, elements: readonly Element[], isExclusive: boolean): void {
    const set = this.set(name);
    const { flags, description } = set.definition;
    const copy = new Map(set.elements);
    for (const it of elements) {
      const chain = it.data?.verdict?.chain;
      if (chain !== undefined) this.#checkTarget(chain);
      const there = copy.get(elementId(it));
      if (there !== undefined && (isExclusive || dataOf(there) !== dataOf(it))) refuse("EEXIST");
      copy.set(elementId(it), it);
    }
    if ((flags & NFT_SET_INTERVAL) !== 0 && hasOverlap(set.definition, copy)) refuse("EEXIST");
    if (description?.size !== undefined && copy.size > description.size) refuse("ENFILE");
    this.sets.set(name, { ...set, elements: copy });
  }

  /** `nft_del_setelem()`; without elements every one goes. */
  deleteElements(name: string, elements: readonly Element[]): void {
    const set = this.set(name);
    const copy = new Map(elements.length === 0 ? [] : set.elements);
    for (const it of elements) if (!copy.delete(elementId(it))) refuse("ENOENT");
    this.sets.set(name, { ...set, elements: copy });
  }

  /** @throws {RefusalError} ENOENT if there is none */
  set(name: string): FakeSet {
    return this.sets.get(name) ?? refuse("ENOENT");
  }

  #chain(name: string): FakeChain {
    return this.chains.get(name) ?? refuse("ENOENT");
  }

  #expressions(): Expression[] {
    return [...this.chains.values()].flatMap((it) => it.rules.flatMap((rule) => rule.expressions));
  }

  #isLedTo(chain: string): boolean {
    return this.#expressions().some((it) => targetOf(it) === chain) ||
      [...this.sets.values()].some(({ elements }) =>
        [...elements.values()].some((it) => it.data?.verdict?.chain === chain)
      );
  }

  #checkExpression(it: Expression): void {
    const set = setOf(it);
    if (set !== undefined) this.set(set);
    const target = targetOf(it);
    if (target !== undefined) this.#checkTarget(target);
  }

  /** `nft_verdict_init()`. */
  #checkTarget(chain: string): void {
    if (this.#chain(chain).hook !== undefined) refuse("EOPNOTSUPP");
  }
}

function placeOf({ hook, priority, type }: Hook): string {
  return `${type} ${hook} ${priority}`;
}

/** What two declarations of one set must agree on: `nft_set_is_same()`. */
function kindOf(set: SetDefinition): string {
  const { flags, keyType, keyLength, dataType, dataLength, timeoutMs } = set;
  return [flags, keyType, keyLength, dataType, dataLength, timeoutMs].join();
}

function setOf(it: Expression): string | undefined {
  return it.name === "lookup" && "data" in it ? it.data.set : undefined;
}

function targetOf(it: Expression): string | undefined {
  return it.name === "immediate" && "data" in it ? it.data.data?.verdict?.chain : undefined;
}

/** What an element is in its set: the end of a range is another one than what begins there. */
function elementId({ key, keyEnd, flags = 0 }: Element): string {
  const isEnd = (flags & NFT_SET_ELEM_INTERVAL_END) !== 0;
  return `${key.toHex()}${keyEnd === undefined ? "" : `-${keyEnd.toHex()}`}${isEnd ? "$" : ""}`;
}

function dataOf({ data }: Element): string {
  if (data === undefined) return "";
  return data.value === undefined
    ? `${data.verdict.code} ${data.verdict.chain}`
    : data.value.toHex();
}

/** Whether ranges of a set meet: in each field, where it is a concatenation. */
function hasOverlap(set: SetDefinition, elements: ReadonlyMap<string, Element>): boolean {
  const lengths = set.description?.concat;
  if (lengths === undefined) return hasNestedRange([...elements.values()]);
  const ranges = [...elements.values()].map((it) => fieldRanges(it, lengths));
  return ranges.some((a, at) =>
    ranges.slice(at + 1).some((b) =>
      a.every(([from, to], field) => {
        const [otherFrom = "", otherTo = ""] = b[field] ?? [];
        return from <= otherTo && otherFrom <= to;
      })
    )
  );
}

/**
 * Whether one range begins before the one before it has ended, or ends without having begun; the mark
 * that ends nothing at the first key says that nothing begins there. Texts compare as keys do.
 */
function hasNestedRange(elements: readonly Element[]): boolean {
  const marks = elements.map((it) => ({
    key: it.key.toHex(),
    isEnd: ((it.flags ?? 0) & NFT_SET_ELEM_INTERVAL_END) !== 0,
  })).sort((a, b) => a.key === b.key ? Number(b.isEnd) - Number(a.isEnd) : a.key < b.key ? -1 : 1);
  let isOpen = false;
  for (const { key, isEnd } of marks) {
    if (isEnd ? !isOpen && !/^0*$/.test(key) : isOpen) return true;
    isOpen = !isEnd;
  }
  return false;
}

type Ranges = readonly (readonly [string, string])[];

function fieldRanges({ key, keyEnd = key }: Element, lengths: readonly number[]): Ranges {
  let at = 0;
  return lengths.map((length) => {
    const range = [key, keyEnd].map((it) => it.slice(at, at + length).toHex());
    at += (length + 3) & ~3;
    return [range[0] ?? "", range[1] ?? ""] as const;
  });
}
