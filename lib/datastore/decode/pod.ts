/** Pod, `v1`: the fields that policy needs. */

import type { Address } from "../../ip/address.ts";
import type { NamedPort, Protocol, Workload } from "../../model/workload.ts";
import type { Decoded, ResourceKind } from "../kind.ts";
import {
  type Fields,
  type Metadata,
  Problems,
  readLegacyAddress,
  readList,
  readMetadata,
  readObject,
  readText,
} from "./fields.ts";

/** Pods of all namespaces. */
export const podKind: ResourceKind<Workload> = {
  name: "pods",
  kind: "Pod",
  path: "/api/v1/pods",
  decode: decodePod,
};

/** Addresses of one pod that we keep; the API has one per family. */
const ADDRESSES_MAX = 16;

/**
 * Decodes a Pod. One whose labels, node or network it cannot read counts as absent, so that its interface
 * stays closed: we cannot tell which policies isolate it. Of addresses and ports it drops only those that
 * it cannot read: rules would only have let them through.
 */
export function decodePod(object: unknown): Decoded<Workload> {
  const problems = new Problems();
  const fields = readObject(object, "object", problems);
  const metadata = readMetadata(fields, problems);
  const spec = readObject(fields.spec, "spec", problems);
  const nodeName = readText(spec.nodeName, "spec.nodeName", problems) ?? "";
  const hostNetwork = spec.hostNetwork ?? false;
  if (typeof hostNetwork !== "boolean") {
    problems.add("spec.hostNetwork", hostNetwork, "true or false is expected");
  }
  if (metadata.name === "" || metadata.namespace === "") {
    problems.add("metadata", fields.metadata, "name and namespace are expected");
  }
  const isUsable = problems.all.length === 0;
  const status = readObject(fields.status, "status", problems);
  const value: Workload = {
    namespace: metadata.namespace,
    name: metadata.name,
    uid: uidOf(metadata),
    nodeName,
    labels: metadata.labels,
    ...(metadata.createdAt === "" ? {} : { createdAt: metadata.createdAt }),
    serviceAccount: readText(spec.serviceAccountName, "spec.serviceAccountName", problems) ?? "",
    addresses: readAddresses(status, problems),
    hostNetwork: hostNetwork === true,
    finished: isFinished(readText(status.phase, "status.phase", problems)),
    ports: readPorts(spec, problems),
    resourceVersion: metadata.resourceVersion,
  };
  return { value: isUsable ? value : undefined, problems: problems.all };
}

/**
 * The uid that the kubelet gives to the container runtime. A static pod's is the hash of its manifest,
 * or what that says; its object on the API server, the mirror, has another uid of its own, and the
 * kubelet's as an annotation.
 */
function uidOf({ uid, annotations }: Metadata): string {
  if (annotations["kubernetes.io/config.mirror"] === undefined) return uid;
  return annotations["kubernetes.io/config.hash"] ?? annotations["kubernetes.io/config.mirror"];
}

/** A pod that is being deleted still runs: only its phase says that it has ended. */
function isFinished(phase: string | undefined): boolean {
  return phase === "Succeeded" || phase === "Failed";
}

/** `status.podIPs`, or `status.podIP` where only that is set. */
function readAddresses(status: Fields, problems: Problems): readonly Address[] {
  const list = readList(status.podIPs, "status.podIPs", problems) ?? [];
  const texts = list.slice(0, ADDRESSES_MAX).map((it, index) =>
    readObject(it, `status.podIPs[${index}]`, problems).ip
  );
  if (texts.length === 0 && status.podIP !== undefined && status.podIP !== "") {
    texts.push(status.podIP);
  }
  return texts.flatMap((text) => {
    const address = readLegacyAddress(text);
    if (address === undefined) problems.add("status.podIPs", text, "an IP address is expected");
    return address ?? [];
  });
}

/** Named ports of the containers, and of the init containers that keep running beside them. */
function readPorts(spec: Fields, problems: Problems): readonly NamedPort[] {
  const containers = readList(spec.containers, "spec.containers", problems) ?? [];
  const sidecars = (readList(spec.initContainers, "spec.initContainers", problems) ?? [])
    .filter((it) =>
      typeof it === "object" && it !== null && "restartPolicy" in it &&
      it.restartPolicy === "Always"
    );
  const ports: NamedPort[] = [];
  for (const container of [...containers, ...sidecars]) {
    const path = "spec.containers[].ports";
    const list = readObject(container, "spec.containers[]", problems).ports;
    for (const port of readList(list, path, problems) ?? []) {
      const { name, containerPort, protocol = "TCP" } = readObject(port, `${path}[]`, problems);
      if (name === undefined || name === "") continue;
      const isPort = typeof containerPort === "number" && Number.isInteger(containerPort) &&
        containerPort >= 1 && containerPort <= 65535;
      if (typeof name === "string" && isPort && isProtocol(protocol)) {
        ports.push({ name, protocol, port: containerPort });
      } else problems.add(`${path}[]`, port);
    }
  }
  return ports;
}

/** Whether `value` is a transport protocol of the API. */
export function isProtocol(value: unknown): value is Protocol {
  return value === "TCP" || value === "UDP" || value === "SCTP";
}
