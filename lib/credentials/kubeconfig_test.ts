import { assertEquals, assertRejects } from "@std/assert";
import { openApiServer } from "./api_server.ts";
import { CredentialsError } from "./error.ts";
import type { CredentialSettings } from "./settings.ts";

const userAgent = "calyx-test/1";
const CLUSTERS = [{ name: "c1", cluster: { server: "http://127.0.0.1:1" } }];
const USERS = [{ name: "u1", user: { token: "hush-hush" } }];
const CONTEXTS = [{ name: "x1", context: { cluster: "c1", user: "u1" } }];
const WHOLE = { "current-context": "x1", clusters: CLUSTERS, users: USERS, contexts: CONTEXTS };

/** Writes files into a folder that is removed afterwards. */
async function withFiles(
  files: Readonly<Record<string, unknown>>,
  f: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, content] of Object.entries(files)) {
      const text = typeof content === "string" ? content : JSON.stringify(content);
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    await f(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Server, identity and authority that a kubeconfig leads to. */
async function open(flags: CredentialSettings, environment: CredentialSettings = {}) {
  using api = await openApiServer({ flags, environment, userAgent });
  return { server: api.server, identity: api.identity, authority: api.authority };
}

function withUser(user: unknown): unknown {
  return { ...WHOLE, users: [{ name: "u1", user }] };
}

function withCluster(cluster: unknown): unknown {
  return { ...WHOLE, clusters: [{ name: "c1", cluster }] };
}

Deno.test("openApiServer() takes the current context of a kubeconfig, or another one", async () => {
  const file = {
    ...WHOLE,
    clusters: [...CLUSTERS, { name: "c2", cluster: { server: "https://two:6443/base/" } }],
    contexts: [...CONTEXTS, { name: "x2", context: { cluster: "c2", user: "" } }],
  };
  await withFiles({ k: file }, async (folder) => {
    const kubeconfig = `${folder}/k`;
    const authority = "the system's certificate authorities";
    const identity = `token of user "u1" of kubeconfig "${kubeconfig}"`;
    const first = { server: "http://127.0.0.1:1", identity, authority };
    assertEquals(await open({ kubeconfig }), first);
    assertEquals(await open({ kubeconfig, context: "x2" }), {
      server: "https://two:6443/base",
      identity: "no credentials at all",
      authority,
    });
    assertEquals(await open({}, { kubeconfig, apiEndpoint: "https://other:1", token: "t" }), {
      server: "https://other:1",
      identity: "token (K8S_TOKEN)",
      authority,
    });
    assertEquals(await open({ kubeconfig }, { apiEndpoint: "https://other:1" }), first);
  });
});

Deno.test("openApiServer() merges several kubeconfigs: the first that says something counts", async () => {
  const files = {
    a: { contexts: [{ name: "x", context: { cluster: "c", user: "u" } }], clusters: null },
    b: {
      "current-context": "x",
      clusters: [{ name: "c", cluster: { server: "https://first" } }],
      users: [{ name: "u", user: { tokenFile: "token" } }],
    },
    c: {
      "current-context": "y",
      clusters: [{ name: "c", cluster: { server: "https://second" } }],
      contexts: [{ name: "x", context: { cluster: "z" } }],
    },
    token: "t",
  };
  await withFiles(files, async (folder) => {
    const kubeconfig = ["missing", "a", "", "b", "c"].map((it) => it && `${folder}/${it}`).join(
      ":",
    );
    assertEquals(await open({}, { kubeconfig }), {
      server: "https://first",
      // Relative to the file that it is written in.
      identity: `token "${folder}/token" (user "u" of kubeconfig "${folder}/b")`,
      authority: "the system's certificate authorities",
    });
    await assertRejects(
      () => open({}, { kubeconfig: `${folder}/no:${folder}/nothing` }),
      CredentialsError,
      `None of the kubeconfigs "${folder}/no:${folder}/nothing" (KUBECONFIG) exists`,
    );
  });
});

const user = 'User "u1" of kubeconfig "K"';
const cluster = 'Cluster "c1" of kubeconfig "K"';
const BAD_KUBECONFIGS: readonly (readonly [string, unknown, string])[] = [
  [
    "broken YAML",
    "users:\n- name: u\n  user: {token: hush-hush\n",
    'Kubeconfig "K" (--kubeconfig) is not YAML at line 4, column 1: correct it there',
  ],
  ["an empty file", "", 'Kubeconfig "K" (--kubeconfig) is empty: write it or name another file'],
  [
    "a list",
    "- hush-hush",
    'Kubeconfig "K" (--kubeconfig) is no kubeconfig: ' +
    "it must be a mapping with clusters, users and contexts",
  ],
  [
    "another kind",
    { kind: "Pod" },
    'Kubeconfig "K" (--kubeconfig) is no kubeconfig but of kind "Pod": name another file',
  ],
  [
    "no current context",
    { ...WHOLE, "current-context": "" },
    'Kubeconfig "K" has no current-context: set one or use --context (it has "x1")',
  ],
  [
    "no contexts",
    {},
    'Kubeconfig "K" has no current-context: set one or use --context (it has no contexts)',
  ],
  [
    "a current context that is not there",
    { ...WHOLE, "current-context": "x9" },
    'Kubeconfig "K" has no context "x9" (its current-context): it has "x1"',
  ],
  [
    "a missing cluster",
    { ...WHOLE, clusters: [] },
    'Context "x1" of kubeconfig "K" names cluster "c1", which is not there: ' +
    "add it or use another context",
  ],
  [
    "a missing user",
    { ...WHOLE, users: [] },
    'Context "x1" of kubeconfig "K" names user "u1", which is not there: ' +
    "add it or use another context",
  ],
  [
    "users that are no list",
    { ...WHOLE, users: { u1: { token: "hush-hush" } } },
    'Kubeconfig "K": users must be a list',
  ],
  [
    "a user without a name",
    { ...WHOLE, users: [{ user: { token: "hush-hush" } }] },
    'Kubeconfig "K": users[0] must have a name (in quotes if it is a number) and a user',
  ],
  [
    "no server",
    withCluster({}),
    `${cluster} has no server: write its URL there or set K8S_API_ENDPOINT`,
  ],
  [
    "a server that is no URL",
    withCluster({ server: "10.0.0.1:6443" }),
    'API server "10.0.0.1:6443" (kubeconfig "K") is no URL: write it like "https://10.0.0.1:6443"',
  ],
  [
    "a password in the server",
    withCluster({ server: "https://me:hush-hush@10.0.0.1" }),
    'API server "https://…@10.0.0.1" (kubeconfig "K") has a user in its URL: ' +
    "take it out and use a token",
  ],
  [
    "no verification",
    withCluster({ server: "https://a", "insecure-skip-tls-verify": true }),
    `${cluster} sets insecure-skip-tls-verify, which would trust any server and is not supported: ` +
    "put the server's CA into certificate-authority or K8S_CA_FILE",
  ],
  [
    "another server name",
    withCluster({ server: "https://a", "tls-server-name": "b" }),
    `${cluster} sets tls-server-name "b", which is not supported: ` +
    "use that name in the server's URL, with an entry in /etc/hosts if need be",
  ],
  [
    "a proxy of an odd kind",
    withCluster({ server: "https://a", "proxy-url": "ftp://me:hush-hush@p" }),
    `${cluster} has a proxy-url that is not supported: ` +
    'it must be a URL that begins with "http://", "https://", "socks5://" or "socks5h://"',
  ],
  [
    "a CA that is missing",
    withCluster({ server: "https://a", "certificate-authority": "no.crt" }),
    `CA "D/no.crt" (cluster "c1" of kubeconfig "K") does not exist: create it or name another file`,
  ],
  [
    "a CA that is a folder",
    withCluster({ server: "https://a", "certificate-authority": "." }),
    `CA "D/." (cluster "c1" of kubeconfig "K") is a directory: name the file in it`,
  ],
  [
    "CA data that is no base64",
    withCluster({ server: "https://a", "certificate-authority-data": "%%%" }),
    `${cluster}: certificate-authority-data is no base64: copy it again`,
  ],
  [
    "CA data that is no certificate",
    withCluster({ server: "https://a", "certificate-authority-data": btoa("hush-hush") }),
    'CA of cluster "c1" of kubeconfig "K" holds no PEM certificate: ' +
    'it must have a "-----BEGIN CERTIFICATE-----" block',
  ],
  [
    "a token that is a number",
    withUser({ token: 12345 }),
    `${user}: token must be a text, so put its value in quotes`,
  ],
  [
    "a token of two lines",
    withUser({ token: "hush\nhush" }),
    `Token of user "u1" of kubeconfig "K" is no bearer token: ` +
    "it must be one line of printable characters",
  ],
  [
    "a token file that is missing",
    withUser({ tokenFile: "/no/token", token: "hush-hush" }),
    'Token "/no/token" (user "u1" of kubeconfig "K") does not exist: ' +
    "create it or name another file",
  ],
  [
    "a certificate without its key",
    withUser({ "client-certificate": "/c" }),
    `${user} has a client certificate but no key: add client-key or client-key-data`,
  ],
  [
    "a key without its certificate",
    withUser({ "client-key-data": btoa("hush-hush") }),
    `${user} has a client key but no certificate: ` +
    "add client-certificate or client-certificate-data",
  ],
  [
    "several groups",
    withUser({ as: "a", "as-groups": ["a", "b"] }),
    `${user} impersonates with as-user-extra or not exactly one of as-groups, ` +
    "which is not supported: use a user of its own",
  ],
  [
    "a group without a user",
    withUser({ "as-groups": ["a"] }),
    `${user} has as-uid or as-groups without as: add as`,
  ],
  ["a plug-in without command", withUser({ exec: {} }), `${user}: exec.command is missing`],
  [
    "a plug-in of no version",
    withUser({ exec: { command: "x" } }),
    `${user}: exec.apiVersion is missing`,
  ],
  [
    "a plug-in that talks to people",
    withUser({ exec: { command: "x", apiVersion: "v1", interactiveMode: "Always" } }),
    `${user}: exec.interactiveMode Always asks for a person at a terminal, ` +
    "which is not supported: use a token or another plug-in",
  ],
  [
    "an auth-provider that has no token",
    withUser({ "auth-provider": { name: "oidc", config: { "client-secret": "hush-hush" } } }),
    'Auth-provider "oidc" of user "u1" of kubeconfig "K" gave no token: ' +
    "log in again, or use an exec plug-in",
  ],
  [
    "an unknown auth-provider",
    withUser({ "auth-provider": { name: "other" } }),
    'Auth-provider "other" of user "u1" of kubeconfig "K" gave no token: ' +
    "log in again, or use an exec plug-in",
  ],
];

for (const [name, content, expected] of BAD_KUBECONFIGS) {
  Deno.test(`openApiServer() says one sentence about a kubeconfig with ${name}`, async () => {
    await withFiles({ k: content }, async (folder) => {
      const error = await assertRejects(
        () => open({ kubeconfig: `${folder}/k` }),
        CredentialsError,
      );
      const message = error.message.replaceAll(`${folder}/k`, "K").replaceAll(folder, "D");
      assertEquals(message, expected);
      assertEquals(Deno.inspect(error).includes("hush"), false, "a secret in the error");
    });
  });
}

Deno.test("openApiServer() names the context that is not there, and those that are", async () => {
  await withFiles({ k: WHOLE }, async (folder) => {
    await assertRejects(
      () => open({ kubeconfig: `${folder}/k`, context: "prod" }),
      CredentialsError,
      `Kubeconfig "${folder}/k" has no context "prod" (--context): it has "x1"`,
    );
  });
});
