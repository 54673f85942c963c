/** A program of XDP that lets every packet pass, loaded by bpf(2): number 321 on x86-64. */

import { HOST_IS_LITTLE_ENDIAN } from "../../../lib/base/bytes.ts";
import { Descriptor } from "../../../lib/kernel/descriptor.ts";

const SYS_BPF = 321n;
const BPF_PROG_LOAD = 5;
const BPF_PROG_TYPE_XDP = 6;
/** `r0 = XDP_PASS; exit`, two `struct bpf_insn`. */
const INSTRUCTIONS = Uint8Array.of(0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0);
const LICENSE = Uint8Array.of(0);
/** `union bpf_attr` up to the fields that are set. */
const ATTRIBUTE_BYTES = 48;

/** Loads it. @throws {Error} if the kernel refuses */
export function loadXdpProgram(): Descriptor {
  const library = Deno.dlopen("libc.so.6", {
    syscall: { parameters: ["i64", "i32", "buffer", "u32"], result: "i64" },
  });
  try {
    const attribute = new Uint8Array(ATTRIBUTE_BYTES);
    const view = new DataView(attribute.buffer);
    view.setUint32(0, BPF_PROG_TYPE_XDP, HOST_IS_LITTLE_ENDIAN);
    view.setUint32(4, INSTRUCTIONS.length / 8, HOST_IS_LITTLE_ENDIAN);
    for (const [offset, bytes] of [[8, INSTRUCTIONS], [16, LICENSE]] as const) {
      const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
      view.setBigUint64(offset, BigInt(address), HOST_IS_LITTLE_ENDIAN);
    }
    const fd = library.symbols.syscall(SYS_BPF, BPF_PROG_LOAD, attribute, ATTRIBUTE_BYTES);
    if (fd < 0n) throw new Error("The kernel loads no program of XDP");
    return new Descriptor(Number(fd));
  } finally {
    library.close();
  }
}
