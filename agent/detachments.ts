/**
 * The pods that the plugin has taken away, kept on disk so that a restarted agent still knows them: one
 * JSON file each beside the attachments' folder, which only root reads and a reboot empties. A file's
 * name is the digest of the pod's name, which may be longer than a file's.
 */

import type { Logger } from "../lib/base/log.ts";
import { podDigestOf } from "../lib/model/link_alias.ts";
import { JsonFolder } from "./json_folder.ts";

/** Uids of detached pods, by the pods' keys (`namespace/name`). */
export class DetachmentStore {
  readonly #folder: JsonFolder;
  readonly #logger: Logger;

  constructor(folder: string, logger: Logger) {
    this.#folder = new JsonFolder(folder, "detachment", logger);
    this.#logger = logger;
  }

  /** Reads the folder; a file that does not parse is reported and left out. */
  async load(): Promise<ReadonlyMap<string, string>> {
    const uids = new Map<string, string>();
    await this.#folder.load((value) => {
      const { pod, uid } = (value ?? {}) as { readonly pod?: unknown; readonly uid?: unknown };
      if (typeof pod !== "string" || typeof uid !== "string") {
        throw new SyntaxError("It names no pod and uid");
      }
      uids.set(pod, uid);
    });
    return uids;
  }

  /** Saves the uid of a detached pod, or (`undefined`) deletes it. A failure is only logged. */
  set(pod: string, uid: string | undefined): void {
    const [namespace = "", name = ""] = pod.split("/");
    const file = podDigestOf(namespace, name);
    try {
      if (uid === undefined) this.#folder.remove(file);
      else this.#folder.write(file, { pod, uid });
    } catch (error) {
      this.#logger.warn("cannot write detachment", { pod, error });
    }
  }
}
