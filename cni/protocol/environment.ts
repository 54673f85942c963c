/**
 * The parameters in the environment (CNI_*): what each command needs, and the form of their values.
 * CNI specification 1.1, section 2, "Parameters". All that is wrong is reported at once.
 */

import { CniError } from "./error.ts";
import { parseTraceParent, type TraceContext } from "./trace.ts";

const CNI_COMMANDS = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"] as const;
export type CniCommand = typeof CNI_COMMANDS[number];

/** Variables as they come: a name that is not set is `undefined`. */
export type Variables = Readonly<Record<string, string | undefined>>;

/** The parameters of one call; what a command does not need may be empty. */
export interface CallEnvironment {
  readonly command: CniCommand;
  readonly containerId: string;
  /** Path of the container's network namespace; empty when it is gone (DEL). */
  readonly netns: string;
  /** Name of the interface inside the container. */
  readonly ifname: string;
  /** `CNI_ARGS`, not parsed yet. */
  readonly args: string;
  /** Folders in which delegates are looked for. */
  readonly path: readonly string[];
  /** `CNI_NETNS_OVERRIDE`: go on although the namespace is the plugin's own. */
  readonly allowOwnNamespace: boolean;
  /** `TRACEPARENT`, for the log. */
  readonly trace: TraceContext | undefined;
}

/** A variable that the runtime sets. */
interface Variable {
  readonly name: string;
  /** Commands that cannot do without it. */
  readonly requiredBy: readonly CniCommand[];
  readonly help: string;
}

/** Every variable that is read. */
export const CNI_VARIABLES: readonly Variable[] = [
  {
    name: "CNI_COMMAND",
    requiredBy: CNI_COMMANDS,
    help: `what to do: ${CNI_COMMANDS.join(", ")}`,
  },
  {
    name: "CNI_CONTAINERID",
    requiredBy: ["ADD", "CHECK", "DEL"],
    help: "id of the container",
  },
  {
    name: "CNI_NETNS",
    requiredBy: ["ADD", "CHECK"],
    help: "path of the container's network namespace",
  },
  {
    name: "CNI_IFNAME",
    requiredBy: ["ADD", "CHECK", "DEL"],
    help: "name of the interface inside the container",
  },
  {
    name: "CNI_PATH",
    requiredBy: ["ADD", "CHECK", "DEL", "GC", "STATUS"],
    help: 'folders in which IPAM plugins are looked for, separated by ":"',
  },
  { name: "CNI_ARGS", requiredBy: [], help: "more arguments: KEY=VALUE;KEY=VALUE" },
  {
    name: "CNI_NETNS_OVERRIDE",
    requiredBy: [],
    help: "1 or true: run even where CNI_NETNS is the plugin's own namespace",
  },
  {
    name: "TRACEPARENT",
    requiredBy: [],
    help: "W3C Trace Context, for the log: the trace that the call is part of",
  },
];

/**
 * Reads the parameters of the call; `undefined` without CNI_COMMAND: a person ran the program by hand.
 *
 * @throws {CniError} code 4, naming every variable that is missing, or the command if it is unknown
 */
export function parseEnvironment(variables: Variables): CallEnvironment | undefined {
  const name = variables.CNI_COMMAND ?? "";
  if (name === "") return undefined;
  const command = CNI_COMMANDS.find((it) => it === name);
  if (command === undefined) {
    throw new CniError("badEnvironment", `unknown CNI_COMMAND: ${name}`, {
      details: `CNI_COMMAND is one of ${CNI_COMMANDS.join(", ")}`,
    });
  }
  const missing = CNI_VARIABLES
    .filter(({ name, requiredBy }) => requiredBy.includes(command) && !variables[name])
    .map(({ name }) => name);
  const environment: CallEnvironment = {
    command,
    containerId: variables.CNI_CONTAINERID ?? "",
    netns: variables.CNI_NETNS ?? "",
    ifname: variables.CNI_IFNAME ?? "",
    args: variables.CNI_ARGS ?? "",
    path: (variables.CNI_PATH ?? "").split(":").filter((it) => it !== ""),
    allowOwnNamespace: isTrue(variables.CNI_NETNS_OVERRIDE ?? ""),
    trace: parseTraceParent(variables.TRACEPARENT ?? ""),
  };
  if (missing.length === 0) return environment;
  const problems = [
    `required env variables [${missing.join(",")}] missing`,
    ...problemsOf(environment),
  ];
  throw new CniError("badEnvironment", problems.join("; "));
}

/** The form of container ids and network names; neither can leave a folder as a file's name. */
export const ID_REGEXP = /^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$/;

/**
 * Asserts that the values which the command uses have the form that the specification gives them.
 *
 * @throws {CniError} code 4, naming the variables that are wrong
 */
export function validateEnvironment(environment: CallEnvironment): void {
  const problems = problemsOf(environment);
  if (problems.length > 0) throw new CniError("badEnvironment", problems.join("; "));
}

/** What is wrong with the values that are there. */
function problemsOf({ command, containerId, ifname }: CallEnvironment): string[] {
  if (command !== "ADD" && command !== "CHECK" && command !== "DEL") return [];
  const problems: string[] = [];
  if (containerId !== "" && !ID_REGEXP.test(containerId)) {
    problems.push(`invalid characters in containerID: CNI_CONTAINERID is "${containerId}"`);
  }
  const problem = interfaceNameProblem(ifname);
  if (problem !== undefined) problems.push(`CNI_IFNAME "${ifname}" ${problem}`);
  return problems;
}

/** IFNAMSIZ − 1, <linux/if.h>; bytes. */
const INTERFACE_NAME_LENGTH_MAX = 15;

function interfaceNameProblem(name: string): string | undefined {
  if (new TextEncoder().encode(name).length > INTERFACE_NAME_LENGTH_MAX) {
    return `is longer than ${INTERFACE_NAME_LENGTH_MAX} bytes`;
  }
  if (name === "." || name === "..") return "is . or ..";
  // Of every link together, and of those to come: <linux/inetdevice.h> makes sysctls of these names.
  if (name === "all" || name === "default") return "is a name that the kernel keeps for itself";
  // The kernel fills numbers in: "eth%d" would become another name than the caller asked for.
  if (/[/:%\s]/.test(name)) return "contains a slash, a colon, a percent sign or white space";
  return undefined;
}

/** The fields of `CNI_ARGS` that are read. */
export interface CallArguments {
  /** `IP`: the address that the caller wants, without its prefix length. */
  readonly address: string | undefined;
  /** The pod, where Kubernetes is the caller. */
  readonly pod: PodName | undefined;
}

/** The pod that the container belongs to. */
export interface PodName {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string | undefined;
}

/** The keys that `CNI_ARGS` may have, each with its reader. */
export const CNI_ARGUMENTS = {
  IgnoreUnknown: "1 or true: pass over keys that are not known; without it they are an error",
  IP: "the address that the pod is to have, with or without a prefix length",
  K8S_POD_NAMESPACE: "namespace of the pod",
  K8S_POD_NAME: "name of the pod",
  K8S_POD_UID: "uid of the pod",
  K8S_POD_INFRA_CONTAINER_ID: "id of the pod's sandbox; not used",
} as const;

/**
 * Parses `CNI_ARGS`: `KEY=VALUE;KEY=VALUE`.
 *
 * @throws {CniError} code 4 if a pair has no `=`, or a key is unknown and `IgnoreUnknown` is not set
 */
export function parseArguments(text: string): CallArguments {
  const values = new Map<string, string>();
  for (const pair of text.split(";").filter((it) => it !== "")) {
    const at = pair.indexOf("=");
    if (at <= 0) {
      throw new CniError("badEnvironment", `CNI_ARGS: invalid pair "${pair}" is not KEY=VALUE`);
    }
    values.set(pair.slice(0, at), pair.slice(at + 1));
  }
  const unknown = [...values.keys()].filter((it) => !Object.hasOwn(CNI_ARGUMENTS, it));
  if (unknown.length > 0 && !isTrue(values.get("IgnoreUnknown") ?? "")) {
    throw new CniError("badEnvironment", `CNI_ARGS: unknown args [${unknown.join(",")}]`, {
      details: "Set IgnoreUnknown=1 to have them passed over",
    });
  }
  const namespace = values.get("K8S_POD_NAMESPACE");
  const name = values.get("K8S_POD_NAME");
  return {
    address: values.get("IP") || undefined,
    pod: namespace && name
      ? { namespace, name, uid: values.get("K8S_POD_UID") || undefined }
      : undefined,
  };
}

function isTrue(text: string): boolean {
  return ["1", "true"].includes(text.toLowerCase());
}
