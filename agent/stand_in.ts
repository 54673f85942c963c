/**
 * What stands in for policy while an agent has no table in the kernel (another process flushed it while
 * no agent ran) and does not know yet what the API server says: the last known program, as far as
 * it is still about the interfaces that are there; without one, all pods' interfaces are closed but for
 * what their node opens to them, as probes do. Stale is better than open.
 */

import type { Logger } from "../lib/base/log.ts";
import { Address } from "../lib/ip/address.ts";
import { type Desired, type DesiredEndpoint, NOTHING_DESIRED } from "../lib/model/desired.ts";
import { type Attachment, podKeyOf } from "../lib/model/facts.ts";
import { isOurAlias, podDigestIn, podDigestOf } from "../lib/model/link_alias.ts";
import type { Link } from "../lib/netlink/link/link.ts";
import type { RememberedProgram } from "./program_file.ts";

/** The state that it is computed from. */
export interface StandInOptions {
  /** Reads the last known program; asked once. */
  readonly remembered: () => RememberedProgram | undefined;
  readonly attachments: () => Iterable<Attachment>;
  /** The node's links as they are now, by name. */
  readonly links: () => ReadonlyMap<string, Link>;
  /** Addresses to which a route of one host leads, by the index of the link that it names. */
  readonly hostRoutes: () => ReadonlyMap<number, readonly string[]>;
  /** Whether the kernel has our table at work: not dormant, with rules in its base chains. */
  readonly isTableAtWork: () => boolean;
  readonly logger: Logger;
}

/** Stands in from `begin()` to `end()`. */
export class StandIn {
  readonly #options: StandInOptions;
  #program: RememberedProgram | undefined;
  /** Without a remembered program: the interfaces that existed at the start, all closed. */
  #closed: ReadonlySet<string> = new Set();
  #isActive = false;
  #isOver = false;
  #desired: Desired | undefined;

  constructor(options: StandInOptions) {
    this.#options = options;
  }

  get isActive(): boolean {
    return this.#isActive;
  }

  /** Whether there is no remembered program, so that all interfaces are closed. */
  get isSkeleton(): boolean {
    return this.#isActive && this.#program === undefined;
  }

  /**
   * Begins to stand in if no table is at work, there are interfaces of ours or (another plugin's) pods
   * in the remembered program, and `end()` was not called yet.
   *
   * @returns whether it has begun now
   */
  begin(): boolean {
    if (this.#isActive || this.#isOver) return false;
    const { remembered, attachments, links, isTableAtWork, logger } = this.#options;
    if (isTableAtWork()) return false;
    const ours = [...links().values()].filter((it) => isOurAlias(it.alias)).map((it) => it.name);
    const closed = new Set([...ours, ...[...attachments()].map((it) => it.interfaceName)]);
    const program = remembered();
    if (closed.size === 0 && (program?.desired.endpoints.size ?? 0) === 0) return false;
    this.#isActive = true;
    this.#program = program;
    this.#closed = closed;
    logger.warn("stand-in enforced: no table in the kernel, and the API server has not answered", {
      enforcing: this.details[0],
      interfaces: closed.size,
    });
    return true;
  }

  /** Call when the API server's state is complete: it replaces the stand-in. */
  end(): void {
    this.#isActive = false;
    this.#isOver = true;
    this.#desired = undefined;
    this.#program = undefined;
  }

  /** Call when interfaces or attachments have changed. */
  refresh(): void {
    this.#desired = undefined;
  }

  /** The desired state to enforce; `undefined`: no stand-in is needed. The same value until `refresh()`. */
  get desired(): Desired | undefined {
    if (!this.#isActive) return undefined;
    return this.#desired ??= this.#program === undefined
      ? this.#skeleton()
      : this.#stillTrue(this.#program.desired);
  }

  /** Sentences for `/readyz` and the log. */
  get details(): readonly string[] {
    if (!this.#isActive) return [];
    if (this.#program === undefined) {
      return ["Stale: nothing is known of what was enforced, so all pods of this node are closed"];
    }
    const at = new Date(this.#program.savedAtMs).toISOString();
    return [`Stale: enforcing what was known at ${at}`];
  }

  #stillTrue(desired: Desired): Desired {
    const links = this.#options.links();
    const attachments = Map.groupBy(this.#options.attachments(), (it) => it.interfaceName);
    const endpoints = new Map<string, DesiredEndpoint>();
    for (const [key, endpoint] of desired.endpoints) {
      const { interfaceName, workload, attachedAddresses } = endpoint;
      const link = links.get(interfaceName ?? "");
      if (link !== undefined) {
        const attached = attachments.get(link.name) ?? [];
        if (isOf(link, attached, endpoint)) endpoints.set(key, endpoint);
      } else if (attachedAddresses.length === 0) {
        // Another plugin's: by its addresses, which can only close.
        endpoints.set(workload, { ...endpoint, interfaceName: undefined });
      }
    }
    return { ...desired, endpoints };
  }

  #skeleton(): Desired {
    const { attachments, links, hostRoutes } = this.#options;
    const routes = hostRoutes();
    const attached = Map.groupBy(attachments(), (it) => it.interfaceName);
    const endpoints = new Map<string, DesiredEndpoint>();
    for (const { name, index } of links().values()) {
      if (!this.#closed.has(name)) continue;
      const own = (attached.get(name) ?? []).flatMap((it) => it.addresses.map(String));
      const addresses = [...new Set([...own, ...routes.get(index) ?? []])].sort();
      endpoints.set(name, {
        interfaceName: name,
        workload: `closed: ${attached.get(name)?.map(podKeyOf).join(" ") ?? "pod not known"}`,
        uid: "",
        addresses: addresses.map(Address.parse),
        attachedAddresses: addresses.map(Address.parse),
        ingress: undefined,
        egress: undefined,
        hostEgress: undefined,
        isClosed: true,
      });
    }
    return { ...NOTHING_DESIRED, endpoints };
  }
}

/** Whether an interface still belongs to the pod that it was opened for. */
function isOf(
  { alias }: Link,
  attachments: readonly Attachment[],
  { workload, uid, attachedAddresses }: DesiredEndpoint,
): boolean {
  if (attachments.length === 0) {
    // The end of the attachment has closed it.
    const [namespace = "", name = ""] = workload.split("/");
    const digest = podDigestIn(alias);
    return attachedAddresses.length === 0 &&
      (digest === undefined || digest === podDigestOf(namespace, name));
  }
  return attachments.every((it) =>
    podKeyOf(it) === workload && (it.uid === undefined || it.uid === uid) &&
    it.addresses.length === attachedAddresses.length &&
    it.addresses.every((address) =>
      attachedAddresses.some((attached) => attached.toString() === address.toString())
    )
  );
}
