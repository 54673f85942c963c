/** The sources that commands read a cluster from: the API server, or manifests. */

import { DatastoreError } from "../../lib/datastore/error.ts";
import type { Namespace } from "../../lib/model/namespace.ts";
import type { Node } from "../../lib/model/node.ts";
import type { ClusterNetworkPolicy, NetworkPolicy } from "../../lib/model/policy.ts";
import type { Workload } from "../../lib/model/workload.ts";
import type { Cluster } from "../../lib/policy/evaluate.ts";
import { CtlError } from "../error.ts";
import type { Origin } from "./workload_kind.ts";

/** Which objects; `undefined` = all of them. */
export interface Scope {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  /** Pods of this node. */
  readonly node?: string | undefined;
}

/** Reads facts. */
export interface ClusterReader {
  pods(scope?: Scope): Promise<readonly Workload[]>;
  policies(scope?: Scope): Promise<readonly NetworkPolicy[]>;
  /** @throws {UnreadError} if there are some, in a version that this program does not know */
  clusterPolicies(): Promise<readonly ClusterNetworkPolicy[]>;
  namespaces(scope?: Scope): Promise<readonly Namespace[]>;
  nodes(scope?: Scope): Promise<readonly Node[]>;
  /** Sentences about policies of other engines, which do not count. */
  foreignPolicies(): Promise<readonly string[]>;
}

/** The cluster has objects that this program cannot read; the message names them and the remedy. */
export class UnreadError extends CtlError {}

/** A cluster, and sentences about the parts that could not be read. */
export interface ReadCluster {
  readonly cluster: Cluster;
  readonly unread: readonly string[];
  /** Sentences about objects that look like policies and are not evaluated. */
  readonly notEvaluated: readonly string[];
  /** Where the pods of manifests come from, by the pods' keys. */
  readonly origins: ReadonlyMap<string, Origin>;
}

/** Which parts of a cluster to read. */
export interface Question {
  /** Namespaces of the pods at the ends of the flow: read where not all may be. */
  readonly namespaces: readonly string[];
  /** Whether both ends are pods: then those of other namespaces decide nothing. */
  readonly isBetweenPods: boolean;
}

/**
 * Everything that decides a verdict, as far as this user may read it. What may not be read of all
 * namespaces is read of those of the question.
 *
 * @throws {DatastoreError} if the server does not answer, or the pods at the ends may not be read
 */
export async function readCluster(
  reader: ClusterReader,
  { namespaces: asked, isBetweenPods }: Question,
): Promise<ReadCluster> {
  const unread: string[] = [];
  const orNone = async <T>(part: Promise<readonly T[]>): Promise<readonly T[]> => {
    try {
      return await part;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      unread.push(error.message);
      return [];
    }
  };
  /** Of all namespaces, or else of each that is asked for. */
  const orAsked = async <T>(
    all: Promise<readonly T[]>,
    one: (namespace: string) => Promise<readonly T[]>,
  ): Promise<readonly T[]> => {
    try {
      return await all;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      if (!isBetweenPods || asked.length === 0) unread.push(error.message);
      return (await Promise.all(asked.map(one))).flat();
    }
  };
  const named = async (name: string): Promise<readonly Namespace[]> => {
    const found = await orNone(reader.namespaces({ name }));
    // Its name is a label of each namespace's.
    const labels = { "kubernetes.io/metadata.name": name };
    return found.length > 0 ? found : [{ name, labels, isIsolated: false, denyAction: undefined }];
  };
  const [pods, namespaces, policies, clusterPolicies, nodes, notEvaluated] = await Promise.all([
    orAsked(reader.pods(), (namespace) => reader.pods({ namespace })),
    orAsked(reader.namespaces(), named),
    orAsked(reader.policies(), (namespace) => orNone(reader.policies({ namespace }))),
    orNone(reader.clusterPolicies()),
    orNone(reader.nodes()),
    reader.foreignPolicies(),
  ]);
  const cluster = { pods, namespaces, policies, clusterPolicies, nodes };
  return { cluster, unread: [...new Set(unread)], notEvaluated, origins: new Map() };
}

function isUnreadable(error: unknown): error is Error {
  if (error instanceof UnreadError) return true;
  return error instanceof DatastoreError && error.status === 403;
}
