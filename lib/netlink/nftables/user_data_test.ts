import { assertEquals, assertThrows } from "@std/assert";
import { AssertionError } from "../../base/assert.ts";
import { Writer } from "../buffer.ts";
import {
  annotationFields,
  annotationOf,
  integerField,
  integerOf,
  textField,
  textOf,
  UDATA_TAG,
  userData,
} from "./user_data.ts";

function encode(fields: Parameters<typeof userData.write>[1]): string {
  const writer = new Writer();
  userData.write(writer, fields);
  return writer.bytes.toHex();
}

Deno.test("userData writes comment and tag as triples", () => {
  const fields = annotationFields({ comment: "hi", tag: "x" }) ?? [];
  // type 0, length 3, "hi\0"; type 0x7f, length 2, "x\0"
  assertEquals(encode(fields), "00" + "03" + "686900" + "7f" + "02" + "7800");
  assertEquals(annotationOf(userData.read(Uint8Array.fromHex("0003686900" + "7f027800"))), {
    comment: "hi",
    tag: "x",
  });
});

Deno.test("annotationFields() writes nothing when there is nothing to say", () => {
  assertEquals(annotationFields({}), undefined);
  assertEquals(annotationOf(undefined), { comment: undefined, tag: undefined });
});

Deno.test("userData keeps text of any alphabet", () => {
  const text = "größer als 1 €, 大";
  assertEquals(textOf([textField(UDATA_TAG, text)], UDATA_TAG), text);
});

Deno.test("userData drops a truncated tail", () => {
  assertEquals(userData.read(Uint8Array.fromHex("0003686900" + "7f0278")), [
    { type: 0, value: Uint8Array.fromHex("686900") },
  ]);
});

Deno.test("integerOf() reads host order, and only four bytes", () => {
  assertEquals(integerOf([integerField(1, 7)], 1), 7);
  assertEquals(integerOf([integerField(1, 7)], 2), undefined);
  assertEquals(integerOf([{ type: 1, value: new Uint8Array(3) }], 1), undefined);
});

Deno.test("userData refuses more than the kernel keeps", () => {
  assertEquals(encode([textField(0, "x".repeat(253))]).length, 2 * 256);
  assertThrows(() => encode([textField(0, "x".repeat(254)), textField(1, "y")]), AssertionError);
  assertThrows(() => encode([textField(0, "x".repeat(255))]), AssertionError);
});
