/** What the machine is given to do, and how it answers: the contract of main.ts and guest.ts. */

/** Test files that run in one `deno test`, so that a crash takes no other group's results along. */
export interface Group {
  readonly name: string;
  /** Paths of test files, from the project's folder. */
  readonly files: readonly string[];
  /** Flags for `deno test`. */
  readonly flags?: readonly string[];
  /** Modules that are loaded first, because nothing that the tests do loads them. */
  readonly modules?: readonly string[];
  /** Modules that the kernel has to do without, as if they were not built. */
  readonly without?: readonly string[];
  /** After so long it hangs. */
  readonly seconds: number;
}

/** Where guest.ts finds it. */
export const JOB_PATH = "/run/job.json";

/** The variable that says to tests which modules the kernel has to do without. */
export const LACKS = "CALYX_KERNEL_LACKS";

/** All that the machine is to do. */
export interface Job {
  readonly groups: readonly Group[];
  /** Variables for the tests. */
  readonly env: Readonly<Record<string, string>>;
}

/** What guest.ts says between the lines of the tests. */
export type Event =
  | { readonly kind: "up"; readonly release: string }
  | { readonly kind: "begin"; readonly group: string }
  /** `code` is what `deno test` ended with; undefined when it was stopped, because it hung. */
  | {
    readonly kind: "end";
    readonly group: string;
    readonly code: number | undefined;
    readonly seconds: number;
  }
  | { readonly kind: "done" };

const MARK = "calyx-kernel: ";

/** One line that {@link parseEvent} finds again. */
export function formatEvent(event: Event): string {
  return MARK + JSON.stringify(event);
}

/** The event that a line is; undefined where it is a line of a test. */
export function parseEvent(line: string): Event | undefined {
  return line.startsWith(MARK) ? JSON.parse(line.slice(MARK.length)) : undefined;
}
