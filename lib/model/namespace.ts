/** A namespace: its name and labels. */

import type { Labels } from "./labels.ts";

export interface Namespace {
  readonly name: string;
  readonly labels: Labels;
  readonly annotations: Labels;
}
