import { assertEquals } from "@std/assert";
import { loadOrder } from "./initrd.ts";

Deno.test("loadOrder() loads what is needed first, each module once", () => {
  const dependencies = [
    "kernel/fs/netfs/netfs.ko.xz:",
    "kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.xz",
    "kernel/net/9p/9pnet_virtio.ko.xz: kernel/drivers/virtio/virtio.ko.xz kernel/net/9p/9pnet.ko.xz",
    "kernel/fs/overlayfs/overlay.ko:",
    "",
  ].join("\n");
  // virtio_pci is built in: there is nothing to load.
  assertEquals(loadOrder(dependencies, ["virtio_pci", "9pnet_virtio", "9p", "overlay"]), [
    "kernel/net/9p/9pnet.ko.xz",
    "kernel/drivers/virtio/virtio.ko.xz",
    "kernel/net/9p/9pnet_virtio.ko.xz",
    "kernel/fs/netfs/netfs.ko.xz",
    "kernel/fs/9p/9p.ko.xz",
    "kernel/fs/overlayfs/overlay.ko",
  ]);
});
