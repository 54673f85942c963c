/** Settings as text: the lists of flags and variables that `--help` prints, and the file of defaults. */

import {
  formatDefault,
  isSwitch,
  type Setting,
  type SettingTable,
  variablesOf,
} from "./setting.ts";

const LINE_LENGTH_MAX = 100;
/** What is longer has its help on the next line. */
const NAME_LENGTH_MAX = 30;

/** What {@link formatFlags} prints beside flags. */
export interface FlagListOptions {
  /** Print the variables too, on a line of their own. */
  readonly withVariables?: boolean;
}

/** The flags of a table with their help and defaults, a paragraph each; ends with a line break. */
export function formatFlags(table: SettingTable, options: FlagListOptions = {}): string {
  const rows = Object.values(table).filter((it) => it.flag !== undefined);
  const hasLetters = rows.some((it) => it.letter !== undefined);
  return formatColumns(rows.map((row) => {
    const lines = [describe(row)];
    const variables = variablesOf(row);
    if (options.withVariables && variables.length > 0) lines.push(variables.join(", "));
    return [formatFlag(row, hasLetters), ...lines];
  }));
}

/** The variables of a table with their help, without prefixes and aliases. */
export function formatVariables(table: SettingTable): string {
  const rows = Object.values(table).filter((it) => it.variables !== undefined);
  return formatColumns(rows.map((row) => [row.variables?.[0] ?? "", describe(row)]));
}

/** A text broken into lines; ends with a line break. */
export function formatParagraph(text: string): string {
  return wrap(text, LINE_LENGTH_MAX).map((it) => `${it}\n`).join("");
}

/** The same as comments of a shell or a unit. */
export function formatComment(text: string): string {
  return wrap(text, LINE_LENGTH_MAX - 2).map((it) => `# ${it}\n`).join("");
}

/** Words and what they mean, in two columns; further texts of a row are lines below its first. */
function formatColumns(rows: readonly (readonly string[])[]): string {
  const lengths = rows.map(([name = ""]) => name.length).filter((it) => it <= NAME_LENGTH_MAX);
  const column = Math.max(0, ...lengths) + 4;
  const lines = rows.flatMap(([name = "", ...texts]) => {
    const help = texts.flatMap((it) => wrap(it, LINE_LENGTH_MAX - column));
    const first = `  ${name}`;
    const below = help.map((it) => `${" ".repeat(column)}${it}`);
    if (first.length > column - 2) return [first, ...below];
    return [`${first.padEnd(column)}${help[0] ?? ""}`, ...below.slice(1)];
  });
  return lines.map((it) => `${it.trimEnd()}\n`).join("");
}

/** The settings that have variables as a file of them, each commented out; for systemd and shells. */
export function formatVariableFile(table: SettingTable): string {
  const rows = Object.values(table).filter((it) => it.variables !== undefined);
  return rows.map((row) => {
    const [variable = "", ...aliases] = row.variables ?? [];
    const also = aliases.length === 0 ? [] : [`Also: ${aliases.join(", ")}`];
    const comments = [sentence(row.help), formOf(row), ...also].filter((it) => it !== "");
    const value = formatDefault(row) ?? row.example ?? "";
    return `${comments.map(formatComment).join("")}#${variable}=${value}\n`;
  }).join("\n");
}

/** `-n, --namespace NAME`. */
function formatFlag(row: Setting<unknown>, hasLetters: boolean): string {
  const letter = row.letter === undefined ? (hasLetters ? "    " : "") : `-${row.letter}, `;
  return `${letter}--${row.flag}${isSwitch(row) ? "" : ` ${row.type.placeholder}`}`;
}

/** Its help, and its default where there is one. */
function describe(row: Setting<unknown>): string {
  const usual = formatDefault(row) ?? row.unsaid;
  return usual === undefined ? row.help : `${row.help} [default: ${usual}]`;
}

/** What may be written, where help does not say it already. */
function formOf({ type: { placeholder }, unsaid, example }: Setting<unknown>): string {
  const form = placeholder.includes("|") ? `One of ${placeholder.split("|").join(", ")}` : "";
  const usual = unsaid === undefined ? "" : `Default: ${unsaid}`;
  const below = example === undefined ? "" : "For example:";
  return [form, usual, below].filter((it) => it !== "").join(". ");
}

/** Half a sentence as one; a value at its beginning (`on: …`) stays as it is typed. */
export function sentence(text: string): string {
  return /^\S+:/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
}

/** Breaks `text` between words, but for those within brackets. */
function wrap(text: string, length: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(/ (?![^[]*\])/)) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > length) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
