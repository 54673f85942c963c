/**
 * Hundreds of packets at once between pods of one process. Each is the first of a flow of its own:
 * source ports are counted up and not used again for minutes, so that no earlier flow, which conntrack
 * may still know, speaks for a later one.
 */

import type { Bytes } from "../../lib/base/bytes.ts";
import { HOST_IS_LITTLE_ENDIAN } from "../../lib/base/bytes.ts";
import type { Address } from "../../lib/ip/address.ts";
import { check, errnoName, lastErrno } from "../../lib/kernel/errno.ts";
import { withNamespace } from "../../lib/kernel/namespace.ts";
import { libc } from "../../lib/kernel/symbols.ts";
import type { Protocol } from "../../lib/model/workload.ts";
import { AnswerTime } from "../support/packet/answer_time.ts";
import { poll, type ProbeResult, socketAddress, socketError } from "../support/packet/probe.ts";
import {
  DOMAINS,
  MSG_NOSIGNAL,
  type PodServices,
  SOCK_DGRAM,
  SOCK_FLAGS,
  SOCK_STREAM,
} from "./pod_services.ts";

const SOL_SOCKET = 1;
const SO_LINGER = 13;
const EINPROGRESS = 115;
const EADDRINUSE = 98;
const POLLIN = 1;
const POLLOUT = 4;

const SOURCE_PORT_FIRST = 20_000;
const SOURCE_PORT_LAST = 60_000;
let sourcePort = SOURCE_PORT_FIRST;
/** Numbers all SCTP probes, so that a late answer is not taken for the answer to a later probe. */
let initiateTag = 0;

/** A packet to send: from an address of a pod, to an address and port. */
export interface PacketProbe {
  readonly from: PodServices;
  readonly source: Address;
  readonly to: Address;
  readonly protocol: Protocol;
  readonly port: number;
}

/** One probe on its way. */
interface Flight {
  readonly probe: PacketProbe;
  /** -1 where there is no socket of its own: SCTP. */
  fd: number;
  result: ProbeResult | undefined;
}

/**
 * Sends all probes at once and waits until each is decided, `timeoutMs` at most, as {@link AnswerTime}
 * counts them. `pods` are served meanwhile: all that could be asked.
 *
 * @returns `open` for a connection (TCP) or an answer (UDP, SCTP), `timeout` for nothing at all, or the
 * error that came back
 */
export async function sendProbes(
  probes: readonly PacketProbe[],
  pods: readonly PodServices[],
  timeoutMs: number,
): Promise<ProbeResult[]> {
  const flights = probes.map((probe): Flight => ({ probe, fd: -1, result: undefined }));
  const associations = new Map<number, Flight>();
  const serve = (): void => {
    for (const pod of pods) {
      pod.serve(({ verificationTag }) => {
        const flight = associations.get(verificationTag);
        if (flight !== undefined) flight.result = "open";
      });
    }
  };
  const services = pods.flatMap((it) => it.descriptors);
  try {
    for (const [pod, own] of Map.groupBy(flights, (it) => it.probe.from)) {
      withNamespace(pod.namespace, () => own.forEach((it) => depart(it, associations)));
      serve(); // before too much waits for it
    }
    const time = new AnswerTime(timeoutMs);
    for (;;) {
      serve();
      const waiting = flights.filter((it) => it.result === undefined);
      const restMs = time.next();
      if (waiting.length === 0 || restMs === undefined) break;
      const sockets = waiting.filter((it) => it.fd >= 0);
      const ready = await poll(
        [...sockets.map((it) => it.fd), ...services],
        [
          ...sockets.map(({ probe }) => probe.protocol === "TCP" ? POLLOUT : POLLIN),
          ...services.map(() => POLLIN),
        ],
        restMs,
      );
      for (const position of ready) {
        const flight = sockets[position];
        if (flight === undefined) continue; // a service
        const error = socketError(flight.fd);
        flight.result = error === 0 ? "open" : errnoName(error);
      }
    }
  } finally {
    for (const { fd } of flights) if (fd >= 0) libc().close(fd);
  }
  return flights.map((it) => it.result ?? "timeout");
}

/** Sends the first packet; the calling thread is in the pod's namespace. */
function depart(flight: Flight, associations: Map<number, Flight>): void {
  const { from, source, to, protocol, port } = flight.probe;
  if (protocol === "SCTP") {
    associations.set(++initiateTag, flight);
    from.sendSctp({
      kind: "INIT",
      sourcePort: nextSourcePort(),
      destinationPort: port,
      verificationTag: 0,
      initiateTag,
    }, to);
    return;
  }
  const type = (protocol === "TCP" ? SOCK_STREAM : SOCK_DGRAM) | SOCK_FLAGS;
  const fd = check("open socket", libc().socket(DOMAINS[to.family], type, 0));
  flight.fd = fd;
  if (protocol === "TCP") hangUpAtOnce(fd);
  bindSource(fd, source);
  const name = socketAddress(to, port);
  if (libc().connect(fd, name, name.length) < 0) {
    const errno = lastErrno();
    if (errno !== EINPROGRESS) flight.result = errnoName(errno);
  } else if (protocol === "UDP") {
    libc().send(fd, new TextEncoder().encode("probe"), 5n, MSG_NOSIGNAL);
  }
}

/** `close()` sends a reset: nothing is left waiting on either side. */
function hangUpAtOnce(fd: number): void {
  const linger: Bytes = new Uint8Array(8); // struct linger: on, no seconds
  new DataView(linger.buffer).setInt32(0, 1, HOST_IS_LITTLE_ENDIAN);
  check("set SO_LINGER", libc().setsockopt(fd, SOL_SOCKET, SO_LINGER, linger, linger.length));
}

function bindSource(fd: number, source: Address): void {
  for (;;) {
    const name = socketAddress(source, nextSourcePort());
    if (libc().bind(fd, name, name.length) === 0) return;
    const errno = lastErrno();
    if (errno !== EADDRINUSE) check("bind socket", -1);
  }
}

function nextSourcePort(): number {
  sourcePort = sourcePort >= SOURCE_PORT_LAST ? SOURCE_PORT_FIRST : sourcePort + 1;
  return sourcePort;
}
