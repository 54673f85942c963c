/** docs/reference/metrics.md: what `/metrics` has. */

import { METRIC_PREFIX } from "../../agent/metric.ts";
import { METRICS } from "../../agent/metrics.ts";
import { code, formatSection, formatTable } from "./markdown.ts";

/** The page. */
export function metricsDocument(): string {
  return formatSection(
    "# Metrics",
    "`calyx-agent` answers `/metrics` on `--health-host` and `--health-port` with these, as " +
      "Prometheus text. A metric with the label `kind` has a sample for each kind of object or " +
      "of finding.",
    formatTable(
      ["Metric", "Type", "Labels", "Meaning"],
      METRICS.map(({ name, type, labels = [], help }) => [
        code(`${METRIC_PREFIX}${name}`),
        type,
        code(...labels),
        help,
      ]),
    ),
  );
}
