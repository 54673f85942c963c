import { assertEquals } from "@std/assert";
import { findAssets } from "./assets.ts";

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  await Deno.mkdir(`${folder}/project`);
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function write(path: string, text = "#!/bin/sh\n"): Promise<void> {
  await Deno.mkdir(path.replace(/[^/]*$/, ""), { recursive: true });
  await Deno.writeTextFile(path, text);
}

Deno.test("findAssets() looks in four places, in their order", async () => {
  await withFolder(async (folder) => {
    const root = `${folder}/project/`;
    const variable: Record<string, string> = { TEST_ASSET_KUBE_APISERVER: `${folder}/any/name` };
    const builder: Record<string, string> = { KUBEBUILDER_ASSETS: `${folder}/builder` };
    const path: Record<string, string> = { PATH: `${folder}/nothing:${folder}/path` };
    const find = async (env: Record<string, string>): Promise<string | undefined> =>
      (await findAssets(["kube-apiserver"], { env, root })).paths?.["kube-apiserver"];
    await write(`${folder}/path/kube-apiserver`);
    assertEquals(await find(path), `${folder}/path/kube-apiserver`);
    await write(`${folder}/neighbour/bin/kube-apiserver`);
    await Deno.chmod(`${folder}/neighbour/bin`, 0o777);
    assertEquals(
      await find(path),
      `${folder}/path/kube-apiserver`,
      "anybody may have put it there",
    );
    await Deno.chmod(`${folder}/neighbour/bin`, 0o755);
    assertEquals(await find(path), `${await Deno.realPath(folder)}/neighbour/bin/kube-apiserver`);
    await write(`${folder}/builder/kube-apiserver`);
    assertEquals(await find({ ...path, ...builder }), `${folder}/builder/kube-apiserver`);
    await write(`${folder}/any/name`);
    assertEquals(await find({ ...path, ...builder, ...variable }), `${folder}/any/name`);
  });
});

Deno.test("findAssets() unpacks once", async () => {
  await withFolder(async (folder) => {
    const root = `${folder}/project/`;
    const env = { XDG_CACHE_HOME: `${folder}/cache` };
    await write(`${folder}/neighbour/bin/etcd`, "program");
    const xz = new Deno.Command("xz", { args: [`${folder}/neighbour/bin/etcd`] });
    assertEquals((await xz.output()).success, true);
    const paths = await Promise.all(
      [1, 2].map(async () => (await findAssets(["etcd"], { env, root })).paths?.etcd ?? ""),
    );
    assertEquals(paths[0], paths[1]);
    const path = paths[0] ?? "";
    assertEquals(await Deno.readTextFile(path), "program");
    assertEquals(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o755);
    const names = await Array.fromAsync(Deno.readDir(path.replace(/[^/]*$/, "")), (it) => it.name);
    assertEquals(names, ["etcd"]);
  });
});

Deno.test("findAssets() says in one line what is missing", async () => {
  await withFolder(async (folder) => {
    const places = { root: `${folder}/project/` };
    assertEquals(await findAssets(["etcd"], { ...places, env: { PATH: folder } }), {
      missing: "no etcd on this machine: set TEST_ASSET_ETCD or KUBEBUILDER_ASSETS",
    });
    assertEquals(await findAssets(["etcd"], { ...places, env: { TEST_ASSET_ETCD: "/none" } }), {
      missing: 'etcd cannot be had: TEST_ASSET_ETCD names "/none", which is no file',
    });
  });
});
