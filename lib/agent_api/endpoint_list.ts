/** The pods' interfaces that the agent knows: the answer to `getEndpoints`. */

import type { Attachment } from "../model/facts.ts";
import { type Body, readBoolean, readObjects, readText, readTexts } from "./body.ts";
import type { EndpointId } from "./route.ts";

/** One interface; a missing text is `""`. */
export interface EndpointState extends EndpointId {
  readonly namespace: string;
  readonly pod: string;
  /** Missing: the runtime gave none. */
  readonly uid: string | undefined;
  /** The interface's name on the node, `interface`. */
  readonly interfaceName: string;
  /** Missing: none. */
  readonly addresses: readonly string[];
  /** Whether the pod's policy is in the kernel, `enforced`. Missing: not known. */
  readonly isEnforced: boolean | undefined;
}

/** Encodes the body of an answer. */
export function encodeEndpoints(
  attachments: Iterable<Attachment>,
  isEnforced: (attachment: Attachment) => boolean,
): Body {
  const endpoints = Array.from(attachments, (it) => ({
    containerID: it.containerId,
    ifname: it.ifname,
    namespace: it.namespace,
    pod: it.pod,
    uid: it.uid,
    interface: it.interfaceName,
    addresses: it.addresses.map(String),
    enforced: isEnforced(it),
  }));
  return { endpoints };
}

/** Decodes the body of an answer; an unusable field counts as missing. */
export function decodeEndpoints(body: Body): readonly EndpointState[] {
  return (readObjects(body, "endpoints") ?? []).map((it) => ({
    containerId: readText(it, "containerID") ?? "",
    ifname: readText(it, "ifname") ?? "",
    namespace: readText(it, "namespace") ?? "",
    pod: readText(it, "pod") ?? "",
    uid: readText(it, "uid"),
    interfaceName: readText(it, "interface") ?? "",
    addresses: readTexts(it, "addresses") ?? [],
    isEnforced: readBoolean(it, "enforced"),
  }));
}
