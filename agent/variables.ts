/**
 * Environment variables with our prefix that no setting reads: a misspelt one would change nothing, and
 * without a word. Those that Kubernetes makes for a Service called `calyx…` are left out. Pure.
 */

import { nearestWord } from "../lib/base/nearest_word.ts";

const PREFIX = "CALYX_";
/** Read by the installer, which may share the agent's file of settings. */
const INSTALLER = ["CALYX_CNI_CONFIG", "CALYX_FROM"];
/** `X_SERVICE_HOST`, `X_SERVICE_PORT_HTTP`, `X_PORT_80_TCP_ADDR`: "Accessing the Service". */
const SERVICE_REGEXP = /_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/;
const SERVICE_URL_REGEXP = /^(tcp|udp|sctp):\/\//;

/** A variable that is not known, and what may be meant. */
export interface UnknownVariable {
  readonly variable: string;
  readonly didYouMean: string | undefined;
}

/** Finds the variables with our prefix that are not among `known`. */
export function findUnknownVariables(
  environment: Readonly<Record<string, string | undefined>>,
  known: readonly string[],
): readonly UnknownVariable[] {
  const names = [...known, ...INSTALLER].filter((it) => it.startsWith(PREFIX));
  return Object.keys(environment)
    .filter((it) => it.toUpperCase().startsWith(PREFIX) && !names.includes(it))
    .filter((it) => !SERVICE_REGEXP.test(it) && !SERVICE_URL_REGEXP.test(environment[it] ?? ""))
    .sort()
    .map((variable) => ({ variable, didYouMean: nearestWord(variable, names) }));
}
