/** How the API server is found, for every program's `--help`. */

import { formatParagraph, formatVariables } from "../settings/help.ts";
import { PRECEDENCE } from "../settings/precedence.ts";
import { PROXY_SETTINGS } from "./proxy.ts";
import { CREDENTIALS } from "./settings.ts";

/** The sentence on prefixed variables, for help and documents. */
export const PREFIX_SENTENCE =
  "Each of these variables also counts with the prefix CALICO_, and then first.";

/** Order of the places, variables and proxies; ends with a line break. */
export function formatCredentialHelp(): string {
  const own = Object.entries(CREDENTIALS).filter(([, row]) => "variablePrefix" in row);
  return [
    formatParagraph(`How the API server is found: ${PRECEDENCE} ${PREFIX_SENTENCE}`),
    formatVariables(Object.fromEntries(own)),
    "\nProxies:\n",
    formatVariables(PROXY_SETTINGS),
  ].join("");
}
