/** `deno task docs`: writes docs/reference and the agent's file of settings from the programs' tables. */

import { makeDocuments } from "./documents.ts";

const ROOT = new URL("../../", import.meta.url);

for (const [path, text] of await makeDocuments()) {
  const url = new URL(path, ROOT);
  await Deno.mkdir(new URL("./", url), { recursive: true });
  await Deno.writeTextFile(url, text);
  Deno.stdout.writeSync(new TextEncoder().encode(`docs: ${path}\n`));
}
