/**
 * Variables by which the runtime itself would choose whom to trust and through whom to go. Whom we trust
 * is the CA that is given, and the way is proxy.ts': so they are taken out of this process before its
 * first request, and given back to the programs that it starts.
 */

import { variablesOf } from "../settings/setting.ts";
import { PROXY_SETTINGS } from "./proxy.ts";

/** The runtime's variables that must not influence our programs. */
export const RUNTIME_VARIABLES = ["DENO_CERT", "DENO_TLS_CA_STORE", "ALL_PROXY", "all_proxy"];
const NAMES = [...RUNTIME_VARIABLES, ...Object.values(PROXY_SETTINGS).flatMap(variablesOf)];

/** Names and values, as they were. */
export type Environment = Readonly<Record<string, string>>;

let taken: Environment | undefined;

/** Removes them from the environment at the first call; returns their values. */
export function takeRuntimeEnvironment(): Environment {
  if (taken !== undefined) return taken;
  const found: Record<string, string> = {};
  for (const name of NAMES) {
    const value = Deno.env.get(name);
    if (value === undefined) continue;
    found[name] = value;
    Deno.env.delete(name);
  }
  // No store at all: a client then trusts the certificates that it is made with, and no others.
  Deno.env.set("DENO_TLS_CA_STORE", "");
  return taken = found;
}
