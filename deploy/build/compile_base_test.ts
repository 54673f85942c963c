import { assertEquals, assertThrows } from "@std/assert";
import { type Bytes, concatBytes } from "../../lib/base/bytes.ts";
import { cutImage, findImageFault } from "./compile_base.ts";

const TARGET = "x86_64-unknown-linux-gnu";
const EM_X86_64 = 62;
const EM_AARCH64 = 183;

/** An ELF header of `machine`, and `text` somewhere after it. */
function elf(machine: number, text: string): Bytes {
  const header = new Uint8Array(64);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  new DataView(header.buffer).setUint16(18, machine, true);
  return concatBytes([header, new TextEncoder().encode(text + "\0")]);
}

/** What `deno compile` appends: a payload whose last 24 bytes say how long it is. */
function payload(text: string): Bytes {
  const body = new TextEncoder().encode(text);
  const trailer = new Uint8Array(24);
  trailer.set(new TextEncoder().encode("d3n0l4nd"));
  new DataView(trailer.buffer).setBigUint64(16, BigInt(body.length + 24), true);
  return concatBytes([body, trailer]);
}

const denort = elf(EM_X86_64, "looks for d3n0l4nd at its end");

const images = [
  ["a denort", denort, undefined],
  ["a script", new TextEncoder().encode("#!/bin/sh\n".repeat(10)), "not an ELF executable"],
  ["nothing", new Uint8Array(0), "not an ELF executable"],
  [
    "another machine's",
    elf(EM_AARCH64, "d3n0l4nd"),
    "not an executable for x86_64-unknown-linux-gnu",
  ],
  [
    "deno",
    elf(EM_X86_64, "d3n0l4nd DENORT_BIN"),
    "`deno` itself: what it builds would be just `deno`",
  ],
  ["another program", elf(EM_X86_64, "hello"), "not a `denort`"],
  [
    "a compiled program",
    concatBytes([denort, payload("console.log()")]),
    "a compiled program, which has its payload already",
  ],
] as const;

for (const [name, image, expected] of images) {
  Deno.test(`findImageFault() judges ${name}`, () => {
    assertEquals(findImageFault(image, TARGET), expected);
  });
}

Deno.test("findImageFault() takes the other target's image for that target", () => {
  assertEquals(findImageFault(elf(EM_AARCH64, "d3n0l4nd"), "aarch64-unknown-linux-gnu"), undefined);
});

Deno.test("findImageFault() knows the Deno that runs this test for what it is", async () => {
  const fault = findImageFault(await Deno.readFile(Deno.execPath()), hostTarget());
  assertEquals(fault, "`deno` itself: what it builds would be just `deno`");
});

Deno.test("cutImage() gives back what a program was compiled on", () => {
  assertEquals(cutImage(concatBytes([denort, payload("console.log()")])), denort);
});

for (
  const [name, program] of [
    ["no payload", denort],
    ["a payload longer than the program", payload("").with(16, 255)],
    ["fewer bytes than a trailer", new Uint8Array(23)],
  ] as const
) {
  Deno.test(`cutImage() refuses ${name}`, () => {
    assertThrows(() => cutImage(program), RangeError, "not a compiled program");
  });
}

function hostTarget(): Parameters<typeof findImageFault>[1] {
  return Deno.build.arch === "aarch64" ? "aarch64-unknown-linux-gnu" : TARGET;
}
