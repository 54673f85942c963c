/**
 * Logins by the plug-ins of a kubeconfig, run by `@kubernetes/client-node`: `exec` (a program that
 * prints an ExecCredential, client.authentication.k8s.io) and the older `auth-provider`.
 */

import type { User } from "@kubernetes/client-node";
import type { Clock } from "../base/clock.ts";
import { isRecord } from "../base/json.ts";
import { CredentialsError } from "./error.ts";
import { describeExecFailure, parseExecCredential } from "./exec_credential.ts";
import type { Entry } from "./kubeconfig_merge.ts";
import { bearer, type Identity, type Login } from "./login.ts";
import { sentence } from "./material.ts";
import { takeRuntimeEnvironment } from "./runtime_environment.ts";
import { Secret } from "./secret.ts";

/** A program that runs longer is killed. */
const EXEC_TIMEOUT_MS = 60_000;
/** The program runs again this long before its credential expires. */
const EXPIRY_MARGIN_MS = 10_000;
/** Plug-ins are given to `client-node` under a cluster of no consequence. */
const CLUSTER = { name: "cluster", server: "https://cluster.invalid", skipTLSVerify: false };

/** A login by an `exec` plug-in; what it gave serves until it expires or is refused. */
export function execLogin(entry: Entry, cluster: Entry, clock: Clock): Login {
  const exec = readExec(entry, cluster);
  const name = `plug-in "${exec.command}" of ${entry.name}`;
  let known: { identity: Identity; expiresAtMs: number } | undefined;
  return {
    name,
    async identify(isForced) {
      if (known !== undefined && !isForced) {
        if (clock.nowMs() < known.expiresAtMs - EXPIRY_MARGIN_MS) return known.identity;
      }
      const user = { name: "user", exec };
      const answer = await withTimeout(runExec(user, name, exec.installHint), name, clock);
      const { token, pair, expiresAtMs } = parseExecCredential(answer, name);
      const authorization = token === undefined ? undefined : bearer(token.reveal(), name);
      known = { identity: { authorization, pair }, expiresAtMs };
      return known.identity;
    },
  };
}

interface ExecSettings {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly installHint: string | undefined;
}

function readExec(entry: Entry, cluster: Entry): ExecSettings {
  const refuse = (what: string): never => {
    throw new CredentialsError(`${sentence(entry.name)}: ${what}`);
  };
  const exec = entry.fields.exec;
  if (!isRecord(exec)) return refuse("exec must be a mapping");
  const { command, args, env, apiVersion, interactiveMode, installHint } = exec;
  if (typeof command !== "string" || command === "") return refuse("exec.command is missing");
  if (args !== undefined && args !== null && !isListOf(args, isText)) {
    return refuse("exec.args must be a list of texts");
  }
  if (env !== undefined && env !== null && !isListOf(env, isVariable)) {
    return refuse("exec.env must be a list of names and values");
  }
  if (typeof apiVersion !== "string") return refuse("exec.apiVersion is missing");
  if (interactiveMode === "Always") {
    return refuse(
      "exec.interactiveMode Always asks for a person at a terminal, which is not supported: " +
        "use a token or another plug-in",
    );
  }
  const info = {
    apiVersion,
    kind: "ExecCredential",
    spec: {
      interactive: false,
      ...(exec.provideClusterInfo === true ? { cluster: cluster.fields } : {}),
    },
  };
  const surroundings = Object.entries(takeRuntimeEnvironment())
    .map(([name, value]) => ({ name, value }));
  return {
    // A name alone is looked for in PATH.
    command: command.includes("/") ? entry.path(command) : command,
    args: args ?? [],
    env: [...surroundings, ...(env ?? []), {
      name: "KUBERNETES_EXEC_INFO",
      value: JSON.stringify(info),
    }],
    installHint: typeof installHint === "string" ? installHint : undefined,
  };
}

/** Runs the plug-in and parses its output, with a new KubeConfig each time: an old one caches the last answer. */
async function runExec(
  user: User,
  name: string,
  installHint: string | undefined,
): Promise<unknown> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  const plugins: readonly unknown[] = config["authenticators"];
  const plugin = plugins.filter(isExecPlugin).find((it) => it.isAuthProvider(user));
  if (plugin === undefined) {
    throw new CredentialsError(`${sentence(name)} cannot be run: use a token instead`);
  }
  try {
    return await plugin.getCredential(user);
  } catch (error) {
    throw describeExecFailure(name, error, installHint);
  }
}

/** The part of `client-node` that runs programs; the whole answer, with its expiry, only this gives. */
interface ExecPlugin {
  isAuthProvider(user: User): boolean;
  getCredential(user: User): Promise<unknown>;
}

function isExecPlugin(value: unknown): value is ExecPlugin {
  return typeof value === "object" && value !== null && "getCredential" in value &&
    "isAuthProvider" in value;
}

/** A login by an `auth-provider`, which keeps its own tokens and refreshes them. */
export function authProviderLogin(entryName: string, user: User, clock: Clock): Login {
  const provider = user.authProvider?.name ?? "";
  const name = `auth-provider "${provider}" of ${entryName}`;
  let config: { applyToHTTPSOptions(options: object): Promise<void> } | undefined;
  return {
    name,
    async identify(isForced) {
      if (config === undefined || isForced) {
        const { KubeConfig } = await import("@kubernetes/client-node");
        const fresh = new KubeConfig();
        // The user stays the same object: a provider writes the refreshed token into it.
        fresh.loadFromClusterAndUser(CLUSTER, user);
        config = fresh;
      }
      const options: { headers?: Record<string, unknown> } = {};
      try {
        await withTimeout(config.applyToHTTPSOptions(options), name, clock);
      } catch (error) {
        if (error instanceof CredentialsError) throw error;
        // The provider's own message may repeat a token.
        throw new CredentialsError(`${sentence(name)} gave no token: log in again`);
      }
      const header = options.headers?.Authorization;
      if (typeof header !== "string") {
        throw new CredentialsError(
          `${sentence(name)} gave no token: log in again, or use an exec plug-in`,
        );
      }
      return { authorization: new Secret(header), pair: undefined };
    },
  };
}

async function withTimeout<T>(work: Promise<T>, name: string, clock: Clock): Promise<T> {
  const stop = new AbortController();
  const timeout = clock.sleep(EXEC_TIMEOUT_MS, stop.signal).then(
    () => {
      throw new CredentialsError(
        `${sentence(name)} did not answer within ${EXEC_TIMEOUT_MS / 1000} s: try it by hand`,
      );
    },
  );
  timeout.catch(() => {});
  try {
    return await Promise.race([work, timeout]);
  } finally {
    stop.abort();
  }
}

function isListOf<T>(value: unknown, is: (item: unknown) => item is T): value is T[] {
  return Array.isArray(value) && value.every(is);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isVariable(value: unknown): value is { name: string; value: string } {
  return isRecord(value) && isText(value.name) && isText(value.value);
}
