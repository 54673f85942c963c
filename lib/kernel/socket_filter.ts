/**
 * Filters that the kernel runs on what it is about to put into a socket's queue: classic BPF, `struct
 * sock_filter` and `struct sock_fprog`, <linux/filter.h>, SO_ATTACH_FILTER in socket(7).
 */

import { assert } from "../base/assert.ts";
import { type Bytes, HOST_IS_LITTLE_ENDIAN } from "../base/bytes.ts";

/** BPF_LD | BPF_W | BPF_ABS: loads four bytes of the message, the first one highest. */
const LOAD_WORD = 0x20;
/** BPF_JMP | BPF_JEQ | BPF_K: compares what was loaded. */
const JUMP_IF_EQUAL = 0x15;
/** BPF_RET | BPF_K: how many bytes of the message to keep; 0: none of it. */
const RETURN = 0x06;

/** `sizeof(struct sock_filter)`, `sizeof(struct sock_fprog)` on 64-bit machines. */
const INSTRUCTION_BYTES = 8;
const PROGRAM_BYTES = 16;

/** `struct sock_filter`: the code, how many instructions a comparison skips (true, false), the operand. */
type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, operand: number];

/**
 * Makes, for the time of a setsockopt() with SO_ATTACH_FILTER, a filter that keeps messages away which
 * have `word` at `offset`, in the byte order of this machine.
 *
 * @param attach is given the option's value, which points at the filter's instructions
 */
export function withFilter(offset: number, word: number, attach: (value: Bytes) => void): void {
  const program: readonly Instruction[] = [
    [LOAD_WORD, 0, 0, offset],
    [JUMP_IF_EQUAL, 0, 1, HOST_IS_LITTLE_ENDIAN ? swapBytes(word) : word],
    [RETURN, 0, 0, 0],
    [RETURN, 0, 0, 0xffffffff],
  ];
  const instructions = new Uint8Array(program.length * INSTRUCTION_BYTES);
  const view = new DataView(instructions.buffer);
  program.forEach(([code, ifTrue, ifFalse, operand], index) => {
    const start = index * INSTRUCTION_BYTES;
    view.setUint16(start, code, HOST_IS_LITTLE_ENDIAN);
    view.setUint8(start + 2, ifTrue);
    view.setUint8(start + 3, ifFalse);
    view.setUint32(start + 4, operand, HOST_IS_LITTLE_ENDIAN);
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

function swapBytes(word: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, word);
  return view.getUint32(0, true);
}
