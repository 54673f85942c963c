/**
 * The settings of Calico that this plugin refuses. A configuration that was written for Calico either has
 * the same effect here, or is refused with the key, the value and what to do instead: a setting that a
 * user relies on is never ignored in silence.
 *
 * Not here: keys that work (`keys.ts`). Any other key is allowed and without effect.
 */

import { CniError } from "./error.ts";
import { isJsonObject, type JsonObject } from "./fields.ts";

/** A setting of which not every value is supported. */
export interface Restriction {
  /** Its name, with the objects that it lies in. */
  readonly key: string;
  /** The values that match this plugin's behaviour; an absent, null or empty value always does. */
  readonly supported: readonly (string | number | boolean)[];
  /** What to do instead. */
  readonly remedy: string;
}

/**
 * Calico's keys that change nothing: without effect in Calico too on a Linux node with the Kubernetes
 * datastore, or (`endpoint_status_dir`) the agent's socket serves their purpose.
 */
export const IGNORED_KEYS: readonly string[] = [
  "burst",
  "calico_api_group",
  "endpoint_status_dir",
  "ipam_lock_file",
  "mode",
  "qps",
  "vxlan_*",
  "windows_*",
];

/** What to do instead of `"ipam": {"type": "calico-ipam"}`. */
export const IPAM_REMEDY =
  `Addresses come from the node's pod CIDR: {"type": "host-local", "subnet": "usePodCidr"}`;

const ETCD_REMEDY = "Calyx knows one datastore: the Kubernetes API";

/** Every key of which not every value is supported, but `ipam.type`. */
export const RESTRICTIONS: readonly Restriction[] = [
  { key: "datastore_type", supported: ["kubernetes"], remedy: ETCD_REMEDY },
  { key: "etcd_endpoints", supported: [], remedy: ETCD_REMEDY },
  { key: "etcd_authority", supported: [], remedy: ETCD_REMEDY },
  { key: "policy.type", supported: ["k8s"], remedy: `"k8s" is the only kind of policy` },
  { key: "device_type", supported: ["veth"], remedy: `Pods get a "veth" pair` },
  { key: "num_queues", supported: [0, 1], remedy: "A pod's pair has one queue" },
  {
    key: "readiness_gates",
    supported: [],
    remedy: `Leave it out: ADD waits for calyx-agent itself, at "agent_socket"`,
  },
  {
    key: "feature_control.ip_addrs_no_ipam",
    supported: [false],
    remedy: "Addresses come from IPAM, never from a pod's annotations",
  },
  {
    key: "feature_control.floating_ips",
    supported: [false],
    remedy: "Pods have the addresses that IPAM gives them and no others",
  },
  {
    key: "dataplane_options",
    supported: [],
    remedy: "There is one dataplane, and it has no options here",
  },
];

/**
 * Asserts that the configuration asks for nothing of Calico's that this plugin does not do.
 *
 * @throws {CniError} code 2 with key and value
 */
export function refuseUnsupported(json: JsonObject): void {
  for (const { key, supported, remedy } of RESTRICTIONS) {
    const value = valueAt(json, key);
    if (isUnsaid(value) || supported.some((it) => it === value)) continue;
    throw new CniError("unsupportedField", `Unsupported "${key}": ${format(value)}`, {
      details: remedy,
    });
  }
  const ipamType = valueAt(json, "ipam.type");
  if (ipamType !== "calico-ipam") return;
  throw new CniError("unsupportedField", `Unsupported "ipam.type": "${ipamType}"`, {
    details: IPAM_REMEDY,
  });
}

/** The value for an error message, without user names and passwords in URLs. */
function format(value: unknown): string {
  return JSON.stringify(value).replaceAll(/\/\/[^/"\s]*@/g, "//").slice(0, VALUE_LENGTH_MAX);
}

const VALUE_LENGTH_MAX = 200;

function valueAt(json: JsonObject, key: string): unknown {
  let value: unknown = json;
  for (const part of key.split(".")) {
    value = isJsonObject(value) && Object.hasOwn(value, part) ? value[part] : undefined;
  }
  return value;
}

/** Whether the value is absent or empty. */
function isUnsaid(value: unknown): boolean {
  return value === undefined || value === null || value === "" ||
    (Array.isArray(value) && value.length === 0) ||
    (isJsonObject(value) && Object.keys(value).length === 0);
}
