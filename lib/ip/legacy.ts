/**
 * Addresses and prefixes in the spellings that Kubernetes' API servers accept in fields of `v1` APIs, with
 * the meaning that they have there: `ParseIPSloppy` and `ParseCIDRSloppy` of k8s.io/utils/net, which are
 * Go's `net.ParseIP` and `net.ParseCIDR` of before 1.17. Numbers are decimal whatever zeros they begin
 * with, never octal, and an IPv4-mapped IPv6 address is the IPv4 address (Go's `IP.To4`).
 *
 * Servers up to 1.21 call Go's own functions (`ValidateCIDR`, pkg/apis/core/validation), later ones these,
 * 1.33 and later with a warning (`IsValidCIDRForLegacyField` and `GetWarningsForCIDR`,
 * apimachinery/pkg/util/validation/ip.go). The feature gate `StrictIPCIDRValidation` refuses such
 * spellings in new objects and keeps them in old ones.
 */

import { Address, bitsOf } from "./address.ts";
import { Prefix } from "./prefix.ts";

/** Where IPv6 holds the IPv4 addresses. */
const MAPPED = Prefix.parse("::ffff:0:0/96");

/** Parses `text` as API servers do; `undefined` for text that they refuse. */
export function parseLegacyAddress(text: string): Address | undefined {
  const address = parseWithZeros(text);
  return address !== undefined && isMapped(address) ? unmap(address) : address;
}

/**
 * The prefix that `text` means, with its host bits; `undefined` for text that API servers refuse. A
 * mapped prefix of 96 bits or more is IPv4: `::ffff:10.0.0.0/104` is 10.0.0.0/8 (Go's `IPNet.Contains`).
 * A shorter one is IPv6, and holds no IPv4 address.
 */
export function parseLegacyPrefix(text: string): Prefix | undefined {
  const slash = text.indexOf("/");
  const digits = text.slice(slash + 1);
  if (slash < 0 || !/^\d+$/.test(digits)) return undefined;
  const address = parseWithZeros(text.slice(0, slash));
  const length = Number(digits);
  if (address === undefined || length > bitsOf(address.family)) return undefined;
  return isMapped(address) && length >= MAPPED.length
    ? new Prefix(unmap(address), length - MAPPED.length)
    : new Prefix(address, length);
}

/** Whether an address is an IPv4 address written as IPv6, which no packet carries. */
export function isMapped(address: Address): boolean {
  return MAPPED.contains(address);
}

function unmap(address: Address): Address {
  return Address.of(4, address.value & 0xffff_ffffn);
}

function parseWithZeros(text: string): Address | undefined {
  return Address.tryParse(text) ?? Address.tryParse(withoutZeros(text));
}

/** Numbers without the zeros that they begin with: `010.0.0.1`, `0000fd00::`. */
function withoutZeros(text: string): string {
  return text.replace(/(^|[:.])0+(?=[0-9a-fA-F])/g, "$1");
}
