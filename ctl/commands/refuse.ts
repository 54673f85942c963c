/**
 * `create`, `apply`, `replace`, `delete`: what is written belongs to Kubernetes, and kubectl writes
 * it. Refused loudly, with the command that does the job: silence would look like success.
 */

import type { Command } from "../command.ts";
import { CtlError } from "../error.ts";
import { VIEWS } from "../resource/kinds.ts";

/** The Kubernetes kinds of calicoctl's kinds; the others have none. */
const KUBERNETES_KINDS: Readonly<Record<string, string>> = {
  workloadEndpoint: "pod",
  node: "node",
  profile: "namespace",
  policy: "networkpolicy",
};

/** The commands that change things. */
export const refusedCommands: readonly Command[] = ["create", "apply", "replace", "delete"].map(
  (name) => ({
    name,
    summary: undefined,
    usage: `is not done here: use "kubectl ${name}".`,
    flags: undefined,
    run: ({ words }) => {
      throw new CtlError(
        `calyxctl does not ${name}: what it shows is kept by Kubernetes; ` +
          `use "${formatKubectl(name, words)}"`,
      );
    },
  }),
);

/** The kubectl command for the same job. */
function formatKubectl(verb: string, args: readonly string[]): string {
  const files = valuesOf(args, /^(?:-f|--filename)(?:=(.*))?$/);
  const namespaces = valuesOf(args, /^(?:-n|--namespace)(?:=(.*))?$/);
  const scope = namespaces.flatMap((it) => ["-n", it]);
  if (files.length > 0) return join(verb, ...files.flatMap((it) => ["-f", it]), ...scope);
  const [kindWord, name] = args.filter((it) => !it.startsWith("-"));
  const view = VIEWS.find((it) => it.words.includes(kindWord?.toLowerCase() ?? ""));
  const kind = view && KUBERNETES_KINDS[view.kind];
  if (verb !== "delete" || name === undefined || kind === undefined) {
    return join(verb, "-f", "FILE");
  }
  // Names here are "<namespace>.<name>", and "k8s_ns.<namespace>" of a profile.
  const [, first, rest] = /^([^./]+)[./](.+)$/s.exec(name) ?? [];
  if (first === undefined || rest === undefined || kind === "node") {
    return join(verb, kind, name, ...scope);
  }
  return kind === "namespace" ? join(verb, kind, rest) : join(verb, kind, rest, "-n", first);
}

/** The values of a flag, written as one argument or two. */
function valuesOf(args: readonly string[], flag: RegExp): string[] {
  return args.flatMap((arg, index) => {
    const match = flag.exec(arg);
    const value = match === null ? undefined : match[1] ?? args[index + 1];
    return value === undefined ? [] : [value];
  });
}

/** Quotes a word for a shell. */
function join(...words: readonly string[]): string {
  const quoted = words.map((it) =>
    /^[\w@%+=:,./-]+$/.test(it) ? it : `'${it.replaceAll("'", `'\\''`)}'`
  );
  return ["kubectl", ...quoted].join(" ");
}
