/**
 * The trace that a call belongs to, as libcni hands it on: `TRACEPARENT` in the form of W3C Trace
 * Context, section 3.2, "Traceparent Header". Not for making spans: the log names the trace, no more.
 */

/** The trace and span that this call belongs to (W3C Trace Context). */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** Of the span that called us: 16 hexadecimal digits. */
  readonly spanId: string;
}

/** Version, trace, parent, flags; a later version may have more behind. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/;

/** Parses `TRACEPARENT`; `undefined` for one that is malformed, which counts as none. */
export function parseTraceParent(text: string): TraceContext | undefined {
  const [, version, traceId = "", spanId = "", more] = TRACEPARENT.exec(text.trim()) ?? [];
  if (version === undefined || version === "ff" || version === "00" && more !== undefined) {
    return undefined;
  }
  return /^0+$/.test(traceId) || /^0+$/.test(spanId) ? undefined : { traceId, spanId };
}
