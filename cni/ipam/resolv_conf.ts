/** resolv.conf(5) as the `dns` of a result. */

import type { ResultDns } from "../protocol/result.ts";

/** Parses the text of a resolv.conf; unknown lines are skipped. */
export function parseResolvConf(text: string): ResultDns {
  const nameservers: string[] = [];
  let domain: string | undefined;
  const search: string[] = [];
  const options: string[] = [];
  for (const line of text.split("\n")) {
    const [keyword = "", ...words] = line.trim().split(/\s+/);
    if (keyword.startsWith("#") || keyword.startsWith(";") || words.length === 0) continue;
    if (keyword === "nameserver") nameservers.push(words[0] ?? "");
    else if (keyword === "domain") domain = words[0];
    else if (keyword === "search") search.push(...words);
    else if (keyword === "options") options.push(...words);
  }
  return {
    ...(nameservers.length > 0 ? { nameservers } : {}),
    ...(domain === undefined ? {} : { domain }),
    ...(search.length > 0 ? { search } : {}),
    ...(options.length > 0 ? { options } : {}),
  };
}
