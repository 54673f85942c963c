/**
 * What the agent says of the node: the answer to `getNode`, and the same in a file beside the socket, from
 * which the plugin reads it where no agent answers and pods may start closed.
 */

import { Prefix } from "../ip/prefix.ts";
import { type Body, readNumber, readText, readTexts } from "./body.ts";

/** The node of agent and plugin. */
export interface AgentNode {
  /** The name of its Node object. Missing: `""`. */
  readonly nodeName: string;
  /** `podCIDRs`: the prefixes of the pods' addresses. Missing: none; an entry that is no CIDR is left out. */
  readonly podCidrs: readonly Prefix[];
  /** Of pods' interfaces, in bytes. Missing, or 0: the kernel's default. */
  readonly mtu: number | undefined;
}

/** Encodes the body of an answer. */
export function encodeNode({ nodeName, podCidrs, mtu = 0 }: AgentNode): Body {
  return { nodeName, podCIDRs: podCidrs.map(String), mtu };
}

/** Decodes the body of an answer, or the file; an unusable field counts as missing. */
export function decodeNode(body: Body): AgentNode {
  const podCidrs = (readTexts(body, "podCIDRs") ?? []).map(Prefix.tryParse);
  const mtu = readNumber(body, "mtu");
  return {
    nodeName: readText(body, "nodeName") ?? "",
    podCidrs: podCidrs.filter((it) => it !== undefined),
    mtu: mtu === 0 || !Number.isSafeInteger(mtu) ? undefined : mtu,
  };
}

/** Path of the file that belongs to a socket. */
export function nodeFilePath(socketPath: string): string {
  return `${socketPath.slice(0, socketPath.lastIndexOf("/"))}/node.json`;
}
