/** What the compiler is told beside the desired state: settings, and what the kernel has. */

import type { CompileOptions } from "../lib/dataplane/compile/compile.ts";
import type { IpvsWatch } from "./ipvs.ts";
import type { Settings } from "./settings.ts";

/** The same objects as long as they say the same, for another one compiles everything again. */
export class CompileChoices {
  readonly #settings: Settings;
  readonly #ipvs: Pick<IpvsWatch, "judgesOutput">;
  #usual: CompileOptions;
  #closed: CompileOptions;

  constructor(settings: Settings, ipvs: Pick<IpvsWatch, "judgesOutput">) {
    this.#settings = settings;
    this.#ipvs = ipvs;
    [this.#usual, this.#closed] = this.#make();
  }

  get usual(): CompileOptions {
    return this.#usual;
  }

  /** Where nothing is known of what governs pods: what they send to their node are replies alone. */
  get closed(): CompileOptions {
    return this.#closed;
  }

  /** What the kernel has is other than it was. */
  refresh(): void {
    [this.#usual, this.#closed] = this.#make();
  }

  #make(): [CompileOptions, CompileOptions] {
    const usual = { ...this.#settings, judgesOutput: this.#ipvs.judgesOutput };
    return [usual, { ...usual, endpointToHostAction: "drop" }];
  }
}
