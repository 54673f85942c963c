/**
 * A pod's interface, as the plugin reports it: the body of `putEndpoint`. The answer comes when the pod's
 * policy is in the kernel, and says no more than that.
 */

import { Address } from "../ip/address.ts";
import type { Attachment } from "../model/facts.ts";
import type { Body } from "./body.ts";
import type { EndpointId } from "./route.ts";

/** What is sent; all of it but `uid` and `netns` has been asked for since 0.1. */
export interface AgentEndpoint {
  readonly namespace: string;
  readonly pod: string;
  /** The pod's uid as the runtime has it. Missing: the runtime gave none, and the pod's name decides. */
  readonly uid?: string;
  /** The interface's name on the node. */
  readonly interface: string;
  /** Without length, at least one. */
  readonly addresses: readonly string[];
  /** Where the pod's network namespace is; for people. Missing: not known. */
  readonly netns?: string;
}

/** What may be in a container id or an interface name that becomes part of a file's name. */
const ID_REGEXP = /^[a-zA-Z0-9][a-zA-Z0-9_.\-]{0,127}$/;
const NAME_REGEXP = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const IFNAME_REGEXP = /^(?!\.{1,2}$)[A-Za-z0-9_.\-]{1,15}$/;
/** Usually a UUID; a static pod's is a hash, or what its manifest says. */
const UID_REGEXP = /^[\x21-\x7e]{1,253}$/;
/** Addresses of one interface; a peer cannot make us keep more. */
const ADDRESSES_MAX = 16;

/** Encodes the body of a request. */
export function encodeEndpoint(endpoint: AgentEndpoint): Body {
  const { namespace, pod, uid, interface: name, addresses, netns } = endpoint;
  return {
    namespace,
    pod,
    ...(uid === undefined ? {} : { uid }),
    interface: name,
    addresses,
    ...(netns === undefined ? {} : { netns }),
  };
}

/**
 * The attachment that a request reports.
 *
 * @throws {SyntaxError} naming every field that is wrong
 */
export function decodeEndpoint(
  { containerId, ifname }: { readonly [name in keyof EndpointId]?: unknown },
  body: unknown,
): Attachment {
  const fields = typeof body === "object" && body !== null ? body as Body : {};
  const problems: string[] = [];
  const take = (name: string, value: unknown, pattern: RegExp): string => {
    if (typeof value === "string" && pattern.test(value)) return value;
    problems.push(`${name} cannot be ${JSON.stringify(value)?.slice(0, 100)}`);
    return "";
  };
  const list = Array.isArray(fields.addresses) ? fields.addresses : [];
  const addresses = list.slice(0, ADDRESSES_MAX).map((it) => Address.tryParse(String(it)));
  if (addresses.length === 0 || addresses.includes(undefined) || list.length > ADDRESSES_MAX) {
    problems.push(`addresses cannot be ${JSON.stringify(fields.addresses)?.slice(0, 100)}`);
  }
  const attachment: Attachment = {
    containerId: take("container id", containerId, ID_REGEXP),
    ifname: take("ifname", ifname, IFNAME_REGEXP),
    namespace: take("namespace", fields.namespace, NAME_REGEXP),
    pod: take("pod", fields.pod, NAME_REGEXP),
    uid: fields.uid === undefined ? undefined : take("uid", fields.uid, UID_REGEXP),
    interfaceName: take("interface", fields.interface, IFNAME_REGEXP),
    addresses: addresses.filter((it) => it !== undefined),
  };
  if (problems.length > 0) throw new SyntaxError(`Attachment refused: ${problems.join("; ")}`);
  return attachment;
}
