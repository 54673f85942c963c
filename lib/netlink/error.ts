/** What the kernel answers when it refuses: `struct nlmsgerr` and its extended acknowledgement. */

import { HOST_IS_LITTLE_ENDIAN, viewOf } from "./buffer.ts";
import { NLMSG_DONE, type RawMessage, type Request } from "./message.ts";
import { attributes, text, u32 } from "./schema.ts";

/** `enum nlmsgerr_attrs`, <linux/netlink.h>. */
const nlmsgerr = attributes("nlmsgerr", {
  message: [1, text],
  offset: [2, u32],
  missingType: [5, u32],
});

/** NLM_F_ACK_TLVS: extended acknowledgement attributes follow; NLM_F_CAPPED: the request does not. */
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

/** The kernel refused a request. */
export class NetlinkError extends Error {
  override readonly name = "NetlinkError";
  /** The refused request: `RTM_NEWLINK link "cali0a1b…"`. */
  readonly operation: string;
  /** `EEXIST`, `ENOENT`, … */
  readonly code: string;
  readonly errno: number;
  /** Offset of the attribute that was refused, in bytes from the start of the message. */
  readonly attributeOffset: number | undefined;
  /** The refused request itself, where there is one. */
  readonly request: Request | undefined;

  constructor(
    operation: string,
    errno: number,
    code: string,
    details: {
      readonly text?: string | undefined;
      readonly attributeOffset?: number | undefined;
      readonly request?: Request | undefined;
    } = {},
  ) {
    super(`Cannot ${operation}: ${code}${details.text ? ` (${details.text})` : ""}`);
    this.operation = operation;
    this.errno = errno;
    this.code = code;
    this.attributeOffset = details.attributeOffset;
    this.request = details.request;
  }
}

/** Several messages of one nf_tables transaction were refused; nothing of it is in force. */
export class NetlinkBatchError extends Error {
  override readonly name = "NetlinkBatchError";
  readonly failures: readonly NetlinkError[];

  constructor(failures: readonly NetlinkError[]) {
    const more = failures.length > 1 ? ` (and ${failures.length - 1} more)` : "";
    super(`Transaction refused: ${failures[0]?.message ?? "no reason given"}${more}`);
    this.failures = failures;
  }

  /** Whether another program committed since the generation that the transaction named (ERESTART). */
  get isStale(): boolean {
    return this.failures.some((it) => it.code === "ERESTART");
  }
}

/** Whether what was to be read, changed or deleted is not there. */
export function isNotFound(error: unknown): boolean {
  return error instanceof NetlinkError &&
    ["ENOENT", "ENODEV", "ESRCH", "EADDRNOTAVAIL", "ENXIO"].includes(error.code);
}

/** Whether what was to be created is there already. */
export function isExists(error: unknown): boolean {
  return error instanceof NetlinkError && error.code === "EEXIST";
}

/** What an NLMSG_ERROR says: errno 0 is the acknowledgement. */
export interface Acknowledgement {
  readonly errno: number;
  readonly text: string | undefined;
  readonly attributeOffset: number | undefined;
}

/**
 * Decodes an NLMSG_ERROR, or the NLMSG_DONE of a dump, which has its attributes right behind the error.
 */
export function decodeAcknowledgement(raw: RawMessage): Acknowledgement {
  const { payload, flags } = raw;
  const errno = payload.length < 4 ? 0 : -viewOf(payload).getInt32(0, HOST_IS_LITTLE_ENDIAN);
  const start = attributesStart(raw);
  if ((flags & NLM_F_ACK_TLVS) === 0 || payload.length < start) {
    return { errno, text: undefined, attributeOffset: undefined };
  }
  const details = nlmsgerr.read(payload.subarray(start));
  return { errno, text: details.message, attributeOffset: details.offset };
}

function attributesStart({ type, flags, payload }: RawMessage): number {
  if (type === NLMSG_DONE) return 4;
  if ((flags & NLM_F_CAPPED) !== 0 || payload.length < 8) return 20;
  const echoed = viewOf(payload).getUint32(4, HOST_IS_LITTLE_ENDIAN); // the length in its nlmsghdr
  return 4 + ((echoed + 3) & ~3);
}

/** How errors name a request: `RTM_NEWLINK link "cali0a1b…"`. */
export function describeRequest(request: Request | undefined): string {
  if (request === undefined) return "send nothing";
  return request.subject === "" ? request.name : `${request.name} ${request.subject}`;
}
