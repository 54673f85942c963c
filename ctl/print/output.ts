/**
 * `-o`: how `get` prints. Tables for people and for scripts that cut columns; YAML and JSON always as
 * a flat list, also of one object, so that a script that reads them needs one case.
 */

import { escapeControls } from "../../lib/base/printable.ts";
import { formatYaml } from "../../lib/base/yaml.ts";
import { CtlError } from "../error.ts";
import type { Item, View } from "../resource/view.ts";
import { suggest } from "../suggest.ts";
import { formatTable } from "./table.ts";

/** A parsed `-o`. */
export type Output =
  | { readonly kind: "yaml" | "json" }
  | { readonly kind: "table"; readonly headings: readonly string[] };

const FORMATS = ["ps", "wide", "yaml", "json", "custom-columns="];

/**
 * Parses the value of `-o` for objects of `view`.
 *
 * @throws {CtlError} if it is no format, or names a column that the kind does not have
 */
export function parseOutput(text: string, view: View): Output {
  const separator = text.indexOf("=");
  const name = separator < 0 ? text : text.slice(0, separator);
  const value = separator < 0 ? undefined : text.slice(separator + 1);
  if (name === "custom-columns") return { kind: "table", headings: parseHeadings(value, view) };
  if (value === undefined) {
    if (name === "yaml" || name === "json") return { kind: name };
    if (name === "ps") return { kind: "table", headings: view.columns.ps };
    if (name === "wide") return { kind: "table", headings: view.columns.wide };
  }
  const known = value !== undefined ? [] : FORMATS.map((it) => it.replace("=", ""));
  throw new CtlError(
    `Unknown output format "${text}"${
      suggest(name, known) || `; valid are: ${FORMATS.join(", ")}`
    }`,
  );
}

/** Whether what `column` shows is asked for: YAML and JSON have all of it. */
export function shows(output: Output, column: string): boolean {
  return output.kind !== "table" || output.headings.includes(column);
}

/** Formats `items`, which `view` has listed. */
export function formatItems(items: readonly Item[], view: View, output: Output): string {
  switch (output.kind) {
    case "yaml":
      return formatYaml(items.map((it) => it.resource));
    case "json":
      return JSON.stringify(items.map((it) => it.resource), null, 2) + "\n";
    case "table": {
      const columns = output.headings.map((it) => view.columns.aliases?.[it] ?? it);
      const rows = items.map(({ cells }) => columns.map((it) => escapeControls(cells[it] ?? "")));
      return formatTable(output.headings, rows);
    }
  }
}

function parseHeadings(text: string | undefined, view: View): readonly string[] {
  const valid = view.columns.all;
  if (text === undefined || text === "") {
    throw new CtlError(
      `custom-columns needs headings: "-o custom-columns=${view.columns.ps.join(",")}"; ` +
        `valid values are: ${valid.join(", ")}`,
    );
  }
  return text.split(",").map((it) => {
    const heading = it.trim().toUpperCase();
    if (!valid.includes(heading) && view.columns.aliases?.[heading] === undefined) {
      throw new CtlError(`Unknown heading ${it}, valid values are: ${valid.join(", ")}`);
    }
    return heading;
  });
}
