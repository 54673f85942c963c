/**
 * Case files of the three formats → cases. The format is told by what is in the file; all three are
 * described in `cases/README.md`.
 */

import type { ConformanceCase } from "./case.ts";
import { Json } from "./json.ts";
import { loadClusterPolicyTests } from "./load_cluster_policy.ts";
import { loadCyclonus } from "./load_cyclonus.ts";
import { loadKubernetes } from "./load_kubernetes.ts";

/** The case files that the project carries. */
export const CASE_FILES: readonly string[] = [
  "k8s-e2e",
  "cyclonus",
  "cnp",
  "cnp-nodes",
  "corners-netpol",
  "corners-cyclonus",
  "corners-cnp",
  "corners-own",
  "corners-refused",
].map((name) => `${import.meta.dirname}/cases/${name}.json`);

/**
 * Parses a case file.
 *
 * @throws {SyntaxError} naming the place, action or sentence that is not understood
 */
export function parseCases(text: string): readonly ConformanceCase[] {
  const file = new Json(JSON.parse(text), "");
  const cases = loadAny(file);
  const isAsked = cases.some((it) => it.steps.some(({ cells }) => cells.length > 0));
  if (isAsked) return cases;
  throw new SyntaxError("No case in it asks what becomes of any packet");
}

function loadAny(file: Json): readonly ConformanceCase[] {
  if (file.get("tests").exists) return loadClusterPolicyTests(file);
  const first = file.get("cases").list()[0];
  if (first === undefined) throw new SyntaxError("There are neither cases nor tests in it");
  return first.get("pods").exists ? loadKubernetes(file) : loadCyclonus(file);
}

/**
 * Reads a case file.
 *
 * @throws {SyntaxError} as {@link parseCases}, with the file's name; errors of reading it
 */
export async function readCases(path: string): Promise<readonly ConformanceCase[]> {
  let text;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new SyntaxError(`There is no file ${path}`);
    throw error;
  }
  try {
    return parseCases(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new SyntaxError(`${path}: ${error.message}`, { cause: error });
  }
}
