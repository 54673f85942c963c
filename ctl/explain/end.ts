/**
 * The ends of a flow as written on the command line: `ns/pod`, `pod`, `ns/deployment/name` or
 * an IP address, and after the destination `:port` and `/protocol`. Text only; `resolve.ts` finds out who that is.
 */

import { Address } from "../../lib/ip/address.ts";
import type { Protocol } from "../../lib/model/workload.ts";
import { isWorkloadWord } from "../cluster/workload_kind.ts";
import { CtlError } from "../error.ts";

/** One end of a flow, as the command line names it. */
export type Party =
  | PodParty
  | { readonly kind: "address"; readonly address: Address };

/** A pod, or the workload that creates it. */
export interface PodParty {
  readonly kind: "pod";
  readonly namespace: string;
  readonly name: string;
  /** A word for the kind of workload that makes it: `deployment`. */
  readonly workload?: string;
  /** `job/x` is pod x of the namespace job, or, if there is none, the job x. */
  readonly otherwise?: PodParty;
}

/** A port of the destination; a name is one of the pod's container ports. */
export interface PortText {
  readonly port: number | string;
  readonly protocol: Protocol;
}

/** The destination. */
export interface Target {
  readonly party: Party;
  /** `undefined`: none was given. */
  readonly port: PortText | undefined;
}

const PROTOCOLS: Readonly<Record<string, Protocol>> = { tcp: "TCP", udp: "UDP", sctp: "SCTP" };

/**
 * Parses the source; `namespace` is that of a pod without one.
 *
 * @throws {CtlError} if it is neither a pod nor an address
 */
export function parseSource(text: string, namespace: string): Party {
  const { party, port } = parseTarget(text, namespace);
  if (port !== undefined) {
    throw new CtlError(
      `The source takes no port: write "${text.slice(0, text.lastIndexOf(":"))}"`,
    );
  }
  return party;
}

/**
 * Parses `destination[:port[/protocol]]`; an IPv6 address with a port stands in brackets.
 *
 * @throws {CtlError} if a part of it is malformed
 */
export function parseTarget(text: string, namespace: string): Target {
  const bare = Address.tryParse(text);
  if (bare !== undefined) return { party: { kind: "address", address: bare }, port: undefined };
  const match = /^(\[[^\]]*\]|[^:]*)(?::([^:]*))?$/s.exec(text);
  if (match === null) {
    throw new CtlError(
      `Cannot read "${text}": an IPv6 address with a port is written "[address]:port"`,
    );
  }
  const [, host = "", port] = match;
  return {
    party: parseParty(host, namespace),
    port: port === undefined ? undefined : parsePort(port),
  };
}

function parseParty(text: string, namespace: string): Party {
  const address = Address.tryParse(text.replace(/^\[(.*)\]$/s, "$1"));
  if (address !== undefined) return { kind: "address", address };
  if (/^\d+(\.\d+){3}(\/\d+)?$/.test(text) || text.startsWith("[")) {
    throw new CtlError(`"${text}" is no IP address`);
  }
  const match = /^(?:([a-z0-9-]+)\/)?(?:([A-Za-z0-9.-]+)\/)?([a-z0-9.-]+)$/.exec(text);
  const [, first, workload, name] = match ?? [];
  if (name === undefined) {
    throw new CtlError(`Cannot read "${text}": write namespace/pod, pod, or an IP address`);
  }
  if (workload !== undefined) {
    return { kind: "pod", namespace: first ?? namespace, name, workload };
  }
  const party: PodParty = { kind: "pod", namespace: first ?? namespace, name };
  if (first === undefined || !isWorkloadWord(first)) return party;
  return { ...party, otherwise: { kind: "pod", namespace, name, workload: first } };
}

function parsePort(text: string): PortText {
  const [portText = "", protocolText = "tcp"] = text.split("/", 2);
  const protocol = PROTOCOLS[protocolText.toLowerCase()];
  if (protocol === undefined) {
    const icmp = protocolText.toLowerCase().startsWith("icmp");
    throw new CtlError(
      icmp
        ? "ICMP has no ports: leave the port out to ask for it"
        : `Unknown protocol "${protocolText}"; protocols are tcp, udp and sctp`,
    );
  }
  if (/^\d+$/.test(portText)) {
    const port = Number(portText);
    if (port >= 1 && port <= 65535) return { port, protocol };
  } else if (/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(portText)) {
    return { port: portText, protocol };
  }
  throw new CtlError(`"${portText}" is no port: write a number from 1 to 65535, or a port's name`);
}
