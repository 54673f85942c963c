/** YAML text, through `@std/yaml`, with types where the package has none. */

import { parse, stringify } from "@std/yaml";

/**
 * Parses one YAML (or JSON) document.
 *
 * @throws {SyntaxError} if the text is not YAML
 */
export const parseYaml: (text: string) => unknown = parse;

/** Formats a plain value as one YAML document. */
export function formatYaml(value: unknown): string {
  return stringify(value, { lineWidth: -1, skipInvalid: true });
}
