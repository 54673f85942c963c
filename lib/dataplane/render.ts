/** A ruleset as the text that `nft -f` reads: for goldens, for people, never on the way to the kernel. */

import { Address, type Family } from "../ip/address.ts";
import type { AddressRange } from "../ip/range.ts";
import { TABLE_NAME } from "./compile/names.ts";
import type { BaseHook, Chain, NamedSet, NameElement, Rule, Ruleset, SetType } from "./ruleset.ts";
import { renderNumbers, renderStatement } from "./statement/statement.ts";
import { renderVerdict } from "./statement/verdict.ts";

/** Renders the table; sets and chains in the order of their names, base chains last. */
export function render(ruleset: Ruleset): string {
  const byName = (a: { name: string }, b: { name: string }): number => a.name < b.name ? -1 : 1;
  const sets = [...ruleset.sets.values()].sort(byName).map(renderSet);
  const chains = [...ruleset.chains.values()]
    .sort((a, b) => Number(a.hook !== undefined) - Number(b.hook !== undefined) || byName(a, b))
    .map(renderChain);
  return `table inet ${TABLE_NAME} {\n${[...sets, ...chains].join("\n")}}\n`;
}

/** Renders one rule without its place: `ip saddr @a4-… tcp dport 80 counter accept comment "…"`. */
function renderRule(rule: Rule): string {
  const words = rule.statements.map(renderStatement);
  if (rule.comment !== undefined) words.push(`comment "${rule.comment}"`);
  return words.join(" ");
}

function renderChain(chain: Chain): string {
  const head = chain.hook === undefined
    ? []
    : [`type filter hook ${chain.hook.name} ${renderPriority(chain.hook)}; policy accept;`];
  const lines = [...head, ...chain.rules.map(renderRule)];
  return block(`chain ${chain.name}`, lines);
}

function renderPriority({ priority }: BaseHook): string {
  return priority === 0 ? "priority filter" : `priority filter + ${priority}`;
}

function renderSet(set: NamedSet): string {
  const isMap = "isMap" in set.type && set.type.isMap === true;
  const lines = [`type ${renderSetType(set)}`];
  if (isInterval(set)) lines.push("flags interval");
  if (set.comment !== undefined) lines.push(`comment "${set.comment}"`);
  const elements = renderElements(set);
  if (elements.length > 0) lines.push(`elements = { ${elements.join(",\n\t\t\t     ")} }`);
  return block(`${isMap ? "map" : "set"} ${set.name}`, lines);
}

function block(head: string, lines: readonly string[]): string {
  return `\t${head} {\n${lines.map((line) => `\t\t${line}\n`).join("")}\t}\n`;
}

function isInterval(set: NamedSet): boolean {
  return set.type.key === "port" || (set.type.key === "address" && set.type.isInterval);
}

function renderSetType({ type }: NamedSet): string {
  switch (type.key) {
    case "ifname":
      return type.isMap ? "ifname : verdict" : "ifname";
    case "ifnameAddress":
      return `ifname . ${addressType(type.family)}`;
    case "ctState":
      return "ct_state : verdict";
    case "address":
      return addressType(type.family) + (type.isMap === true ? " : verdict" : "");
    case "addressPair":
      return `${addressType(type.family)} . ${addressType(type.family)}`;
    case "addressPort":
      return `${addressType(type.family)} . inet_proto . inet_service`;
    case "port":
      return "inet_service";
  }
}

function addressType(family: Family): string {
  return family === 4 ? "ipv4_addr" : "ipv6_addr";
}

function renderElements({ type, elements }: NamedSet): string[] {
  switch (elements.kind) {
    case "names":
      return [...elements.names].sort().map(([name, it]) => renderNameElement(type, name, it));
    case "ports":
      return elements.ranges.map(renderNumbers);
    case "ranges":
      return type.key === "address"
        ? elements.ranges.map((range) => renderRange(type.family, range))
        : [];
    case "members":
      return [...elements.members.members()]
        .filter((it) => "family" in type && it.family === type.family)
        .map((it) => it.toString().replaceAll(",", " . ")).sort();
  }
}

function renderNameElement(
  type: SetType,
  name: string,
  { verdict, comment }: NameElement,
): string {
  const data = verdict === undefined ? "" : ` : ${renderVerdict(verdict)}`;
  const [first, address] = name.split(",");
  const isText = type.key === "ifname" || type.key === "ifnameAddress";
  const key = `${isText ? `"${first}"` : first}${address ? ` . ${address}` : ""}`;
  return `${key} comment "${comment}"${data}`;
}

function renderRange(family: Family, { first, last }: AddressRange): string {
  const from = Address.of(family, first);
  return first === last ? `${from}` : `${from}-${Address.of(family, last)}`;
}
