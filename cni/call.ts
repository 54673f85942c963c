/** One call of the plugin: what every command is given. */

import type { Logger } from "../lib/base/log.ts";
import type { NetworkConfiguration } from "./protocol/configuration.ts";
import type { CallEnvironment } from "./protocol/environment.ts";

/** The parameters of the call, and what it may write to. */
export interface Call {
  readonly environment: CallEnvironment;
  readonly configuration: NetworkConfiguration;
  /** The configuration as it came, which delegates get. */
  readonly stdin: string;
  readonly log: Logger;
}
