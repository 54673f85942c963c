/**
 * containerd with a root, a state folder, a socket and a CNI configuration of its own, driven through
 * the Kubernetes Container Runtime Interface (CRI v1, gRPC) as the kubelet drives it: sandboxes of pods
 * come and go, and containerd calls the plugin. Everything goes when it is disposed of.
 *
 * It runs in mount namespaces of its own: with a /proc of the process namespace that it is in, and a
 * /var/lib of its own, where its CNI library keeps results.
 */

import { DIST } from "../program/executable.ts";
import { writeImage } from "./oci_image.ts";
import { findProgram, missingProgram } from "../program/program.ts";
import {
  type Decoded,
  decodeMessage,
  encodeMessage,
  type Message,
  messagesOf,
  textOf,
} from "./protobuf.ts";
import { until } from "../until.ts";

const IMAGE = "localhost/calyx-test/pause:1";
/** Under which the sandboxes' control groups lie, in every hierarchy. */
const CGROUP = "/calyx-test";
const CGROUPS = "/sys/fs/cgroup";

/** Why containerd cannot run here; `undefined` if it can. */
export function containerdProblem(): string | undefined {
  const missing = missingProgram(["containerd", "ctr", "runc", "busybox", "portmap"]);
  if (missing !== undefined) return missing;
  if (!/^\s*0\s+0\s+4294967295\s*$/.test(Deno.readTextFileSync("/proc/self/uid_map"))) {
    return "containerd needs root outside of user namespaces";
  }
  return mayMakeCgroups() ? undefined : "containerd may make no cgroups here";
}

/** Tries it: in the unified hierarchy, or in one of the several older ones. */
function mayMakeCgroups(): boolean {
  const path = CGROUPS + (isUnified() ? "" : "/pids") + `${CGROUP}-try`;
  try {
    Deno.mkdirSync(path);
    Deno.removeSync(path);
    return true;
  } catch {
    return false;
  }
}

function isUnified(): boolean {
  try {
    return Deno.statSync(`${CGROUPS}/cgroup.controllers`).isFile;
  } catch {
    return false;
  }
}

/** Removes what is left when all sandboxes are gone: the empty group above theirs, and theirs. */
async function removeCgroups(): Promise<void> {
  const parents = [CGROUPS];
  for await (const { name } of Deno.readDir(CGROUPS)) parents.push(`${CGROUPS}/${name}`);
  for (const parent of parents) await removeGroup(parent + CGROUP).catch(() => {});
}

/** Removes a group and those below it; the files in it go by themselves. */
async function removeGroup(path: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    if (isDirectory) await removeGroup(`${path}/${name}`);
  }
  await Deno.remove(path);
}

/** A pod's sandbox. */
export interface PodSandbox {
  readonly id: string;
  /** Of its one process. */
  readonly pid: number;
  readonly addresses: readonly string[];
}

/** A running containerd, and the calls of the kubelet to it. */
export class Containerd implements AsyncDisposable {
  readonly #folder: string;
  #child: Deno.ChildProcess;
  #client: Deno.HttpClient;
  #log: Promise<string>;

  private constructor(folder: string) {
    this.#folder = folder;
    [this.#child, this.#client] = launch(folder);
    this.#log = new Response(this.#child.stderr).text();
  }

  /**
   * Starts it and waits until it answers.
   *
   * @param network the list of plugins that its pods get
   */
  static async start(network: unknown): Promise<Containerd> {
    const folder = await Deno.makeTempDir({ dir: "/run", prefix: "containerd-" });
    await prepare(folder, network);
    const containerd = new Containerd(folder);
    try {
      await containerd.#ready();
      await containerd.#import();
    } catch (error) {
      await containerd[Symbol.asyncDispose]();
      throw new Error(`containerd does not start: ${error}\n${await containerd.#log}`);
    }
    return containerd;
  }

  /**
   * Ends everything at once, as a machine does that loses its power, and starts again: what was in
   * memory is gone, what was on disk is there, and no sandbox runs.
   */
  async reboot(sandboxes: readonly PodSandbox[]): Promise<void> {
    this.#client.close();
    // Each sandbox' process has a supervisor, which would clean up if it lived.
    const supervisors = await findProcesses(`${this.#folder}/containerd.sock`);
    for (const pid of [this.#child.pid, ...supervisors, ...sandboxes.map((it) => it.pid)]) {
      endProcess(pid);
    }
    await this.#child.status;
    await this.#log;
    await Deno.remove(`${this.#folder}/state`, { recursive: true });
    [this.#child, this.#client] = launch(this.#folder);
    this.#log = new Response(this.#child.stderr).text();
    await this.#ready();
  }

  /** The sandboxes of which its CNI library keeps a result in the network of this name, by id. */
  cachedIds(network: string): string[] {
    const names = [...Deno.readDirSync(`${this.#folder}/lib/cni/results`)].map((it) => it.name);
    return names.filter((it) => it.startsWith(`${network}-`)).map((it) => it.split("-")[1] ?? "")
      .sort();
  }

  /** Runs a pod's sandbox, with the network that the plugin gives it. */
  async runPod(name: string, uid: string = crypto.randomUUID()): Promise<PodSandbox> {
    const metadata = { 1: name, 2: uid, 3: "default", 4: 0 };
    const answer = await this.#call("RunPodSandbox", {
      1: { 1: metadata, 2: name, 8: { 1: CGROUP } },
    });
    return await this.#status(textOf(answer, 1));
  }

  /** Has the pod's network taken away, its process killed: as often as one likes. */
  async stopPod({ id }: PodSandbox): Promise<void> {
    await until(`sandbox ${id} stops`, async () => {
      try {
        await this.#call("StopPodSandbox", { 1: id });
        return true;
      } catch (error) {
        // The process was killed, and its supervisor ends just now: the kubelet asks again.
        if (error instanceof Error && error.message.endsWith("ttrpc: closed: unknown")) {
          return false;
        }
        throw error;
      }
    });
  }

  /** Has a stopped pod forgotten. */
  async removePod({ id }: PodSandbox): Promise<void> {
    await this.#call("RemovePodSandbox", { 1: id });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const list = await this.#call("ListPodSandbox", {}).catch(() => undefined);
    const ids = list === undefined ? [] : messagesOf(list, 1).map((it) => textOf(it, 1));
    await Promise.all(ids.map(async (id) => {
      await this.#call("StopPodSandbox", { 1: id }).catch(() => {});
      await this.#call("RemovePodSandbox", { 1: id }).catch(() => {});
    }));
    this.#client.close();
    this.#child.kill("SIGTERM");
    await this.#child.status;
    await this.#log;
    await Deno.remove(this.#folder, { recursive: true });
    await removeCgroups();
  }

  async #ready(): Promise<void> {
    let reason: unknown;
    const answers = async (): Promise<boolean> => {
      try {
        await this.#call("Version", {});
        return true;
      } catch (error) {
        reason = error;
        return false;
      }
    };
    await until("containerd answers", answers, () => String(reason));
  }

  async #import(): Promise<void> {
    const program = findProgram("busybox") ?? "";
    const archive = await writeImage(this.#folder, IMAGE, program, ["/bin/busybox", "sleep", "1d"]);
    const { success, stderr } = await new Deno.Command("ctr", {
      args: ["-a", `${this.#folder}/containerd.sock`, "-n", "k8s.io", "image", "import", archive],
    }).output();
    if (!success) throw new Error(`ctr image import: ${new TextDecoder().decode(stderr)}`);
  }

  async #status(id: string): Promise<PodSandbox> {
    const answer = await this.#call("PodSandboxStatus", { 1: id, 2: 1 });
    const [status] = messagesOf(answer, 1);
    const [network] = status === undefined ? [] : messagesOf(status, 5);
    const info = messagesOf(answer, 2).find((it) => textOf(it, 1) === "info");
    const { pid }: { pid: number } = JSON.parse(info === undefined ? "{}" : textOf(info, 2));
    const addresses = network === undefined
      ? []
      : [textOf(network, 1), ...messagesOf(network, 2).map((it) => textOf(it, 1))];
    return { id, pid, addresses };
  }

  /**
   * Calls a method of `runtime.v1.RuntimeService`.
   *
   * @throws {Error} with what containerd says
   */
  async #call(method: string, message: Message): Promise<Decoded> {
    const body = encodeMessage(message);
    // Length-Prefixed-Message of gRPC over HTTP/2: not compressed, 32 bits of length.
    const framed = new Uint8Array(5 + body.length);
    new DataView(framed.buffer).setUint32(1, body.length);
    framed.set(body, 5);
    const response = await fetch(`http://containerd/runtime.v1.RuntimeService/${method}`, {
      client: this.#client,
      method: "POST",
      headers: { "content-type": "application/grpc", te: "trailers" },
      body: framed,
    });
    const bytes = await response.bytes();
    // With an error there is no message, and the status comes at once.
    const reason = response.headers.get("grpc-message");
    if (bytes.length < 5) throw new Error(`${method}: ${reason ?? "no answer"}`);
    return decodeMessage(bytes.subarray(5));
  }
}

/** Starts containerd with what prepare() laid ready, and a client for it. */
function launch(folder: string): [Deno.ChildProcess, Deno.HttpClient] {
  const child = new Deno.Command("unshare", {
    args: [
      ...["--mount", "--propagation", "private", "--", "sh", "-c"],
      'mount -t proc proc /proc && mount --bind "$2" /var/lib && exec "$0" --config "$1"',
      findProgram("containerd") ?? "containerd",
      `${folder}/config.toml`,
      `${folder}/lib`,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const client = Deno.createHttpClient({
    http1: false,
    http2: true,
    proxy: { transport: "unix", path: `${folder}/containerd.sock` },
  });
  return [child, client];
}

/** Process ids of those that have `word` on their command line, as this process namespace has them. */
async function findProcesses(word: string): Promise<number[]> {
  const script = 'mount -t proc proc /proc && grep -lsF -- "$0" /proc/[0-9]*/cmdline';
  const { stdout } = await new Deno.Command("unshare", {
    args: ["--mount", "--propagation", "private", "--", "sh", "-c", script, word],
  }).output();
  return [...new TextDecoder().decode(stdout).matchAll(/^\/proc\/(\d+)\//gm)].map((it) =>
    Number(it[1])
  );
}

function endProcess(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // it has ended
  }
}

async function prepare(folder: string, network: unknown): Promise<void> {
  for (const name of ["bin", "lib", "net.d"]) await Deno.mkdir(`${folder}/${name}`);
  const plugins = (findProgram("portmap") ?? "").replace(/\/portmap$/, "");
  await Deno.symlink(`${plugins}/loopback`, `${folder}/bin/loopback`); // containerd calls it itself
  await Deno.symlink(await Deno.realPath(`${DIST}/calyx`), `${folder}/bin/calyx`);
  await Deno.writeTextFile(`${folder}/net.d/10-calyx.conflist`, JSON.stringify(network));
  await Deno.writeTextFile(
    `${folder}/config.toml`,
    `version = 2
root = "${folder}/root"
state = "${folder}/state"
[grpc]
  address = "${folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${folder}/bin"
    conf_dir = "${folder}/net.d"
`,
  );
}
