/**
 * The keys of our own in a network configuration, a row each: what the plugin reads, the types of what it
 * gets and docs/reference/plugin.md come from the rows. Names are Calico's where it has the same setting.
 * Keys of Calico's that are refused: `calico_keys.ts`. Those of `ipam`: `cni/ipam/keys.ts`.
 */

import { parseLogLevel } from "../../lib/base/log.ts";
import { INTERFACE_PREFIX } from "../../lib/model/interface_name.ts";
import {
  boolean,
  checked,
  choice,
  countOf,
  key,
  type KeyTable,
  type KeyType,
  secret,
  text,
} from "./key.ts";

/** Bounds of an MTU: IPv6 needs 1280 (RFC 8200); a veth takes at most 65535. */
const MTU_MIN = 1280;
const MTU_MAX = 65_535;
/** As long as the agent lets a request wait, and runtimes about as well. */
const POLICY_TIMEOUT_SECONDS_MAX = 120;
/** `sizeof(sun_path)` − 1, <linux/un.h>. */
const SOCKET_PATH_BYTES_MAX = 107;

/** 0 counts as absent. */
const mtu: KeyType<number> = {
  form: `0 (chosen for you) or ${MTU_MIN} to ${MTU_MAX}`,
  read: (fields, field) => {
    const value = fields.integer(field);
    if (value === undefined || value === 0) return undefined;
    if (value >= MTU_MIN && value <= MTU_MAX) return value;
    fields.refuse(field, mtu.form);
    return undefined;
  },
  format: (value) => value,
};

/** Seconds, milliseconds inside. */
const policyTimeout: KeyType<number> = {
  form: `whole number of seconds, at most ${POLICY_TIMEOUT_SECONDS_MAX}`,
  read: (fields, field) => {
    const value = fields.integer(field);
    if (value === undefined || value <= POLICY_TIMEOUT_SECONDS_MAX) return value && value * 1000;
    fields.refuse(
      field,
      `at most ${POLICY_TIMEOUT_SECONDS_MAX}, which is as long as calyx-agent waits`,
    );
    return undefined;
  },
  format: (value) => value / 1000,
};

const level: KeyType<string> = {
  form: "debug, info, warning or error",
  read: (fields, field) => fields.parsed(field, level.form, knownLevel),
  format: (value) => value,
};

function knownLevel(text: string): string | undefined {
  try {
    return parseLogLevel(text);
  } catch {
    return undefined;
  }
}

/** Whether the path is absolute and short enough for a unix socket. */
export function isSocketPath(path: string): boolean {
  return path.startsWith("/") && !path.includes("\0") &&
    new TextEncoder().encode(path).length <= SOCKET_PATH_BYTES_MAX;
}

/** Keys about the pod's interface and about waiting for policy. */
export const PLUGIN_KEYS = {
  mtu: key("mtu", mtu, {
    unsaid: "the agent's MTU, without an agent the kernel's default",
    help: "MTU of the pod's interface",
  }),
  agentSocket: key(
    "agent_socket",
    checked(`an absolute path of at most ${SOCKET_PATH_BYTES_MAX} bytes`, isSocketPath),
    {
      help: "the agent's unix socket. Without it the plugin reads the node's pod CIDRs from the " +
        "API server, and waits for no policy",
    },
  ),
  requiresMtu: key("require_mtu_file", boolean, {
    default: false,
    help: "refuse a configuration with neither agent_socket nor mtu, the sources of the MTU",
  }),
  policyTimeoutMs: key("policy_setup_timeout_seconds", policyTimeout, {
    default: 10_000,
    help: "how long ADD waits until the pod's policy is in the kernel; 0 = it starts closed",
  }),
  policyTimeoutAction: key("policy_setup_timeout_action", choice("fail", "closed"), {
    default: "fail",
    help: "what ADD does if the pod's policy is not in the kernel in time: fail, or start the " +
      "pod without connection until it is",
  }),
  interfacePrefix: key(
    "interface_prefix",
    checked(
      "a letter and up to 7 letters, digits, - and _",
      (it) => /^[a-zA-Z][-a-zA-Z0-9_]{0,7}$/.test(it),
    ),
    {
      default: INTERFACE_PREFIX,
      help: "prefix of the pods' host interfaces; must be the same as the agent's " +
        "--interface-prefix",
    },
  ),
  allowIpForwarding: key("container_settings.allow_ip_forwarding", boolean, {
    default: false,
    help: "the pod may forward packets between its own interfaces",
  }),
  includeDefaultRoutes: key("include_default_routes", boolean, {
    default: false,
    help: "add default routes also if IPAM returns other routes",
  }),
} as const satisfies KeyTable;

/** Keys for the node's name, in order of precedence; the last resort is the machine's host name. */
export const NODE_KEYS = {
  name: key("nodename", text, {
    help: "name of this machine's Node, used without agent_socket",
  }),
  kubernetesName: key("kubernetes.node_name", text, { help: "the same; an older key" }),
  nameFile: key("nodename_file", text, { help: "file with nothing but the Node's name in it" }),
  nameFileOptional: key("nodename_file_optional", boolean, {
    unsaid: "false",
    help: "whether the file of nodename_file may be missing",
  }),
  hostname: key("hostname", text, { help: "name of the Node; the oldest key" }),
} as const satisfies KeyTable;

/** Keys for the API server, used without `agent_socket`. They take precedence over the environment. */
export const API_KEYS = {
  kubeconfig: key("kubernetes.kubeconfig", text, { help: "path of a kubeconfig" }),
  apiRoot: key("kubernetes.k8s_api_root", text, { help: "URL of the API server" }),
  policyApiRoot: key("policy.k8s_api_root", text, { help: "the same; an older key" }),
  certFile: key("policy.k8s_client_certificate", text, { help: "path of the client certificate" }),
  keyFile: key("policy.k8s_client_key", text, { help: "path of its key" }),
  caFile: key("policy.k8s_certificate_authority", text, {
    help: "path of the API server's certificate authority",
  }),
  token: key("policy.k8s_auth_token", secret, { help: "bearer token" }),
} as const satisfies KeyTable;

const MEBIBYTE = 1 << 20;
const DAY_MS = 86_400_000;

/** Keys of the log; the defaults of the log file are Calico's. */
export const LOG_KEYS = {
  level: key("log_level", level, {
    unsaid: "warning on stderr, info in the file",
    help: "log level",
  }),
  path: key("log_file_path", checked("an absolute path", (it) => it.startsWith("/")), {
    unsaid: "stderr alone",
    help: "file to log to, beside stderr",
  }),
  bytesMax: key("log_file_max_size", countOf("whole number of MiB; 0 = the default", MEBIBYTE), {
    default: 100 * MEBIBYTE,
    help: "size at which a new file is begun",
  }),
  countMax: key("log_file_max_count", countOf("whole number; 0 = the default", 1), {
    default: 10,
    help: "how many older files are kept",
  }),
  ageMsMax: key("log_file_max_age", countOf("whole number of days; 0 = the default", DAY_MS), {
    default: 30 * DAY_MS,
    help: "how long older files are kept",
  }),
} as const satisfies KeyTable;
