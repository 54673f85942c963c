/** The agent's status: the answer to `getStatus`. */

import { type Body, readBoolean, readNumber, readObject, readText } from "./body.ts";

/** Transactions of the ruleset so far; a number that is missing is 0. */
export interface AppliedCounts {
  readonly applied: number;
  readonly failed: number;
  /** Of the last one, in milliseconds. */
  readonly durationMs: number;
  /** Of the last one, in milliseconds since the epoch; 0 = never. */
  readonly appliedAtMs: number;
}

/** The status; a missing text is `""`. */
export interface AgentStatus {
  readonly version: string;
  /** The name of its Node; until that is found, the configured one. */
  readonly node: string;
  /** The API server's URL. */
  readonly server: string;
  /**
   * Why policy is not in force, in one sentence; `undefined`: it is. In JSON that is `ready`, the sentence or
   * `true`. Missing: policy is in force.
   */
  readonly unreadyReason: string | undefined;
  /** Objects known from the API server, by kind. Missing: none. */
  readonly objects: Readonly<Record<string, number>>;
  readonly applied: AppliedCounts;
  /** `tableOwned`: whether the kernel refuses other programs' changes of the table. Missing: not known yet. */
  readonly isTableOwned: boolean | undefined;
}

/** Encodes the body of an answer. */
export function encodeStatus(status: AgentStatus): Body {
  const { version, node, server, unreadyReason, objects, isTableOwned } = status;
  const { applied, failed, durationMs, appliedAtMs } = status.applied;
  return {
    version,
    node,
    server,
    ready: unreadyReason ?? true,
    objects,
    applied: { applied, failed, durationMs, appliedAtMs },
    tableOwned: isTableOwned,
  };
}

/** Decodes the body of an answer; an unusable field counts as missing. */
export function decodeStatus(body: Body): AgentStatus {
  const objects = readObject(body, "objects") ?? {};
  const applied = readObject(body, "applied") ?? {};
  return {
    version: readText(body, "version") ?? "",
    node: readText(body, "node") ?? "",
    server: readText(body, "server") ?? "",
    unreadyReason: readText(body, "ready"),
    objects: Object.fromEntries(
      Object.keys(objects).map((kind) => [kind, readNumber(objects, kind) ?? 0]),
    ),
    applied: {
      applied: readNumber(applied, "applied") ?? 0,
      failed: readNumber(applied, "failed") ?? 0,
      durationMs: readNumber(applied, "durationMs") ?? 0,
      appliedAtMs: readNumber(applied, "appliedAtMs") ?? 0,
    },
    isTableOwned: readBoolean(body, "tableOwned"),
  };
}
