/**
 * What a query may say of versions: `resourceVersionMatch` and `sendInitialEvents`, as `ValidateListOptions`
 * of apimachinery's meta/internalversion/validation has it. Which of it a server knows, and whether it
 * streams lists, is a matter of its minor version.
 */

import { refuseInvalid, type StatusCause } from "./status.ts";

/** `resourceVersionMatch` came with 1.19, `sendInitialEvents` (behind a gate) with 1.27. */
const MINOR_OF_MATCH = 19;
const MINOR_OF_STREAMS = 27;

/** The gate WatchList of <k8s.io/apiserver/pkg/features/kube_features.go>: off again in 1.33. */
export function streamsLists(minor: number): boolean {
  return minor === 32 || minor >= 34;
}

/** What a watch begins with; `undefined` where the query does not say. */
export function parseInitialEvents(query: URLSearchParams, minor: number): boolean | undefined {
  const text = query.get("sendInitialEvents");
  if (text === null || minor < MINOR_OF_STREAMS) return undefined;
  return !/^(false|0)$/i.test(text);
}

/**
 * Refuses what does not go together.
 *
 * @throws {StatusError} 422
 */
export function checkListOptions(query: URLSearchParams, isWatch: boolean, minor: number): void {
  if (minor < MINOR_OF_MATCH) return;
  const causes = isWatch && minor >= MINOR_OF_STREAMS
    ? watchCauses(query, minor)
    : listCauses(query, isWatch, minor);
  refuseInvalid(causes, { kind: "ListOptions", group: "meta.k8s.io", name: "" });
}

function watchCauses(query: URLSearchParams, minor: number): StatusCause[] {
  const match = query.get("resourceVersionMatch") ?? "";
  const isInitial = parseInitialEvents(query, minor) !== undefined;
  const isNotOlder = match === "NotOlderThan";
  return [
    ...(isInitial && !isNotOlder
      ? [forbidden("resourceVersionMatch", "sendInitialEvents requires NotOlderThan")]
      : []),
    ...(isInitial && !streamsLists(minor)
      ? [forbidden("sendInitialEvents", "forbidden for watch unless the gate WatchList is on")]
      : []),
    ...(match !== "" && !isInitial
      ? [forbidden("resourceVersionMatch", "forbidden for watch unless sendInitialEvents is there")]
      : []),
    ...(match !== "" && !isNotOlder ? [notSupported(match)] : []),
    ...(match !== "" && query.has("continue")
      ? [forbidden("resourceVersionMatch", "forbidden when continue is provided")]
      : []),
  ];
}

function listCauses(query: URLSearchParams, isWatch: boolean, minor: number): StatusCause[] {
  const match = query.get("resourceVersionMatch") ?? "";
  const version = query.get("resourceVersion") ?? "";
  const causes = [
    ...(isWatch ? [forbidden("resourceVersionMatch", "forbidden for watch")] : []),
    ...(version === ""
      ? [forbidden("resourceVersionMatch", "forbidden unless resourceVersion is provided")]
      : []),
    ...((query.get("continue") ?? "") === ""
      ? []
      : [forbidden("resourceVersionMatch", "forbidden when continue is provided")]),
    ...(match === "Exact" || match === "NotOlderThan" ? [] : [notSupported(match)]),
    ...(match === "Exact" && version === "0"
      ? [forbidden("resourceVersionMatch", "exact is forbidden for resourceVersion 0")]
      : []),
  ];
  const isInitial = !isWatch && parseInitialEvents(query, minor) !== undefined;
  return [
    ...(match === "" ? [] : causes),
    ...(isInitial ? [forbidden("sendInitialEvents", "forbidden for list")] : []),
  ];
}

function forbidden(field: string, why: string): StatusCause {
  return { field, reason: "FieldValueForbidden", message: `Forbidden: ${why}` };
}

function notSupported(match: string): StatusCause {
  const message = `Unsupported value: "${match}"`;
  return { field: "resourceVersionMatch", reason: "FieldValueNotSupported", message };
}
