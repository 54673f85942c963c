/** What is run under other kernels: whatever asks the kernel, by what it asks for. */

import type { Group } from "./job.ts";

/** A group, and whether the short form takes it too, or no other does. */
export interface Row extends Group {
  readonly short?: true | "only";
}

const HOUR = 3600;

/** In the order in which they run: what others build on comes first. */
export const GROUPS: readonly Row[] = [
  {
    name: "kernel lacks",
    files: ["tests/kernel/lacking_test.ts"],
    without: ["nf_tables", "nft_ct", "nf_conntrack_netlink"],
    seconds: HOUR / 4,
    short: true,
  },
  {
    name: "netlink",
    files: [
      "lib/netlink/socket_test.ts",
      "tests/namespace/netlink/nftables_test.ts",
      "tests/namespace/netlink/nftables_suite_test.ts",
    ],
    seconds: HOUR / 4,
    short: true,
  },
  {
    name: "dataplane",
    files: [
      "tests/namespace/dataplane/dataplane_test.ts",
      "tests/namespace/dataplane/validation_test.ts",
    ],
    seconds: HOUR / 4,
    short: true,
  },
  {
    name: "agent, briefly",
    files: ["tests/namespace/agent/agent_test.ts"],
    flags: ["--filter=/scenario|is repaired|SIGTERM/"],
    seconds: HOUR / 2,
    short: "only",
  },
  {
    name: "agent",
    files: ["tests/namespace/agent/agent_test.ts", "tests/namespace/agent/stand_in_test.ts"],
    seconds: HOUR / 2,
  },
  {
    name: "links, flows",
    files: [
      "lib/kernel/namespace_test.ts",
      "lib/kernel/poller_test.ts",
      "lib/kernel/sysctl_test.ts",
      "tests/namespace/netlink/rtnetlink_test.ts",
      "tests/namespace/netlink/conntrack_test.ts",
    ],
    seconds: HOUR / 4,
  },
  { name: "flow cut", files: ["tests/namespace/dataplane/flow_cut_test.ts"], seconds: HOUR / 2 },
  {
    name: "packets",
    files: [
      "tests/namespace/packet/policy_test.ts",
      "tests/namespace/packet/packet_kind_test.ts",
      "tests/namespace/packet/hostile_test.ts",
      "tests/namespace/agent/large_policy_test.ts",
      "tests/namespace/dataplane/policy_group_test.ts",
      "tests/namespace/agent/pod_identity_test.ts",
      "tests/namespace/packet/pod_claims_test.ts",
      "tests/namespace/dataplane/change_loss_test.ts",
    ],
    seconds: HOUR,
  },
  { name: "IPVS", files: ["tests/namespace/packet/ipvs_test.ts"], seconds: HOUR / 4, short: true },
  {
    name: "past policy",
    files: ["tests/namespace/packet/bypass_test.ts"],
    modules: ["br_netfilter"],
    seconds: HOUR / 2,
  },
  { name: "replay", files: ["tests/namespace/dataplane/replay_test.ts"], seconds: HOUR / 2 },
  {
    name: "plugin",
    files: [
      "tests/namespace/cni/add_test.ts",
      "tests/namespace/cni/delete_test.ts",
      "tests/namespace/cni/check_test.ts",
      "tests/namespace/cni/gc_test.ts",
      "tests/namespace/cni/status_test.ts",
      "tests/namespace/cni/version_test.ts",
      "tests/namespace/cni/chain_test.ts",
      "tests/namespace/cni/configuration_test.ts",
      "tests/namespace/cni/identity_test.ts",
      "tests/namespace/cni/policy_test.ts",
    ],
    seconds: HOUR,
  },
  {
    name: "plugin, input",
    files: ["tests/namespace/cni/delegate_test.ts", "tests/namespace/cni/input_test.ts"],
    seconds: HOUR,
  },
  {
    name: "conformance",
    files: ["tests/conformance/conformance_test.ts"],
    flags: ["--filter=packets:"],
    seconds: 2 * HOUR,
  },
];
