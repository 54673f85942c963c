/**
 * The keys of host-local's configuration, a row each, for docs/reference/plugin.md; `configuration.ts`
 * reads them. A test records what is read and compares it with the rows.
 */

import type { DescribedKey } from "../protocol/key.ts";

/** Where reservations are, unless configured otherwise. */
export const DATA_DIR_DEFAULT = "/var/lib/cni/networks";

/** Every key that is read. Those of a range (`subnet` to `exclude`) may also stand in `ipam.ranges`. */
export const IPAM_KEYS: readonly DescribedKey[] = [
  {
    key: "ipam.type",
    form: '"host-local" or a plugin in CNI_PATH',
    help: "who gives out addresses; required. The plugin is its own host-local",
  },
  {
    key: "ipam.subnet",
    form: '"usePodCidr", "usePodCidrIPv6" or a CIDR',
    help: "what addresses are taken from; the two words are the node's pod CIDRs",
  },
  {
    key: "ipam.rangeStart",
    form: "address",
    default: "the subnet's first host address",
    help: "the first address that is given out",
  },
  {
    key: "ipam.rangeEnd",
    form: "address",
    default: "the subnet's last address, for IPv4 the last but the broadcast address",
    help: "the last address that is given out",
  },
  {
    key: "ipam.gateway",
    form: "address",
    default: "the subnet's first host address",
    help: "the gateway, which is never given out",
  },
  {
    key: "ipam.exclude",
    form: "list of addresses and CIDRs",
    help: "what is never given out to new pods; the reference plugin passes it over. In a pod " +
      "CIDR it may name addresses of other nodes' too",
  },
  {
    key: "ipam.ranges",
    form: "list of lists of objects with the keys from subnet to exclude",
    help: "range sets: a pod gets an address of each",
  },
  {
    key: "ipam.routes",
    form: "list of objects: dst (required), gw, mtu, advmss, priority, table, scope",
    help: "routes of the pod",
  },
  {
    key: "ipam.resolvConf",
    form: "path",
    help: "file in the form of resolv.conf(5), from which the result's name servers are taken",
  },
  {
    key: "ipam.dataDir",
    form: "absolute path",
    default: DATA_DIR_DEFAULT,
    help: "folder of the reservations; the network's name is added to it",
  },
  {
    key: "ipam.bootIdFile",
    form: "absolute path",
    default: "the kernel's boot id",
    help: "file whose text is another one after every start of the node, where the node is a " +
      "container itself; reservations of an earlier start are freed",
  },
  {
    key: "runtimeConfig.ipRanges",
    form: "like ipam.ranges",
    help: "range sets of the runtime's (capability ipRanges), before those of ipam",
  },
  {
    key: "runtimeConfig.ips",
    form: "list of addresses",
    help: "addresses that the pod is to have (capability ips)",
  },
  {
    key: "args.cni.ips",
    form: "list of addresses",
    help: "addresses that the pod is to have",
  },
];
