/**
 * What a metric is, and metrics as Prometheus' text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Which ones there are: `metrics.ts`. Pure.
 */

/** What stands before every metric's name. */
export const METRIC_PREFIX = "calyx_";

/** A value, and the values of the metric's labels in their order. */
export type Sample = readonly [value: number, ...labels: string[]];

/** One metric. */
export interface Metric<State> {
  /** Without {@link METRIC_PREFIX}. */
  readonly name: string;
  readonly type: "counter" | "gauge";
  /** One sentence, for `# HELP` and for docs/reference/metrics.md. */
  readonly help: string;
  /** Names of its labels. @default {none} */
  readonly labels?: readonly string[];
  /** Its samples as of now: one number, or one sample for each combination of labels that there is. */
  readonly read: (state: State) => number | readonly Sample[];
}

/** Prints the metrics of `state`, each with its help and type before its samples. */
export function formatMetrics<State>(metrics: readonly Metric<State>[], state: State): string {
  const lines = metrics.flatMap(({ name, type, help, labels = [], read }) => {
    const fullName = `${METRIC_PREFIX}${name}`;
    const found = read(state);
    const samples: readonly Sample[] = typeof found === "number" ? [[found]] : found;
    return [
      `# HELP ${fullName} ${help}`,
      `# TYPE ${fullName} ${type}`,
      ...samples.map(([value, ...values]) => `${fullName}${formatLabels(labels, values)} ${value}`),
    ];
  });
  return lines.join("\n") + "\n";
}

function formatLabels(names: readonly string[], values: readonly string[]): string {
  if (names.length === 0) return "";
  const pairs = names.map((name, index) => `${name}="${escapeValue(values[index] ?? "")}"`);
  return `{${pairs.join(",")}}`;
}

function escapeValue(text: string): string {
  return text.replaceAll(/[\\"]/g, "\\$&").replaceAll("\n", "\\n");
}
