/**
 * The pods that the plugin has taken away, kept on disk so that a restarted agent still knows them: one
 * JSON file each beside the attachments' folder, which only root reads and a reboot empties. A file's
 * name is the digest of the pod's name, which may be longer than a file's.
 */

import type { Logger } from "../lib/base/log.ts";
import { podDigestOf } from "../lib/model/link_alias.ts";

/** Uids of pods that were taken away, by the pods' keys (`namespace/name`). */
export class DetachmentStore {
  readonly #folder: string;
  readonly #logger: Logger;

  constructor(folder: string, logger: Logger) {
    this.#folder = folder;
    this.#logger = logger;
  }

  /** Reads the folder; a file that does not parse is reported and left out. */
  async load(): Promise<ReadonlyMap<string, string>> {
    await Deno.mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const uids = new Map<string, string>();
    for await (const entry of Deno.readDir(this.#folder)) {
      if (!entry.isFile) continue;
      const path = `${this.#folder}/${entry.name}`;
      if (!entry.name.endsWith(".json")) {
        await Deno.remove(path).catch(() => {}); // left by a kill between write and rename
        continue;
      }
      try {
        const { pod, uid } = JSON.parse(await Deno.readTextFile(path)) ?? {};
        if (typeof pod !== "string" || typeof uid !== "string") {
          throw new SyntaxError("It names no pod and uid");
        }
        uids.set(pod, uid);
      } catch (error) {
        this.#logger.warn("detachment file ignored", { path, error });
      }
    }
    return uids;
  }

  /** Keeps the uid of a pod that was taken away, or (`undefined`) forgets it. A failure is only logged. */
  set(pod: string, uid: string | undefined): void {
    const path = this.#path(pod);
    try {
      if (uid === undefined) return Deno.removeSync(path);
      const temporary = `${path}.${crypto.randomUUID()}`;
      Deno.writeTextFileSync(temporary, JSON.stringify({ pod, uid }), {
        mode: 0o600,
        createNew: true,
      });
      Deno.renameSync(temporary, path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound && uid === undefined) return;
      this.#logger.warn("detachment not written down", { pod, error });
    }
  }

  #path(pod: string): string {
    const [namespace = "", name = ""] = pod.split("/");
    return `${this.#folder}/${podDigestOf(namespace, name)}.json`;
  }
}
