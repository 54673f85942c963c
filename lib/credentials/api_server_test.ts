import { assert, assertEquals, assertRejects } from "@std/assert";
import { FakeAuthority } from "../../tests/support/kubernetes/fake_authority.ts";
import { until } from "../../tests/support/until.ts";
import type { Clock } from "../base/clock.ts";
import { type ApiServer, type ApiServerSources, openApiServer } from "./api_server.ts";
import { CredentialsError } from "./error.ts";
import { settingsFromEnvironment } from "./settings.ts";

const userAgent = "calyx-test/1";

/** A clock that is moved by hand. */
class StandingClock implements Clock {
  atMs = Date.now();

  nowMs(): number {
    return this.atMs;
  }

  sleep(_durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((_, reject) =>
      signal?.addEventListener("abort", () => reject(signal.reason))
    );
  }
}

/** A server that accepts the current token only, and records the requests. */
class FakeApiServer implements AsyncDisposable {
  token: string | undefined;
  readonly requests: string[] = [];
  readonly headers: Headers[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #scheme: string;

  constructor(tls?: { readonly certificate: string; readonly key: string }) {
    this.#scheme = tls === undefined ? "http" : "https";
    const handler = (request: Request): Response => this.#answer(request);
    const options = { port: 0, hostname: "127.0.0.1", onListen: () => {} };
    this.#server = tls === undefined
      ? Deno.serve(options, handler)
      : Deno.serve({ ...options, cert: tls.certificate, key: tls.key }, handler);
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.#server.addr.port}`;
  }

  #answer(request: Request): Response {
    const authorization = request.headers.get("authorization");
    this.requests.push(`${new URL(request.url).pathname} ${authorization}`);
    this.headers.push(request.headers);
    const isLetIn = this.token === undefined || authorization === `Bearer ${this.token}`;
    return new Response(isLetIn ? "yes" : "no", { status: isLetIn ? 200 : 401 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

async function withFolder(f: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await f(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Status and text of an answer. */
async function ask(api: ApiServer, path = "/version"): Promise<string> {
  const response = await api.fetch(path);
  return `${response.status} ${await response.text()}`;
}

function fromEnvironment(variables: Readonly<Record<string, string>>): ApiServerSources {
  return { environment: settingsFromEnvironment(variables), userAgent };
}

Deno.test("ApiServer.fetch() sends path, token and user agent, and no text shows the token", async () => {
  await using server = new FakeApiServer();
  using api = await openApiServer(
    fromEnvironment({ K8S_API_ENDPOINT: `${server.url}/base/`, K8S_TOKEN: " hush-hush\n" }),
  );
  assertEquals(await ask(api, "/api/v1/pods?limit=1"), "200 yes");
  assertEquals(server.requests, ["/base/api/v1/pods Bearer hush-hush"]);
  assertEquals(server.headers[0]?.get("user-agent"), userAgent);
  assertEquals(server.headers[0]?.get("accept"), "application/json");
  assertEquals([api.server, api.identity], [`${server.url}/base`, "token (K8S_TOKEN)"]);
  const shown = Deno.inspect(api, { depth: 9, showHidden: true }) + JSON.stringify(api);
  assertEquals(shown.includes("hush"), false);
});

Deno.test("ApiServer.fetch() follows no redirect, which would carry the token away", async () => {
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => new Response(null, { status: 302, headers: { location: "http://127.0.0.1:1/" } }),
  );
  using api = await openApiServer(
    fromEnvironment({ K8S_API_ENDPOINT: `http://127.0.0.1:${server.addr.port}`, K8S_TOKEN: "t" }),
  );
  assertEquals(await ask(api), "302 ");
  await server.shutdown();
});

Deno.test("ApiServer.fetch() reads a token file again when it changes, and at once on 401", async () => {
  await using server = new FakeApiServer();
  await withFolder(async (folder) => {
    const [tokenFile, clock] = [`${folder}/token`, new StandingClock()];
    await Deno.writeTextFile(tokenFile, "one");
    server.token = "one";
    const inCluster = { apiEndpoint: server.url, tokenFile };
    using api = await openApiServer({ inCluster, environment: {}, userAgent }, { clock });
    assertEquals(await ask(api), "200 yes");

    await Deno.writeTextFile(tokenFile, "three");
    clock.atMs += 10_000;
    server.token = "three";
    assertEquals(await ask(api), "200 yes");

    await Deno.writeTextFile(tokenFile, "four");
    server.token = "four";
    const answers = await Promise.all([ask(api), ask(api)]);
    assertEquals(answers, ["200 yes", "200 yes"], "not looked at, but refused");
    assertEquals(server.requests.map((it) => it.split(" ").at(-1)).sort(), [
      ...["four", "four", "one", "three", "three", "three"],
    ]);

    server.token = "five";
    clock.atMs += 10_000;
    const before = server.requests.length;
    assertEquals(await ask(api), "401 no", "nothing new to try");
    assertEquals(server.requests.length, before + 1);

    await Deno.remove(tokenFile);
    clock.atMs += 10_000;
    await assertRejects(() => api.fetch("/"), CredentialsError, "does not exist: create it");
  });
});

Deno.test("openApiServer() takes explicit values before the pod's service account before home", async () => {
  await withFolder(async (folder) => {
    const [tokenFile, home] = [`${folder}/token`, `${folder}/config`];
    await Deno.writeTextFile(tokenFile, "t");
    const pod = { apiEndpoint: "https://pod", tokenFile };
    const context = { cluster: "c" };
    await Deno.writeTextFile(
      home,
      JSON.stringify({
        "current-context": "x",
        contexts: [{ name: "x", context }],
        clusters: [{ name: "c", cluster: { server: "https://home" } }],
      }),
    );
    const noPod = { inCluster: { apiEndpoint: "https://pod", tokenFile: `${folder}/none` } };
    const cases: readonly (readonly [string, Partial<ApiServerSources>, string])[] = [
      ["endpoint", {
        environment: { apiEndpoint: "https://said" },
        inCluster: pod,
        homeKubeconfig: home,
      }, "https://said no credentials at all"],
      [
        "pod",
        { inCluster: pod, homeKubeconfig: home },
        `https://pod token "${tokenFile}" (the pod's service account)`,
      ],
      [
        "pod with a token of its own",
        { inCluster: pod, file: { token: "t" } },
        "https://pod token (k8sAPIToken)",
      ],
      ["home", { ...noPod, homeKubeconfig: home }, "https://home no credentials at all"],
      ["home alone", { homeKubeconfig: home }, "https://home no credentials at all"],
    ];
    for (const [name, sources, expected] of cases) {
      using api = await openApiServer({ environment: {}, userAgent, ...sources });
      assertEquals(`${api.server} ${api.identity}`, expected, name);
    }
    await assertRejects(
      () => openApiServer({ environment: {}, userAgent, ...noPod }),
      CredentialsError,
      `Token "${folder}/none" (the pod's service account) does not exist`,
    );
  });
});

Deno.test("openApiServer() finds the API server from inside a pod", async () => {
  const variables = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" };
  await assertRejects(
    () => openApiServer(fromEnvironment(variables)),
    CredentialsError,
    '"/var/run/secrets/kubernetes.io/serviceaccount/',
  );
});

Deno.test("openApiServer() says one sentence about settings that make no sense", async () => {
  await using authority = await FakeAuthority.create();
  const client = await authority.issue("client");
  const other = await authority.issue("other");
  const endpoint = { K8S_API_ENDPOINT: "https://a" };
  const pair = { K8S_CERT_FILE: client.certFile, K8S_KEY_FILE: client.keyFile };
  const cases: readonly (readonly [Record<string, string>, string])[] = [
    [
      {},
      "Nothing says where the API server is: set KUBECONFIG or K8S_API_ENDPOINT, " +
      "or run in a pod with a service account",
    ],
    [
      { DATASTORE_TYPE: "etcdv3" },
      'Datastore type "etcdv3" (DATASTORE_TYPE) is not supported: ' +
      'unset it or set it to "kubernetes", the only one',
    ],
    [
      { K8S_API_ENDPOINT: "10.0.0.1:6443" },
      'API server "10.0.0.1:6443" (K8S_API_ENDPOINT) is no URL: ' +
      'write it like "https://10.0.0.1:6443"',
    ],
    [
      { K8S_API_ENDPOINT: "https://a?b" },
      'API server "https://a?b" (K8S_API_ENDPOINT) has more than a path in its URL: ' +
      'take "?" and "#" out',
    ],
    [
      { ...endpoint, K8S_CERT_FILE: client.certFile },
      "K8S_CERT_FILE names a client certificate but its key is missing: set K8S_KEY_FILE too",
    ],
    [
      { ...endpoint, K8S_KEY_FILE: client.keyFile },
      "K8S_KEY_FILE names a client key but its certificate is missing: set K8S_CERT_FILE too",
    ],
    [
      { ...endpoint, ...pair, K8S_KEY_FILE: other.keyFile },
      `Client key "${other.keyFile}" (K8S_KEY_FILE) does not belong to ` +
      `client certificate "${client.certFile}" (K8S_CERT_FILE): name the key it was made with`,
    ],
    [
      { ...endpoint, ...pair, K8S_CERT_FILE: authority.folder },
      `Client certificate "${authority.folder}" (K8S_CERT_FILE) is a directory: name the file in it`,
    ],
    [
      { ...endpoint, K8S_CA_FILE: client.keyFile },
      `CA "${client.keyFile}" (K8S_CA_FILE) holds no PEM certificate but a private key: ` +
      'it must have a "-----BEGIN CERTIFICATE-----" block',
    ],
    [
      { ...endpoint, K8S_TOKEN: "tökén" },
      "Token (K8S_TOKEN) is no bearer token: it must be one line of printable characters",
    ],
    [
      { KUBECONFIG: "/no/config" },
      'Kubeconfig "/no/config" (KUBECONFIG) does not exist: create it or name another file',
    ],
  ];
  for (const [variables, expected] of cases) {
    const open = () => openApiServer(fromEnvironment(variables));
    assertEquals((await assertRejects(open, CredentialsError)).message, expected);
  }
});

Deno.test("ApiServer.fetch() trusts the kubeconfig's CA, and a token of its plug-in until refused", async () => {
  await using authority = await FakeAuthority.create();
  await using server = new FakeApiServer(await authority.issue("server", ["IP:127.0.0.1"]));
  const clock = new StandingClock();
  await withFolder(async (folder) => {
    const [kubeconfig, status] = [`${folder}/k`, `${folder}/status`];
    const print = (token: string): Promise<void> =>
      Deno.writeTextFile(status, JSON.stringify({ status: { token } }));
    const exec = { apiVersion: "client.authentication.k8s.io/v1", command: "cat", args: [status] };
    const ca = btoa(await Deno.readTextFile(authority.caFile));
    const cluster = { server: server.url, "certificate-authority-data": ca };
    await Deno.writeTextFile(
      kubeconfig,
      JSON.stringify({
        "current-context": "x",
        contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
        clusters: [{ name: "c", cluster }],
        users: [{ name: "u", user: { exec } }],
      }),
    );
    server.token = "one";
    await print("one");
    using api = await openApiServer(fromEnvironment({ KUBECONFIG: kubeconfig }), { clock });
    assertEquals(await ask(api), "200 yes");
    server.token = "two";
    await print("two");
    assertEquals(await ask(api), "200 yes");
    // A kubeconfig that was replaced is read at the next refusal.
    server.token = "three";
    clock.atMs += 10_000;
    await Deno.writeTextFile(
      kubeconfig,
      (await Deno.readTextFile(kubeconfig)).replace(
        JSON.stringify({ exec }),
        JSON.stringify({ token: "three" }),
      ),
    );
    assertEquals(await ask(api), "200 yes");
    assertEquals(server.requests.length, 5);
    assertEquals(api.identity, `token of user "u" of kubeconfig "${kubeconfig}"`);
  });
});

Deno.test("ApiServer.fetch() follows a CA that rotates", async () => {
  await using authority = await FakeAuthority.create();
  await using next = await FakeAuthority.create();
  await using server = new FakeApiServer(await next.issue("server", ["IP:127.0.0.1"]));
  const clock = new StandingClock();
  await withFolder(async (folder) => {
    const caFile = `${folder}/ca.crt`;
    await Deno.copyFile(authority.caFile, caFile);
    using api = await openApiServer(
      fromEnvironment({ K8S_API_ENDPOINT: server.url, K8S_CA_FILE: caFile }),
      { clock },
    );
    await assertRejects(() => api.fetch("/"), TypeError, "invalid peer certificate");
    await Deno.copyFile(next.caFile, caFile);
    // The handshake fails, so the file is read again before it would be looked at.
    clock.atMs += 2_500;
    assertEquals(await ask(api), "200 yes");
  });
});

Deno.test("ApiServer.fetch() keeps a pair that works until the next one is whole", async () => {
  await using authority = await FakeAuthority.create();
  const first = await authority.issue("first");
  const second = await authority.issue("second");
  const serverPair = await authority.issue("server", ["IP:127.0.0.1"]);
  await using server = await MutualTlsServer.start(authority, serverPair);
  const clock = new StandingClock();
  await withFolder(async (folder) => {
    const [certFile, keyFile] = [`${folder}/c`, `${folder}/k`];
    const write = async (certificate: string, key: string): Promise<void> => {
      await Deno.writeTextFile(certFile, certificate);
      await Deno.writeTextFile(keyFile, key);
      clock.atMs += 10_000;
    };
    await write(first.certificate, first.key);
    using api = await openApiServer(
      fromEnvironment({
        K8S_API_ENDPOINT: server.url,
        K8S_CA_FILE: authority.caFile,
        K8S_CERT_FILE: certFile,
        K8S_KEY_FILE: keyFile,
      }),
      { clock },
    );
    const subject = async (): Promise<string | undefined> =>
      /Subject: O ?= ?testers, CN ?= ?(\w+)/.exec(await (await api.fetch("/")).text())?.[1];
    assertEquals(api.identity, `client certificate "${certFile}" (K8S_CERT_FILE)`);
    assertEquals(await subject(), "first");
    await write(second.certificate, first.key);
    assertEquals(await subject(), "first");
    await write(second.certificate, second.key);
    assertEquals(await subject(), "second");
    await write("garbage", "garbage");
    assertEquals(await subject(), "second");
    clock.atMs += 48 * 3_600_000;
    await assertRejects(() => api.fetch("/"), CredentialsError, "holds no PEM certificate");
    await write(first.certificate, first.key);
    await assertRejects(() => api.fetch("/"), CredentialsError, "expired on");
  });
});

/** `openssl s_server`, which shows the client certificate that it was given. */
class MutualTlsServer implements AsyncDisposable {
  readonly url: string;
  readonly #process: Deno.ChildProcess;

  private constructor(url: string, process: Deno.ChildProcess) {
    this.url = url;
    this.#process = process;
  }

  static async start(
    authority: FakeAuthority,
    { certFile, keyFile }: { readonly certFile: string; readonly keyFile: string },
  ): Promise<MutualTlsServer> {
    const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = free.addr;
    free.close();
    const process = new Deno.Command("openssl", {
      args: [
        ...["s_server", "-quiet", "-www", "-accept", `127.0.0.1:${port}`, "-Verify", "1"],
        ...["-CAfile", authority.caFile, "-cert", certFile, "-key", keyFile],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const server = new MutualTlsServer(`https://127.0.0.1:${port}`, process);
    const listens = async (): Promise<boolean> => {
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port })).close();
        return true;
      } catch {
        return false;
      }
    };
    try {
      await until("openssl s_server listens", listens);
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
  }
}

Deno.test("openApiServer() leaves out the kubeconfig's identity where one is explicit", async () => {
  await using authority = await FakeAuthority.create();
  const client = await authority.issue("client");
  await withFolder(async (folder) => {
    const kubeconfig = `${folder}/k`;
    const context = { cluster: "c", user: "u" };
    const user = { "client-certificate": client.certFile, "client-key": client.keyFile };
    await Deno.writeTextFile(
      kubeconfig,
      JSON.stringify({
        "current-context": "x",
        contexts: [{ name: "x", context }],
        clusters: [{ name: "c", cluster: { server: "https://a" } }],
        users: [{ name: "u", user }],
      }),
    );
    using before = await openApiServer({ environment: { kubeconfig }, userAgent });
    assert(before.identity.startsWith("client certificate"));
    using after = await openApiServer({ environment: { kubeconfig, token: "t" }, userAgent });
    assertEquals(after.identity, "token (K8S_TOKEN)");
  });
});
