import { assertEquals, assertThrows } from "@std/assert";
import { CredentialsError } from "./error.ts";
import { Secret } from "./secret.ts";
import {
  type CredentialSettings,
  mergeSettings,
  requireKubernetes,
  settingsFromEnvironment,
  type SettingSources,
} from "./settings.ts";

/** Settings with their secret in clear text. */
function revealed(settings: CredentialSettings): unknown {
  const { token } = settings;
  return { ...settings, ...(token instanceof Secret ? { token: token.reveal() } : {}) };
}

Deno.test("settingsFromEnvironment() reads every variable, with and without prefix", () => {
  const cases: readonly (readonly [Record<string, string>, unknown])[] = [
    [{}, {}],
    [{ DATASTORE_TYPE: "kubernetes" }, { datastoreType: "kubernetes" }],
    [{ KUBECONFIG: "/a:/b" }, { kubeconfig: "/a:/b" }],
    [{ K8S_API_ENDPOINT: "https://a" }, { apiEndpoint: "https://a" }],
    [{ K8S_CERT_FILE: "/c", K8S_KEY_FILE: "/k", K8S_CA_FILE: "/ca" }, {
      certFile: "/c",
      keyFile: "/k",
      caFile: "/ca",
    }],
    [{ K8S_TOKEN: "t" }, { token: "t" }],
    [{ K8S_API_TOKEN: "old" }, { token: "old" }],
    [{ K8S_API_TOKEN: "old", K8S_TOKEN: "t" }, { token: "t" }],
    [{ CALICO_K8S_API_TOKEN: "old" }, { token: "old" }],
    [
      {
        CALICO_DATASTORE_TYPE: "kubernetes",
        CALICO_KUBECONFIG: "/k",
        CALICO_K8S_API_ENDPOINT: "https://b",
        CALICO_K8S_CERT_FILE: "/c",
        CALICO_K8S_KEY_FILE: "/k",
        CALICO_K8S_CA_FILE: "/ca",
        CALICO_K8S_TOKEN: "t",
      },
      {
        datastoreType: "kubernetes",
        kubeconfig: "/k",
        apiEndpoint: "https://b",
        certFile: "/c",
        keyFile: "/k",
        caFile: "/ca",
        token: "t",
      },
    ],
    [{ CALICO_KUBECONFIG: "/prefixed", KUBECONFIG: "/plain" }, { kubeconfig: "/prefixed" }],
    [{ CALICO_KUBECONFIG: "", KUBECONFIG: "/plain", K8S_TOKEN: "" }, { kubeconfig: "/plain" }],
    [{ KUBERNETES_SERVICE_HOST: "10.0.0.1", KUBERNETES_SERVICE_PORT: "443" }, {
      serviceHost: "10.0.0.1",
      servicePort: "443",
    }],
    [{ CALICO_KUBERNETES_SERVICE_HOST: "10.0.0.1" }, {}],
  ];
  for (const [environment, expected] of cases) {
    const name = JSON.stringify(environment);
    assertEquals(revealed(settingsFromEnvironment(environment)), expected, name);
  }
});

Deno.test("settingsFromEnvironment() gives a token that nothing shows", () => {
  const settings = settingsFromEnvironment({ K8S_TOKEN: "hush" });
  assertEquals(JSON.stringify(settings), `{"token":"[secret]"}`);
  assertEquals(Deno.inspect(settings).includes("hush"), false);
  assertEquals(`${settings.token}`, "[secret]");
});

Deno.test("mergeSettings() takes flags before the file before the environment", () => {
  const cases: readonly (readonly [string, SettingSources, Record<string, string>])[] = [
    ["nothing", { environment: {} }, {}],
    ["each by itself", {
      flags: { context: "a" },
      file: { context: "b", caFile: "/ca" },
      environment: { context: "c", caFile: "/no", apiEndpoint: "https://e" },
    }, {
      context: "--context a",
      caFile: "k8sCAFile /ca",
      apiEndpoint: "K8S_API_ENDPOINT https://e",
    }],
    ["the empty text is unsaid", {
      flags: { kubeconfig: "" },
      environment: { kubeconfig: "/k" },
    }, { kubeconfig: "KUBECONFIG /k" }],
    ["an endpoint beside a kubeconfig overrides it", {
      environment: { kubeconfig: "/k", apiEndpoint: "https://e" },
    }, { kubeconfig: "KUBECONFIG /k", apiEndpoint: "K8S_API_ENDPOINT https://e" }],
    ["an endpoint below a kubeconfig does not", {
      flags: { kubeconfig: "/k" },
      environment: { apiEndpoint: "https://e", certFile: "/c", keyFile: "/k", token: "t" },
    }, { kubeconfig: "--kubeconfig /k" }],
    ["an endpoint above a kubeconfig does", {
      file: { apiEndpoint: "https://e" },
      environment: { kubeconfig: "/k" },
    }, { kubeconfig: "KUBECONFIG /k", apiEndpoint: "k8sAPIEndpoint https://e" }],
    ["a datastore type counts wherever it is", {
      flags: { kubeconfig: "/k" },
      environment: { datastoreType: "etcdv2" },
    }, { kubeconfig: "--kubeconfig /k", datastoreType: "DATASTORE_TYPE etcdv2" }],
    ["a token above a token file leaves it out", {
      file: { token: "t" },
      environment: { tokenFile: "/t" },
    }, { token: "k8sAPIToken [secret]" }],
    ["a token file above a token leaves it out", {
      file: { tokenFile: "/t" },
      environment: { token: "t" },
    }, { tokenFile: "k8sTokenFile /t" }],
  ];
  for (const [name, sources, expected] of cases) {
    const merged = Object.entries(mergeSettings(sources))
      .map(([key, setting]) => [key, `${setting?.source} ${setting?.value}`]);
    assertEquals(Object.fromEntries(merged), expected, name);
  }
});

Deno.test("requireKubernetes() refuses every other datastore", () => {
  for (const datastoreType of ["kubernetes", "Kubernetes", " kubernetes ", undefined, ""]) {
    requireKubernetes(mergeSettings({ environment: { datastoreType } }));
  }
  for (const datastoreType of ["etcdv2", "etcdv3", "k8s", "x"]) {
    assertThrows(
      () => requireKubernetes(mergeSettings({ environment: { datastoreType } })),
      CredentialsError,
      `Datastore type "${datastoreType}" (DATASTORE_TYPE) is not supported: ` +
        `unset it or set it to "kubernetes", the only one`,
    );
  }
});
