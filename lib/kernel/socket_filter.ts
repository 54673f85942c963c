/**
 * Filters that the kernel runs on what it is about to put into a socket's queue: classic BPF, `struct
 * sock_filter` and `struct sock_fprog`, <linux/filter.h>, SO_ATTACH_FILTER in socket(7).
 */

import { assert } from "../base/assert.ts";
import { type Bytes, HOST_IS_LITTLE_ENDIAN } from "../base/bytes.ts";

/** BPF_LD | BPF_W | BPF_ABS: loads four bytes of the message, the first one highest. */
export const BPF_LOAD_WORD = 0x20;
/** BPF_JMP | BPF_JEQ | BPF_K: compares what was loaded. */
export const BPF_JUMP_IF_EQUAL = 0x15;
/** BPF_RET | BPF_K: how many bytes of the message to keep; 0: none of it. */
export const BPF_RETURN = 0x06;

/** `sizeof(struct sock_filter)`, `sizeof(struct sock_fprog)` on 64-bit machines. */
const INSTRUCTION_BYTES = 8;
const PROGRAM_BYTES = 16;

/** One instruction. */
export interface FilterInstruction {
  /** BPF_*. */
  readonly code: number;
  /** How many instructions a comparison skips when it holds, and when it does not. */
  readonly ifTrue?: number;
  readonly ifFalse?: number;
  /** What the instruction works with: an offset, a number, a size. */
  readonly value: number;
}

/**
 * Lays a program out in memory for the time of a setsockopt() with SO_ATTACH_FILTER.
 *
 * @param attach is given the option's value, which points at the instructions
 */
export function attachFilter(
  program: readonly FilterInstruction[],
  attach: (value: Bytes) => void,
): void {
  const instructions = new Uint8Array(program.length * INSTRUCTION_BYTES);
  const view = new DataView(instructions.buffer);
  program.forEach(({ code, ifTrue = 0, ifFalse = 0, value }, index) => {
    const offset = index * INSTRUCTION_BYTES;
    view.setUint16(offset, code, HOST_IS_LITTLE_ENDIAN);
    view.setUint8(offset + 2, ifTrue);
    view.setUint8(offset + 3, ifFalse);
    view.setUint32(offset + 4, value, HOST_IS_LITTLE_ENDIAN);
  });
  const pointer = Deno.UnsafePointer.of(instructions);
  assert(pointer !== null, "A filter has instructions");
  const value = new Uint8Array(PROGRAM_BYTES);
  const header = new DataView(value.buffer);
  header.setUint16(0, program.length, HOST_IS_LITTLE_ENDIAN);
  header.setBigUint64(8, Deno.UnsafePointer.value(pointer), HOST_IS_LITTLE_ENDIAN);
  attach(value);
  assert(instructions.length > 0, "The instructions are kept until the kernel has copied them");
}
