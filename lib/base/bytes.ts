/** Bytes: their type, their order, concatenation. Hexadecimal text is the engine's (`toHex()`, `fromHex()`). */

/** Bytes that own their memory: what FFI calls and the web API take. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** The order of multi-byte integers on this machine. */
export const HOST_IS_LITTLE_ENDIAN: boolean = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Joins `chunks` into one new array. */
export function concatBytes(chunks: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  const out = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    out.set(chunk, offset);
    offset += chunk.length;
  }
  return out;
}
