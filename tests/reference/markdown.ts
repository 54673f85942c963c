/** Markdown from rows, and in the form that `deno fmt` gives it. */

/** A table; a cell that is all code is put into backticks by {@link code}. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const lines = [headings, headings.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.map(escapeCell).join(" | ")} |\n`).join("");
}

/** Texts as code, separated by blanks; empty for none. */
export function code(...texts: readonly (string | undefined)[]): string {
  return texts.filter((it) => it !== undefined && it !== "").map((it) => `\`${it}\``).join(" ");
}

/** A block of text that stays as it is. */
export function formatBlock(text: string): string {
  return `\`\`\`\n${text.trimEnd()}\n\`\`\`\n`;
}

/** A heading and what stands below it, parts separated by blank lines. */
export function formatSection(heading: string, ...parts: readonly string[]): string {
  return [heading, ...parts].map((it) => it.trimEnd()).join("\n\n") + "\n\n";
}

/** `text` as `deno fmt` wants it to be. */
export async function formatMarkdown(text: string): Promise<string> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--no-config", "--line-width", "100", "--ext", "md", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout, stderr } = await process.output();
  if (!success) throw new Error(`deno fmt: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

function escapeCell(text: string): string {
  return text.replaceAll("|", "\\|");
}
