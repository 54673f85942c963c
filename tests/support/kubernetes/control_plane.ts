/**
 * A real etcd and kube-apiserver for tests, on free ports of loopback, with everything they write in
 * a directory of their own: TLS, RBAC, bearer tokens. No controller, scheduler or kubelet runs:
 * tests create pods and write their status, and namespaces that are deleted stay terminating.
 *
 * It works as an ordinary user, and in a network namespace that has nothing but `lo`.
 */

import { findAssets } from "../program/assets.ts";
import { type Certificates, makeCertificates } from "./certificates.ts";
import { DEFAULT_USER, grantRoles, readRoles } from "./roles.ts";
import { startServer, type TestServer } from "../program/test_server.ts";

/** How to start the control plane. */
export interface ControlPlaneOptions {
  /** YAML with the service user's roles. @default {deploy/rbac.yaml, else deploy/calyx.yaml} */
  readonly manifest?: string;
  /** Further flags of kube-apiserver. */
  readonly flags?: readonly string[];
}

/** A running control plane. */
export interface ControlPlane extends AsyncDisposable {
  /** `https://127.0.0.1:34567` */
  readonly url: string;
  /** `v1.20.2` */
  readonly version: string;
  /** Holds logs, keys and data; gone after {@link ControlPlane.close}. */
  readonly directory: string;
  readonly certificates: Certificates;
  /** The CA as PEM text. */
  readonly ca: string;
  /** May do everything. */
  readonly adminToken: string;
  /** May do what the manifest's roles allow its service account. */
  readonly serviceToken: string;
  /** `system:serviceaccount:kube-system:calyx-agent` */
  readonly serviceUser: string;
  /** A request as administrator; `init` as for the global fetch. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** Writes a kubeconfig for a token into the directory and returns its path. */
  writeKubeconfig(token?: string): Promise<string>;
  /** Compacts etcd: versions before now are too old, for pages and uncached watches. */
  compact(): Promise<void>;
  /** Stops kube-apiserver alone; etcd and the port stay. */
  stopServer(): Promise<void>;
  /** Starts it again. */
  restartServer(): Promise<void>;
  /**
   * Stops everything and removes the directory.
   *
   * @throws {Error} if a server had ended by itself; the directory stays
   */
  close(): Promise<void>;
}

const ADMIN_TOKEN = "admin-token";
const SERVICE_TOKEN = "service-token";

/**
 * Starts etcd and kube-apiserver and waits until they are ready.
 *
 * @returns the control plane, or in one line what this machine lacks
 * @throws {Error} if they do not start; the message names the directory with the logs, which stays
 */
export async function startControlPlane(
  options: ControlPlaneOptions = {},
): Promise<ControlPlane | { readonly missing: string }> {
  const { paths, missing } = await findAssets(["etcd", "kube-apiserver"]);
  if (paths === undefined) return { missing };
  const directory = await Deno.makeTempDir({ prefix: "calyx-control-plane-" });
  const servers: TestServer[] = [];
  try {
    return await start(paths, directory, servers, options);
  } catch (cause) {
    for (const server of servers.reverse()) await server.stop().catch(() => {});
    throw new Error(`The control plane did not start; its logs are in ${directory}`, { cause });
  }
}

async function start(
  paths: Readonly<Record<"etcd" | "kube-apiserver", string>>,
  directory: string,
  servers: TestServer[],
  options: ControlPlaneOptions,
): Promise<ControlPlane> {
  const [certificates, version, roles] = await Promise.all([
    makeCertificates(directory),
    askVersion(paths["kube-apiserver"]),
    readRoles(options.manifest),
  ]);
  const serviceUser = roles?.user ?? DEFAULT_USER;
  await writeSecrets(directory, serviceUser);
  const [etcdPort, peerPort, port] = freePorts(3);
  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const etcd = startServer("etcd", directory, [paths.etcd, ...etcdFlags(etcdUrl, peerPort)]);
  servers.push(etcd);
  await etcd.waitUntil(async () => (await fetch(`${etcdUrl}/health`)).ok);

  const ca = await Deno.readTextFile(certificates.caFile);
  const url = `https://127.0.0.1:${port}`;
  const command = [
    paths["kube-apiserver"],
    ...apiServerFlags(etcdUrl, port, version),
    ...options.flags ?? [],
  ];
  const client = Deno.createHttpClient({ caCerts: [ca] });
  const ask = (path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    if (!headers.has("authorization")) headers.set("authorization", `Bearer ${ADMIN_TOKEN}`);
    return fetch(url + path, { ...init, headers, client });
  };
  const launch = async (): Promise<TestServer> => {
    const server = startServer("kube-apiserver", directory, command);
    servers.push(server);
    await server.waitUntil(() => isReady(ask));
    return server;
  };
  let server: TestServer | undefined = await launch();
  if (roles !== undefined) await grantRoles(ask, roles);
  const close = async (): Promise<void> => {
    client.close();
    try {
      await server?.stop();
    } finally {
      await etcd.stop();
    }
    await Deno.remove(directory, { recursive: true });
  };
  return {
    url,
    version,
    directory,
    certificates,
    ca,
    adminToken: ADMIN_TOKEN,
    serviceToken: SERVICE_TOKEN,
    serviceUser,
    fetch: ask,
    writeKubeconfig: (token = ADMIN_TOKEN) =>
      writeKubeconfig(directory, url, certificates.caFile, token),
    compact: () => compact(etcdUrl),
    stopServer: async () => {
      await server?.stop();
      server = undefined;
    },
    restartServer: async () => {
      server ??= await launch();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function etcdFlags(url: string, peerPort: number): string[] {
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  return [
    "--name=test",
    "--data-dir=etcd",
    "--unsafe-no-fsync",
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=test=${peerUrl}`,
  ];
}

function apiServerFlags(etcdUrl: string, port: number, version: string): string[] {
  const minor = Number(/^v1\.(\d+)/.exec(version)?.[1] ?? NaN);
  return [
    `--etcd-servers=${etcdUrl}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${port}`,
    // No client reaches the server through a service; a server on loopback cannot publish itself.
    "--advertise-address=127.0.0.1",
    "--endpoint-reconciler-type=none",
    "--service-cluster-ip-range=10.101.0.0/16",
    "--tls-cert-file=server.crt",
    "--tls-private-key-file=server.key",
    "--client-ca-file=ca.crt",
    "--token-auth-file=tokens.csv",
    "--anonymous-auth=false",
    "--authorization-mode=RBAC",
    "--service-account-key-file=service-account.key",
    "--service-account-signing-key-file=service-account.key",
    "--service-account-issuer=https://kubernetes.default.svc",
    // No controller makes the service accounts that pods would be refused for.
    "--disable-admission-plugins=ServiceAccount",
    // Pods and nodes of both families were behind a gate until 1.21.
    ...(minor < 21 ? ["--feature-gates=IPv6DualStack=true"] : []),
  ];
}

async function writeSecrets(directory: string, serviceUser: string): Promise<void> {
  const tokens = [
    `${ADMIN_TOKEN},calyx-admin,1,"system:masters"`,
    `${SERVICE_TOKEN},${serviceUser},2,"system:serviceaccounts"`,
  ];
  await Deno.writeTextFile(`${directory}/tokens.csv`, tokens.join("\n") + "\n", { mode: 0o600 });
  await run("openssl", [
    ..."ecparam -name prime256v1 -genkey -noout -out".split(" "),
    `${directory}/service-account.key`,
  ]);
}

async function askVersion(path: string): Promise<string> {
  const said = await run(path, ["--version"]);
  return /v\d+\.\d+\.\d+\S*/.exec(said)?.[0] ?? "unknown";
}

async function run(command: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  if (!success) throw new Error(`${command} failed: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

async function isReady(ask: ControlPlane["fetch"]): Promise<boolean> {
  const response = await ask("/readyz");
  await response.body?.cancel();
  if (!response.ok) return false;
  // Made after the server is ready; what tests create needs it.
  const namespace = await ask("/api/v1/namespaces/default");
  await namespace.body?.cancel();
  return namespace.ok;
}

/** `revision` of etcd's answers and requests is a number in text, as its JSON gateway has it. */
async function compact(etcdUrl: string): Promise<void> {
  const post = async (path: string, body: unknown): Promise<{ header?: { revision?: string } }> => {
    const request = { method: "POST", body: JSON.stringify(body) };
    const response = await fetch(`${etcdUrl}/v3/kv/${path}`, request);
    const text = await response.text();
    if (!response.ok) throw new Error(`etcd refused ${path}: ${text}`);
    return JSON.parse(text);
  };
  const { header } = await post("range", { key: btoa("/calyx-no-such-key") });
  await post("compaction", { revision: header?.revision ?? "0", physical: true });
}

async function writeKubeconfig(
  directory: string,
  server: string,
  caFile: string,
  token: string,
): Promise<string> {
  const path = await Deno.makeTempFile({ dir: directory, suffix: ".kubeconfig" });
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server, "certificate-authority": caFile } }],
    users: [{ name: "test", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    "current-context": "test",
  };
  await Deno.writeTextFile(path, JSON.stringify(config));
  return path;
}

function freePorts(count: number): [number, number, number] {
  const listeners = Array.from(
    { length: count },
    () => Deno.listen({ hostname: "127.0.0.1", port: 0 }),
  );
  const [a = 0, b = 0, c = 0] = listeners.map((it) => it.addr.port);
  for (const listener of listeners) listener.close();
  return [a, b, c];
}
