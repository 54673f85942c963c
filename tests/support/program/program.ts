/**
 * Programs that tests use as oracles and neighbours: they come from Debian, and a test that lacks one
 * is skipped and says why. Not for Kubernetes' own programs: assets.ts finds those.
 */

/** The Debian package of each program that tests ask for, so that the reason is a remedy. */
export const PACKAGES = {
  "bandwidth": "containernetworking-plugins",
  "busybox": "busybox-static",
  "conntrack": "conntrack",
  "containerd": "containerd",
  "cpio": "cpio",
  "ctr": "containerd",
  "depmod": "kmod",
  "dhcp": "containernetworking-plugins",
  "etcd": "etcd-server",
  "git": "git",
  "go": "golang-go",
  "host-local": "containernetworking-plugins",
  "ip": "iproute2",
  "iptables": "iptables",
  "iperf3": "iperf3",
  "ipvsadm": "ipvsadm",
  "modprobe": "kmod",
  "nft": "nftables",
  "nsenter": "util-linux",
  "openssl": "openssl",
  "portmap": "containernetworking-plugins",
  "ptp": "containernetworking-plugins",
  "qemu-system-x86_64": "qemu-system-x86",
  "runc": "runc",
  "setpriv": "util-linux",
  "static": "containernetworking-plugins",
  "strace": "strace",
  "systemd-analyze": "systemd",
  "tc": "iproute2",
  "unshare": "util-linux",
  "xz": "xz-utils",
} as const satisfies Readonly<Record<string, string>>;

/** A program that tests ask for. */
export type Program = keyof typeof PACKAGES;

/** Where programs are that an ordinary user's PATH leaves out, CNI plugins, and Go as it is unpacked. */
const FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/cni", "/opt/cni/bin"]
  .concat("/usr/local/go/bin");

/** The path of program `name`; undefined where the machine has none. */
export function findProgram(name: string): string | undefined {
  for (const folder of [...(Deno.env.get("PATH") ?? "").split(":"), ...FOLDERS]) {
    if (folder === "") continue;
    const path = `${folder}/${name}`;
    try {
      const { isFile, mode } = Deno.statSync(path);
      if (isFile && ((mode ?? 0) & 0o111) !== 0) return path;
    } catch {
      continue; // not in this folder
    }
  }
  return undefined;
}

/** Why tests that need all of `names` are skipped here; undefined when they are not. */
export function missingProgram(names: readonly Program[]): string | undefined {
  const missing = names.filter((name) => findProgram(name) === undefined);
  if (missing.length === 0) return undefined;
  const packages = [...new Set(missing.map((name) => PACKAGES[name]))];
  return `${missing.join(", ")} not found (Debian: apt-get install ${packages.join(" ")})`;
}

/** Registers a test that needs every program of `names`; without one of them it is skipped. */
export function programTest(
  name: string,
  names: readonly Program[],
  fn: (t: Deno.TestContext) => void | Promise<void>,
): void {
  skippableTest(name, missingProgram(names), fn);
}

/** Registers a test that is skipped, and says so, when there is a `reason` to. */
export function skippableTest(
  name: string,
  reason: string | undefined,
  fn: (t: Deno.TestContext) => void | Promise<void>,
): void {
  if (reason !== undefined) sayOnce(`skipped, because ${reason}: ${name}`, reason);
  Deno.test({ name, ignore: reason !== undefined, fn });
}

const said = new Set<string>();

/** A reason is given once a file, with the first test that it skips. */
function sayOnce(line: string, reason: string): void {
  if (said.has(reason)) return;
  said.add(reason);
  Deno.stderr.writeSync(new TextEncoder().encode(line + "\n"));
}
