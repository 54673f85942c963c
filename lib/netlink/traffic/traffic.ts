/**
 * Who looks at packets beside an interface's ingress and egress before and after the hooks: queueing
 * disciplines and filters of traffic control. Only asking for them; we make none.
 */

import { parseMessage, type RawMessage, type Request, request } from "../message.ts";
import { list } from "../schema.ts";
import {
  action,
  GETQDISC,
  GETTFILTER,
  NEWQDISC,
  NEWTFILTER,
  tcMirred,
  u32Options,
} from "./message.ts";

/** A queueing discipline. */
export interface Qdisc {
  /** Of the interface. */
  readonly index: number;
  /** `clsact`, `ingress`, `noqueue`, … */
  readonly kind: string;
}

/** A filter. */
export interface Filter {
  /** `bpf`, `u32`, `flower`, … */
  readonly kind: string;
  /**
   * Interfaces that it redirects or copies to, where that is all it does: known of u32 filters only,
   * which are the ones that shape traffic by an ifb interface. A u32 filter's hash tables are filters
   * that do nothing.
   */
  readonly redirectsTo: readonly number[] | undefined;
}

/** Dumps the queueing disciplines of all interfaces; each reply is for {@link parseQdisc}. */
export function dumpQdiscs(): Request {
  return request(GETQDISC, { subject: "queueing disciplines", header: {}, attributes: {} });
}

/** Parses an RTM_NEWQDISC. */
export function parseQdisc(raw: RawMessage): Qdisc {
  const { header, attributes } = parseMessage(NEWQDISC, raw);
  return { index: header.index, kind: attributes.kind ?? "" };
}

/**
 * Asks for the filters of one interface.
 *
 * @param parent PARENT_INGRESS or PARENT_EGRESS
 */
export function dumpFilters(index: number, parent: number): Request {
  return request(GETTFILTER, {
    subject: `filters of link ${index}`,
    header: { index, parent },
    attributes: {},
  });
}

/** Parses an RTM_NEWTFILTER. */
export function parseFilter(raw: RawMessage): Filter {
  const { kind = "", options } = parseMessage(NEWTFILTER, raw).attributes;
  if (kind !== "u32") return { kind, redirectsTo: undefined };
  const { actions } = u32Options.read(options ?? new Uint8Array(0));
  return { kind, redirectsTo: actions === undefined ? [] : redirections(actions) };
}

/** @returns undefined where an action is another one */
function redirections(bytes: Uint8Array): readonly number[] | undefined {
  const indexes: number[] = [];
  for (const { kind, options } of list(action).read(bytes)) {
    if (kind !== "mirred" || options?.parameters === undefined) return undefined;
    indexes.push(tcMirred.read(options.parameters).interfaceIndex);
  }
  return indexes;
}
