/**
 * The first files of the machine, as the kernel unpacks them (an uncompressed cpio archive,
 * Documentation/driver-api/early-userspace/buffer-format.rst): busybox, init.sh, the modules that lead to
 * this machine's files, and what init.sh is to know.
 */

import { MissingError, run } from "./debian_kernel.ts";

/** Whose dependencies bring all that a machine needs to see its host's files. */
const MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/** What goes into an archive. */
export interface InitrdOptions {
  /** The folder of the kernel's modules. */
  readonly modules: string;
  readonly busybox: string;
  /** Files of /job, by name. */
  readonly job: Readonly<Record<string, string>>;
}

/**
 * Writes the archive into `folder`, which is empty.
 *
 * @returns its path
 */
export async function writeInitrd(folder: string, options: InitrdOptions): Promise<string> {
  const root = `${folder}/root`;
  for (const name of ["bin", "dev", "job", "modules", "proc", "sys"]) {
    await Deno.mkdir(`${root}/${name}`, { recursive: true });
  }
  await Deno.copyFile(options.busybox, `${root}/bin/busybox`);
  await Deno.copyFile(new URL("init.sh", import.meta.url), `${root}/init`);
  for (const path of ["bin/busybox", "init"]) await Deno.chmod(`${root}/${path}`, 0o755);
  const dependencies = await Deno.readTextFile(`${options.modules}/modules.dep`);
  const names: string[] = [];
  for (const path of loadOrder(dependencies, MODULES)) {
    const name = nameOf(path);
    await Deno.writeFile(`${root}/modules/${name}`, await unpack(`${options.modules}/${path}`));
    names.push(`${name}\n`);
  }
  const files = { ...options.job, modules: names.join("") };
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${root}/job/${name}`, text);
  }
  const archive = `${folder}/initrd`;
  await writeArchive(root, archive);
  return archive;
}

/**
 * The order in which `names` and what they need are loaded, each once, as paths. `dependencies` is
 * modules.dep(5); what is not in it is built into the kernel.
 */
export function loadOrder(dependencies: string, names: readonly string[]): readonly string[] {
  const needs = new Map(
    dependencies.split("\n").map((line) => {
      const [path = "", rest = ""] = line.split(":");
      return [nameOf(path), [path, ...rest.split(" ").filter((it) => it !== "")]] as const;
    }),
  );
  // What is needed first stands last.
  return [...new Set(names.flatMap((name) => (needs.get(`${name}.ko`) ?? []).toReversed()))];
}

/** `kernel/fs/9p/9p.ko.xz`: `9p.ko` */
function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1).replace(/\.ko\..*$/, ".ko");
}

async function unpack(path: string): Promise<Uint8Array> {
  const program = { xz: "xz", zst: "zstd", gz: "gzip" }[path.slice(path.lastIndexOf(".") + 1)];
  if (program === undefined) return await Deno.readFile(path);
  try {
    const args = ["-dc", path];
    const { success, stdout } = await new Deno.Command(program, { args, stdin: "null" }).output();
    if (success) return stdout;
  } catch {
    // Said below.
  }
  throw new MissingError(`${path} cannot be unpacked: apt-get install xz-utils zstd`);
}

async function writeArchive(root: string, path: string): Promise<void> {
  const names = await run("find", ["."], root);
  using file = await Deno.open(path, { write: true, create: true });
  const child = new Deno.Command("cpio", {
    args: ["-o", "-H", "newc", "--quiet"],
    cwd: root,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const written = new Blob([names]).stream().pipeTo(child.stdin);
  await child.stdout.pipeTo(file.writable);
  await written;
  if (!(await child.status).success) throw new MissingError("cpio failed, see above");
}
