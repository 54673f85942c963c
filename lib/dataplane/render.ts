/** A ruleset as the text that `nft -f` reads: for goldens, for people, never on the way to the kernel. */

import { Address, type Family } from "../ip/address.ts";
import type { AddressRange } from "../ip/range.ts";
import type { PortRange } from "../model/policy.ts";
import { PROTOCOL_NUMBERS } from "../model/workload.ts";
import { IPS_FIXED_TIMEOUT } from "../netlink/conntrack/message.ts";
import { TABLE_NAME } from "./compile/names.ts";
import type {
  BaseHook,
  Chain,
  NamedSet,
  NameElement,
  Rule,
  Ruleset,
  SetType,
  Statement,
  Verdict,
} from "./ruleset.ts";

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
export function renderRule(rule: Rule): string {
  const words = rule.statements.map(renderStatement);
  if (rule.comment !== undefined) words.push(`comment "${rule.comment}"`);
  return words.join(" ");
}

/** Renders a verdict: `accept`, `goto to-pod`. */
export function renderVerdict(verdict: Verdict): string {
  return "chain" in verdict ? `${verdict.code} ${verdict.chain}` : verdict.code;
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
        .filter((it) => "family" in type && it.includes(":") === (type.family === 6))
        .sort().map((it) => it.replaceAll(",", " . "));
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

function renderNumbers({ first, last }: PortRange): string {
  return first === last ? `${first}` : `${first}-${last}`;
}

function renderStatement(statement: Statement): string {
  switch (statement.kind) {
    case "interfacePrefix":
      return `${interfaceKey(statement.end)} "${statement.prefix}*"`;
    case "interfaceNotLoopback":
      return 'iifname != "lo"';
    case "interfaceNotInSet":
      return `${interfaceKey(statement.end)} != @${statement.set}`;
    case "interfaceMap":
      return `${interfaceKey(statement.end)} vmap @${statement.map}`;
    case "sourceNotOfInterface":
      return `meta nfproto ipv${statement.family} iifname . ${
        network(statement.family)
      } saddr != @${statement.set}`;
    case "flowSourceOfInterface":
      return `iifname . ct ${statement.way} ${network(statement.family)} saddr @${statement.set}`;
    case "addressMap":
      return `${network(statement.family)} ${
        statement.end === "source" ? "saddr" : "daddr"
      } vmap @${statement.map}`;
    case "icmpv6Type":
      return `icmpv6 type ${renderNumbers(statement)}`;
    case "destinationLoopback":
      return "ip daddr 127.0.0.0/8";
    case "sourceNotLinkLocal":
      return "ip6 saddr != fe80::/10";
    case "sourceNotUnspecified":
      return "ip6 saddr != ::";
    case "sourceLocal":
      return "fib saddr type local";
    case "limitOver":
      return `limit rate over ${statement.perSecond}/second burst ${statement.burst} packets`;
    case "ctState":
      return `ct state ${statement.states.join(",")}`;
    case "ctStateMap":
      return `ct state vmap @${statement.map}`;
    case "flowIsCut":
      return `ct status 0x${IPS_FIXED_TIMEOUT.toString(16)}`;
    case "family":
      return `meta nfproto ipv${statement.family}`;
    case "addressInSet":
      return `${network(statement.family)} ${
        statement.end === "source" ? "saddr" : "daddr"
      } @${statement.set}`;
    case "protocol":
      return `meta l4proto ${PROTOCOL_NUMBERS[statement.protocol]}`;
    case "port":
      return `${statement.protocol.toLowerCase()} dport ${renderNumbers(statement.range)}`;
    case "portInSet":
      return `${statement.protocol.toLowerCase()} dport @${statement.set}`;
    case "endsNotInSet": {
      const word = network(statement.family);
      return `${word} saddr . ${word} daddr != @${statement.set}`;
    }
    case "addressPortInSet":
      return `${network(statement.family)} daddr . meta l4proto . th dport @${statement.set}`;
    case "counter":
      return "counter";
    case "reject":
      return statement.with === "tcpReset"
        ? "reject with tcp reset"
        : "reject with icmpx admin-prohibited";
    case "verdict":
      return renderVerdict(statement.verdict);
  }
}

function interfaceKey(end: "in" | "out"): string {
  return end === "in" ? "iifname" : "oifname";
}

function network(family: Family): string {
  return family === 4 ? "ip" : "ip6";
}
