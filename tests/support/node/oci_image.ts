/** A container image of one static program, as the archive that `ctr image import` reads. */

/**
 * Writes an image in which `program` is `/bin/<its name>`.
 *
 * @param folder where the archive is made; it must exist
 * @returns the archive's path
 */
export async function writeImage(
  folder: string,
  name: string,
  program: string,
  command: readonly string[],
): Promise<string> {
  const layout = await Deno.makeTempDir({ dir: folder });
  const root = `${layout}/root`;
  await Deno.mkdir(`${root}/bin`, { recursive: true });
  await Deno.copyFile(program, `${root}/bin/${program.split("/").at(-1)}`);
  await Deno.mkdir(`${layout}/blobs/sha256`, { recursive: true });
  const add = async (bytes: Uint8Array<ArrayBuffer>, mediaType: string): Promise<Descriptor> => {
    const hex = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    await Deno.writeFile(`${layout}/blobs/sha256/${hex}`, bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const addJson = (value: unknown, mediaType: string): Promise<Descriptor> =>
    add(new TextEncoder().encode(JSON.stringify(value)), mediaType);

  await tar(root, `${layout}/layer.tar`, ".");
  const layer = await add(
    await Deno.readFile(`${layout}/layer.tar`),
    "application/vnd.oci.image.layer.v1.tar",
  );
  const architecture = Deno.build.arch === "aarch64" ? "arm64" : "amd64";
  const config = await addJson({
    architecture,
    os: "linux",
    config: { Cmd: command, Env: ["PATH=/bin"] },
    rootfs: { type: "layers", diff_ids: [layer.digest] },
  }, "application/vnd.oci.image.config.v1+json");
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = await addJson(
    { schemaVersion: 2, mediaType, config, layers: [layer] },
    mediaType,
  );
  const annotations = {
    "org.opencontainers.image.ref.name": name,
    "io.containerd.image.name": name,
  };
  await Deno.writeTextFile(
    `${layout}/index.json`,
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  );
  await Deno.writeTextFile(`${layout}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}');
  const archive = `${layout}.tar`;
  await tar(layout, archive, "blobs", "index.json", "oci-layout");
  await Deno.remove(layout, { recursive: true });
  return archive;
}

/** What refers to a blob. */
interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

async function tar(folder: string, archive: string, ...names: readonly string[]): Promise<void> {
  const args = ["-C", folder, "-cf", archive, ...names];
  const { success, stderr } = await new Deno.Command("tar", { args }).output();
  if (!success) throw new Error(`tar: ${new TextDecoder().decode(stderr)}`);
}
