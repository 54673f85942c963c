import { assertEquals } from "@std/assert";
import { suggest } from "./suggest.ts";

const WORDS = ["get", "explain", "version"];

Deno.test("suggest() asks with the nearest word, or says nothing", () => {
  assertEquals(suggest("verison", WORDS), '; did you mean "version"?');
  assertEquals(suggest("quux", WORDS), "");
});
