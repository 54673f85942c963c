/**
 * How a call of the plugin is to end, in the words of the CNI specification: silent, with a result, or with
 * an error object; and the versions of the specification, in each of which it is asked.
 */

import { assert, assertEquals } from "@std/assert";
import type { CniOutcome } from "./call.ts";
import type { CniNetwork } from "./cni_network.ts";
import { nodeState } from "./cni_node.ts";
import type { Container } from "./container.ts";

/** Every version that the plugin speaks. */
export const VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
/** One of {@link VERSIONS}. */
export type Version = typeof VERSIONS[number];
/** Those with CHECK, and with prevResult for DEL. */
export const CHECK_VERSIONS: readonly Version[] = ["0.4.0", "1.0.0", "1.1.0"];

/** A container that has no namespace, for calls that must not get that far. */
export const NO_CONTAINER: Container = { containerId: "c1", path: "/run/netns/none", pod: "c1" };

/** Asserts that nothing of any pod is left on the node. */
export function assertNothingLeft(network: CniNetwork): void {
  assertEquals([nodeState(), network.reserved()], [[], []]);
}

/** Asserts that a call did what it should and had nothing to say. */
export function assertSilent({ code, stdout, stderr }: CniOutcome, what: string): void {
  assertEquals({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" }, what);
}

/** Asserts that a call failed as the specification has it: an error object on stdout. */
export function assertError(
  { code, answer, stdout }: CniOutcome,
  expected: number,
  what: string,
): void {
  assertEquals([code, answer.code], [1, expected], `${what}: ${stdout}`);
  const known = ["cniVersion", "code", "msg", "details"];
  assertEquals(Object.keys(answer).filter((it) => !known.includes(it)), [], what);
  assert(typeof answer.msg === "string" && answer.msg !== "", what);
  assert(answer.details === undefined || typeof answer.details === "string", what);
  assert(VERSIONS.some((it) => it === answer.cniVersion), what);
}

/** Calls for every version, two at a time: more would only wait for each other. */
export async function forEachVersion(
  versions: readonly Version[],
  f: (version: Version) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < versions.length; at += 2) {
    await Promise.all(versions.slice(at, at + 2).map(f));
  }
}
