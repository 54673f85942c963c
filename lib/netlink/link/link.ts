/** Links: making (veth, bridge), changing, deleting, asking, and what the kernel answers. */

import { assert } from "../../base/assert.ts";
import { NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL } from "../message.ts";
import { parseMessage, type RawMessage, type Request, request } from "../message.ts";
import {
  DELLINK,
  GETLINK,
  IFF_NOARP,
  IFF_UP,
  type linkAttributes,
  NEWLINK,
  RTEXT_FILTER_SKIP_STATS,
  RTM_DELLINK,
  SETLINK,
} from "./message.ts";

/** A link by its index, or by its name. */
export type LinkReference =
  | { readonly index: number; readonly name?: never }
  | { readonly name: string; readonly index?: never };

/** What both ends of a veth pair may be given. */
interface VethEnd {
  readonly name: string;
  /** `aa:bb:cc:dd:ee:ff`; the kernel makes one up otherwise. */
  readonly address?: string | undefined;
  readonly mtu?: number | undefined;
}

/** A veth pair to make. */
export interface NewVeth extends VethEnd {
  readonly up?: boolean;
  /** The other end; it comes up by a request of its own, the kernel refuses it here (ENOTCONN). */
  readonly peer: VethEnd & {
    /** An open namespace to make it in; ours otherwise. */
    readonly namespaceFd?: number | undefined;
  };
}

/** A link of a kind that needs nothing but its name. */
export interface NewLink {
  readonly kind: "bridge";
  readonly name: string;
  readonly address?: string | undefined;
  readonly mtu?: number | undefined;
  readonly up?: boolean;
}

/** Changes of a link; what is absent stays. A new name needs the link's index. */
export type LinkChange =
  & {
    readonly up?: boolean;
    /**
     * Whether it learns no neighbours: neither ARP nor neighbour discovery asks by it, and ARP does not
     * listen. A change takes away the neighbours that it has, permanent ones too.
     */
    readonly noArp?: boolean;
    readonly mtu?: number;
    readonly address?: string;
    /** Index of the bridge that it becomes a port of; 0 takes it out. */
    readonly master?: number;
    /** Free text of at most 255 bytes; the kernel takes none when it makes a link. */
    readonly alias?: string;
  }
  & ({ readonly index: number; readonly newName?: string; readonly name?: never } | {
    readonly name: string;
    readonly index?: never;
    readonly newName?: never;
  });

/** A link as the kernel has it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** `aa:bb:cc:dd:ee:ff`; empty where there is none. */
  readonly address: string;
  readonly mtu: number;
  /** IFF_*. */
  readonly flags: number;
  /** Whether the administrator wants it up. */
  readonly up: boolean;
  /** Whether it learns no neighbours. */
  readonly noArp: boolean;
  /** IF_OPER_*; ask for one link, not for all: only that brings it up to date at once. */
  readonly operationalState: number;
  /** `veth`, `bridge`, …; `undefined` for hardware and loopback. */
  readonly kind: string | undefined;
  /** Of a veth: the other end's index, in {@link peerNamespaceId} where it is not ours. */
  readonly peerIndex: number | undefined;
  /** Our id of the namespace of `peerIndex`; `undefined` when that is this namespace. */
  readonly peerNamespaceId: number | undefined;
  /** Index of the bridge, VRF or other link that it is a port of. */
  readonly master: number | undefined;
  /** Whether a program of XDP sees its packets before everything else. */
  readonly hasXdp: boolean;
  /** Of a bridge: families whose bridged packets it has meet the hooks of IP, whatever the sysctls say. */
  readonly bridgeHooks: readonly (4 | 6)[];
  /** `IFLA_IFALIAS`: free text, set by the program or the person who owns the link. */
  readonly alias: string | undefined;
}

/**
 * Makes a veth pair, the other end in its namespace at once; EEXIST when either name is taken. Since
 * Linux 6.2 the reply brings the near end ({@link parseLink}); before, there is none.
 */
export function addVeth(veth: NewVeth): Request {
  const { name, address, mtu, up = false, peer } = veth;
  return request(NEWLINK, {
    flags: NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO,
    subject: formatLink(veth),
    header: upHeader(up),
    attributes: {
      address,
      name,
      mtu,
      linkInfo: { name: "veth", data: { peer: { header: {}, attributes: peerAttributes(peer) } } },
    },
  });
}

/** Makes a bridge; EEXIST when its name is taken. The reply is as {@link addVeth}'s. */
export function addLink({ kind, name, address, mtu, up = false }: NewLink): Request {
  return request(NEWLINK, {
    flags: NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO,
    subject: formatLink({ name }),
    header: upHeader(up),
    attributes: { address, name, mtu, linkInfo: { name: kind, unknownData: new Uint8Array(0) } },
  });
}

/** Changes a link; ENODEV when there is none. */
export function setLink(change: LinkChange): Request {
  const { index, name, newName, up, noArp, mtu, address, master, alias } = change;
  return request(SETLINK, {
    subject: formatLink(change),
    header: { index: index ?? 0, ...flagHeader([[IFF_UP, up], [IFF_NOARP, noArp]]) },
    attributes: { address, name: name ?? newName, mtu, master, alias },
  });
}

/** Deletes a link, of a veth pair both ends; ENODEV when there is none. */
export function deleteLink(link: LinkReference): Request {
  return request(DELLINK, {
    subject: formatLink(link),
    header: { index: link.index ?? 0 },
    attributes: { name: link.name },
  });
}

/** `RTM_GETLINK` for one link; ENODEV when there is none. Reply: {@link parseLink}. */
export function getLink(link: LinkReference): Request {
  return request(GETLINK, {
    subject: formatLink(link),
    header: { index: link.index ?? 0 },
    attributes: { name: link.name, extendedMask: RTEXT_FILTER_SKIP_STATS },
  });
}

/** Dumps all links of the namespace; each reply is for {@link parseLink}. */
export function dumpLinks(): Request {
  return request(GETLINK, {
    subject: "links",
    header: {},
    attributes: { extendedMask: RTEXT_FILTER_SKIP_STATS },
  });
}

/**
 * Parses a link that the kernel sent: the answer to a GET, or a notification that it came, changed or
 * ({@link isDeletedLink}) went.
 *
 * @throws {RangeError} if the message is truncated
 */
export function parseLink(raw: RawMessage): Link {
  const kind = isDeletedLink(raw) ? DELLINK : NEWLINK;
  const { header, attributes } = parseMessage(kind, raw);
  return {
    index: header.index,
    name: attributes.name ?? "",
    address: attributes.address ?? "",
    mtu: attributes.mtu ?? 0,
    flags: header.flags,
    up: (header.flags & IFF_UP) !== 0,
    noArp: (header.flags & IFF_NOARP) !== 0,
    operationalState: attributes.operationalState ?? 0,
    master: attributes.master,
    hasXdp: (attributes.xdp?.attached ?? 0) !== 0,
    bridgeHooks: bridgeHooksOf(attributes),
    alias: attributes.alias,
    ...peerOf(attributes),
  };
}

/** Whether a notification says that the link is gone. */
export function isDeletedLink(raw: RawMessage): boolean {
  return raw.type === RTM_DELLINK;
}

function peerOf(
  attributes: ReturnType<typeof linkAttributes.read>,
): Pick<Link, "kind" | "peerIndex" | "peerNamespaceId"> {
  const kind = attributes.linkInfo?.name;
  if (kind !== "veth") return { kind, peerIndex: undefined, peerNamespaceId: undefined };
  return { kind, peerIndex: attributes.link, peerNamespaceId: attributes.linkNamespaceId };
}

function bridgeHooksOf(
  { linkInfo }: ReturnType<typeof linkAttributes.read>,
): readonly (4 | 6)[] {
  if (linkInfo?.name !== "bridge" || "unknownData" in linkInfo) return [];
  const { callIptables = 0, callIp6tables = 0 } = linkInfo.data;
  return [...(callIptables ? [4 as const] : []), ...(callIp6tables ? [6 as const] : [])];
}

/** Those that the table knows, and no more: a caller's value may have other fields too. */
function peerAttributes({ name, address, mtu, namespaceFd }: NewVeth["peer"]): NewVeth["peer"] {
  return { name, address, mtu, namespaceFd };
}

/** Of a link that is made. */
function upHeader(up: boolean): { readonly flags: number; readonly change: number } {
  return flagHeader([[IFF_UP, up]]);
}

/** Flags to set or to take away; those that are `undefined` stay. */
function flagHeader(
  wanted: readonly (readonly [flag: number, isSet: boolean | undefined])[],
): { readonly flags: number; readonly change: number } {
  let [flags, change] = [0, 0];
  for (const [flag, isSet] of wanted) {
    if (isSet === undefined) continue;
    change |= flag;
    if (isSet) flags |= flag;
  }
  return { flags, change };
}

function formatLink(link: { readonly index?: number; readonly name?: string }): string {
  assert(link.index !== undefined || link.name !== undefined, "A link has an index or a name");
  return link.index === undefined ? `link "${link.name}"` : `link ${link.index}`;
}
