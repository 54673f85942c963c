/** nft(8) as the second opinion: what the kernel holds, in a form that can be compared. */

/** Runs nft(8). @throws {Error} with what it says */
export function nft(...args: string[]): string {
  const { code, stdout, stderr } = new Deno.Command("nft", { args }).outputSync();
  if (code !== 0) throw new Error(`nft ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** What nft lists of our table, without what only one side has: owner, counts, the order of elements. */
export function listTable(): string {
  const text = nft("-n", "list", "table", "inet", "calyx")
    .replace(/ # progname .*/, "").replace(/^\tflags.*\n\n?/m, "")
    .replaceAll(/counter packets \d+ bytes \d+/g, "counter")
    .replaceAll(
      /elements = \{([^}]*)\}/g,
      (_, elements: string) =>
        `elements = { ${elements.split(",").map((it) => it.trim()).sort().join(", ")} }`,
    );
  const blocks = text.split(/\n(?=\t(?:set|map|chain) )/);
  const [head = "", ...rest] = blocks.map((it) => it.replace(/\n}\s*$/, "\n").trim());
  return [head, ...rest.sort()].join("\n");
}
