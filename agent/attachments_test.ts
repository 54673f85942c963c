import { assertEquals, assertThrows } from "@std/assert";
import { decodeEndpoint } from "../lib/agent_api/endpoint.ts";
import { createLogger } from "../lib/base/log.ts";
import { attachmentKey, AttachmentStore } from "./attachments.ts";

const BODY = {
  namespace: "shop",
  pod: "web-0",
  uid: "0b7a5dfc-4a3e-4a0c-9a5e-2f6f4e1d7c11",
  interface: "cali0123456789a",
  addresses: ["10.244.0.5", "fd00::5"],
};

async function withStore(
  use: (folder: string, open: () => Promise<AttachmentStore>) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder, async () => {
      const store = new AttachmentStore(folder, createLogger({ write: () => {} }));
      await store.load();
      return store;
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map((it) => it.name);
}

Deno.test("AttachmentStore keeps attachments over a restart, readable by root alone", async () => {
  await withStore(async (folder, open) => {
    const attachment = decodeEndpoint({ containerId: "c1", ifname: "eth0" }, BODY);
    (await open()).put(attachment);
    const [name] = await namesIn(folder);
    const { mode } = await Deno.stat(`${folder}/${name}`);
    assertEquals((mode ?? 0) & 0o777, 0o600);
    const again = await open();
    const known = again.all.get(attachmentKey("c1", "eth0"));
    assertEquals({ ...known, addresses: known?.addresses.map(String) }, {
      ...{ containerId: "c1", ifname: "eth0", namespace: "shop", pod: "web-0", uid: BODY.uid },
      interfaceName: "cali0123456789a",
      addresses: ["10.244.0.5", "fd00::5"],
    });
    assertEquals([again.delete("c1/eth0"), again.delete("c1/eth0")], [true, false]);
    assertEquals((await open()).all.size, 0);
  });
});

Deno.test("AttachmentStore reads files of attachments without uid", async () => {
  await withStore(async (folder, open) => {
    const { uid: _, ...rest } = BODY;
    const body = { ...rest, containerId: "c1", ifname: "eth0" };
    await Deno.writeTextFile(`${folder}/c1_eth0.json`, JSON.stringify(body));
    const known = (await open()).all.get("c1/eth0");
    assertEquals([known?.pod, known?.uid], ["web-0", undefined]);
  });
});

Deno.test("AttachmentStore ignores files that are junk, and clears away what a kill left", async () => {
  await withStore(async (folder, open) => {
    await Deno.writeTextFile(`${folder}/a.json`, "{");
    await Deno.writeTextFile(`${folder}/b.json`, '{"containerId":"../x"}');
    await Deno.writeTextFile(`${folder}/c.json.1234`, "half");
    (await open()).put(decodeEndpoint({ containerId: "c1", ifname: "eth0" }, BODY));
    assertEquals((await open()).all.size, 1);
    assertEquals((await namesIn(folder)).includes("c.json.1234"), false);
  });
});

Deno.test("AttachmentStore.retain() forgets those whose interface is gone", async () => {
  await withStore(async (_, open) => {
    const store = await open();
    store.put(decodeEndpoint({ containerId: "c1", ifname: "eth0" }, BODY));
    store.put(
      decodeEndpoint({ containerId: "c2", ifname: "eth0" }, { ...BODY, interface: "cali1" }),
    );
    assertEquals(store.retain((it) => it.interfaceName === "cali1"), ["c1/eth0"]);
    assertEquals([...(await open()).all.keys()], ["c2/eth0"]);
  });
});

Deno.test("AttachmentStore is bounded", async () => {
  await withStore(async (_, open) => {
    const store = await open();
    for (let i = 0; i < 4096; i++) {
      store.put(decodeEndpoint({ containerId: `c${i}`, ifname: "eth0" }, BODY));
    }
    assertThrows(
      () => store.put(decodeEndpoint({ containerId: "one-more", ifname: "eth0" }, BODY)),
      RangeError,
    );
  });
});
