import { assertEquals, assertThrows } from "@std/assert";
import { parseConfigFile } from "./config_file.ts";
import { CtlError } from "./error.ts";

Deno.test("parseConfigFile() reads every key of calicoctl's v1 file", () => {
  const text = `apiVersion: v1
kind: calicoApiConfig
metadata:
spec:
  datastoreType: kubernetes
  kubeconfig: /k
  k8sAPIEndpoint: https://api:6443
  k8sCertFile: /cert
  k8sKeyFile: /key
  k8sCAFile: /ca
  k8sAPIToken: secret
  k8sTokenFile: /token
  k8sCurrentContext: c
`;
  assertEquals(parseConfigFile(text, "f"), {
    datastoreType: "kubernetes",
    kubeconfig: "/k",
    apiEndpoint: "https://api:6443",
    certFile: "/cert",
    keyFile: "/key",
    caFile: "/ca",
    token: "secret",
    tokenFile: "/token",
    context: "c",
  });
});

const FILES: readonly [string, string, Record<string, string>][] = [
  ["an empty one", "", {}],
  ["JSON", '{"apiVersion":"v1","kind":"calicoApiConfig","spec":{"kubeconfig":"/k"}}', {
    kubeconfig: "/k",
  }],
  [
    "today's, whose keys for etcd and for the client's speed change nothing",
    "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\nspec:\n" +
    "  datastoreType: etcdv3\n  etcdEndpoints: http://e:2379\n  k8sClientQPS: 50\n  k8sKeyFile: ''\n",
    { datastoreType: "etcdv3" },
  ],
  ["one without a spec", "apiVersion: v1\nkind: calicoApiConfig\n", {}],
];
for (const [what, text, expected] of FILES) {
  Deno.test(`parseConfigFile() reads ${what}`, () => {
    assertEquals(parseConfigFile(text, "f"), expected);
  });
}

const HEAD = "apiVersion: v1\nkind: calicoApiConfig\nspec:\n";
const MALFORMED: readonly [string, string, string][] = [
  ["a list", "- a", "Configuration file f is malformed: It must be a mapping"],
  ["a spec that is a text", `${HEAD}  kubeconfig`, "Its spec must be a mapping"],
  ["a kubeconfig", "apiVersion: v1\nkind: Config\n", 'with kind "calicoApiConfig"'],
  [
    "a wrong spelling",
    `${HEAD}  k8sCaFile: /ca`,
    'spec.k8sCaFile is unknown; did you mean "k8sCAFile"?',
  ],
  ["the documents' own mistake", `${HEAD}  k8sKubeconfig: /k`, "is spelled spec.kubeconfig"],
  ["a number for a text", `${HEAD}  kubeconfig: 7`, "spec.kubeconfig must be a text"],
  ["trust in any server", `${HEAD}  k8sInsecureSkipTLSVerify: true`, "would trust any server"],
  [
    "a kubeconfig inside",
    `${HEAD}  kubeconfigInline: "x"`,
    "spec.kubeconfigInline is not supported",
  ],
  [
    "what is not YAML",
    `${HEAD}  k8sAPIToken: "hunter2\n`,
    "Configuration file f is not YAML at line",
  ],
];
for (const [what, text, message] of MALFORMED) {
  Deno.test(`parseConfigFile() refuses ${what}`, () => {
    const error = assertThrows(() => parseConfigFile(text, "f"), CtlError, message);
    assertEquals(error.message.includes("hunter2"), false);
  });
}
