/**
 * The pods that the plugin attached to this node: what it reported, kept over a restart (`attachments.ts`,
 * `detachments.ts`), what the links say of themselves (`pod_links.ts`), and what the graph is told of both
 * (`attachment_facts.ts`).
 */

import type { Logger } from "../lib/base/log.ts";
import type { Attachment, FactKind, FactTypes } from "../lib/model/facts.ts";
import { podDigestIn } from "../lib/model/link_alias.ts";
import type { NetlinkSocket } from "../lib/netlink/socket.ts";
import { AttachmentFacts } from "./attachment_facts.ts";
import { AttachmentStore } from "./attachments.ts";
import { DetachmentStore } from "./detachments.ts";
import { hasInterface, readLinks, stopLearning } from "./pod_links.ts";

/** The state folder, and the callbacks for changes. */
export interface AttachedPodsOptions {
  readonly stateDir: string;
  readonly graph: {
    update<K extends FactKind>(kind: K, key: string, value: FactTypes[K] | undefined): unknown;
    uidOf(key: string): string | undefined;
  };
  readonly route: NetlinkSocket;
  readonly logger: Logger;
}

/** The pods of this node that have, or had, an interface of the plugin's. */
export class AttachedPods {
  readonly attachments: AttachmentStore;
  readonly #options: AttachedPodsOptions;
  readonly #detachments: DetachmentStore;
  readonly #facts: AttachmentFacts;

  constructor(options: AttachedPodsOptions) {
    const { stateDir, graph, logger } = options;
    this.#options = options;
    this.attachments = new AttachmentStore(`${stateDir}/attachments`, logger);
    this.#detachments = new DetachmentStore(`${stateDir}/detachments`, logger);
    this.#facts = new AttachmentFacts({
      update: (kind, key, value) => graph.update(kind, key, value),
      uidOf: (key) => graph.uidOf(key),
      keep: (key, uid) => this.#detachments.set(key, uid),
    });
  }

  /**
   * Reads the files, deletes the attachments whose interface is gone, and updates interfaces that an
   * earlier version created.
   */
  async load(): Promise<void> {
    const { route, logger } = this.#options;
    await this.attachments.load();
    this.#facts.restore(await this.#detachments.load());
    for (const [key, attachment] of this.attachments.all) this.#facts.take(key, attachment);
    const links = readLinks(route);
    this.forgetWithoutInterface(links);
    stopLearning(route, links, logger);
  }

  /** Takes a report of the plugin: an attachment, or (`undefined`) a DEL. */
  take(key: string, attachment: Attachment | undefined): void {
    this.#facts.take(key, attachment);
  }

  /** Takes the uid of a pod's object; `undefined`: the object is deleted. */
  takeUid(key: string, uid: string | undefined): void {
    this.#facts.takeUid(key, uid);
  }

  /** Call when all pods are listed. */
  forgetGone(): void {
    this.#facts.forgetGone();
  }

  /** Deletes every attachment whose interface is gone: its DEL was not reported. */
  forgetWithoutInterface(links = readLinks(this.#options.route)): void {
    const forgotten = this.attachments.retain((it) => hasInterface(links, it));
    if (forgotten.length === 0) return;
    this.#options.logger.info("attachments without interface forgotten", { forgotten });
    for (const key of forgotten) this.#facts.take(key, undefined);
  }

  /** Whether one of these interfaces is an attachment's; `undefined` stands for all that there may be. */
  hasOneOf(interfaceNames: ReadonlySet<string> | undefined): boolean {
    return [...this.attachments.all.values()]
      .some((it) => interfaceNames === undefined || interfaceNames.has(it.interfaceName));
  }

  /** Tells the graph the owner of each link, by its alias. */
  takeLinks(): void {
    const { route, graph } = this.#options;
    for (const { name, alias } of readLinks(route).values()) {
      const podDigest = podDigestIn(alias);
      if (podDigest !== undefined) graph.update("link", name, { podDigest });
    }
  }
}
