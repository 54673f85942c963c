import { assertEquals } from "@std/assert";
import { parseManifest } from "./document.ts";

function kindsIn(text: string): string[] {
  return parseManifest(text, "a.yaml").objects.map((it) => `${it.kind} ${it.metadata["name"]}`);
}

const MANIFESTS: readonly [string, string, string[]][] = [
  ["one document", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", ["Pod a"]],
  ["nothing", "", []],
  ["comments only", "# nothing\n---\n# here\n", []],
  [
    "several documents",
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n--- # next\n" +
    "apiVersion: v1\nkind: Pod\nmetadata: {name: b}\n---\n",
    ["Pod a", "Pod b"],
  ],
  [
    "a separator inside a text",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: |\n    ---\n    y\n",
    ["ConfigMap a"],
  ],
  [
    "a List",
    '{"apiVersion":"v1","kind":"List","items":[' +
    '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}},' +
    '{"apiVersion":"v1","kind":"Node","metadata":{"name":"b"}}]}',
    ["Pod a", "Node b"],
  ],
  [
    "a typed list, whose items say nothing of their kind",
    '{"apiVersion":"v1","kind":"PodList","metadata":{},"items":[{"metadata":{"name":"a"}}]}',
    ["Pod a"],
  ],
];
for (const [what, text, expected] of MANIFESTS) {
  Deno.test(`parseManifest() reads ${what}`, () => assertEquals(kindsIn(text), expected));
}

const MALFORMED: readonly [string, string, string][] = [
  ["a text", "hello", "a.yaml is no Kubernetes object: it needs apiVersion, kind and metadata"],
  [
    "an object without a kind",
    "a: 1\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
    "a.yaml (document 1) is no Kubernetes object: it needs apiVersion, kind and metadata",
  ],
  [
    "what is not YAML, without quoting it",
    "a: b\nsecret: [hunter2",
    "a.yaml is not YAML, near its line 3",
  ],
];
for (const [what, text, message] of MALFORMED) {
  Deno.test(`parseManifest() tells of ${what}`, () => {
    assertEquals(parseManifest(text, "a.yaml").strays.map((it) => it.sentence), [message]);
  });
}

Deno.test("parseManifest() goes on after a document that is no object", () => {
  assertEquals(kindsIn("a: 1\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"), ["Pod a"]);
});

Deno.test("parseManifest() knows a kustomization by its name and by what it says", () => {
  const kindOf = (text: string, path: string): string | undefined =>
    parseManifest(text, path).strays[0]?.kind;
  const version = "kustomize.config.k8s.io";
  assertEquals(kindOf("resources: [a.yaml]\n", "base/kustomization.yaml"), "kustomization");
  assertEquals(kindOf(`apiVersion: ${version}/v1alpha1\nkind: Component\n`, "b"), "kustomization");
  assertEquals(kindOf("resources: [a.yaml]\n", "base/values.yaml"), "noObject");
});
