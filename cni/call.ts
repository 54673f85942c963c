/** One call of the plugin: the arguments of every command. */

import type { Logger } from "../lib/base/log.ts";
import type { NetworkConfiguration } from "./protocol/configuration.ts";
import type { CallEnvironment } from "./protocol/environment.ts";

/** The call's parameters and configuration, and its logger. */
export interface Call {
  readonly environment: CallEnvironment;
  readonly configuration: NetworkConfiguration;
  /** The configuration as it came, which delegates get. */
  readonly stdin: string;
  readonly log: Logger;
}
