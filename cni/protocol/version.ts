/** The versions of the CNI specification, and what depends on them. */

import { CniError } from "./error.ts";

/** Every version that we speak, oldest first. */
export const CNI_VERSIONS = [
  "0.1.0",
  "0.2.0",
  "0.3.0",
  "0.3.1",
  "0.4.0",
  "1.0.0",
  "1.1.0",
] as const;
export type CniVersion = typeof CNI_VERSIONS[number];

/** The newest version: for answers to a caller that named no known version. */
export const CNI_VERSION_NEWEST: CniVersion = "1.1.0";

/** The version of a configuration without `cniVersion`. */
export const CNI_VERSION_UNSAID: CniVersion = "0.1.0";

/** The first version of each command that was added later. */
const INTRODUCED: Readonly<Record<string, CniVersion>> = {
  CHECK: "0.4.0",
  GC: "1.1.0",
  STATUS: "1.1.0",
};

/** Whether `version` is `least` or newer. */
export function isAtLeast(version: CniVersion, least: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(least);
}

/**
 * Parses the `cniVersion` of a configuration.
 *
 * @throws {CniError} code 1 if we do not speak it
 */
export function parseCniVersion(text: string): CniVersion {
  const version = CNI_VERSIONS.find((it) => it === text);
  if (version !== undefined) return version;
  throw new CniError("incompatibleVersion", `Incompatible CNI version "${text}"`, {
    details: `The configuration asks for "${text}"; supported are ${CNI_VERSIONS.join(", ")}`,
  });
}

/**
 * Asserts that the configuration's version has `command`.
 *
 * @throws {CniError} code 1 if it came later
 */
export function requireCommand(version: CniVersion, command: string): void {
  const introduced = INTRODUCED[command];
  if (introduced === undefined || isAtLeast(version, introduced)) return;
  throw new CniError("incompatibleVersion", `config version does not allow ${command}`, {
    details: `${command} needs cniVersion ${introduced}; the configuration says ${version}`,
  });
}

/** Formats the answer to VERSION. */
export function formatVersions(version: string): string {
  return JSON.stringify(
    { cniVersion: version, supportedVersions: CNI_VERSIONS },
    undefined,
    4,
  );
}
