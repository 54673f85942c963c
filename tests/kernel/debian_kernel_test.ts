import { assertEquals } from "@std/assert";
import { newestPackage } from "./debian_kernel.ts";

Deno.test("newestPackage() finds Debian's newest kernel of a version", () => {
  const names = [
    ...["linux-image-6.1.0-9-amd64", "linux-image-6.1.0-57-amd64", "linux-image-6.1.0-58-rt-amd64"],
    ...["linux-image-6.1.0-58-cloud-amd64", "linux-image-6.1.0-58-amd64-unsigned"],
    ...["linux-image-6.12-amd64", "linux-image-6.12.9+bpo-amd64"],
    ...["linux-image-6.12.100+deb12-amd64", "linux-image-6.12.48+deb13.1-amd64"],
    ...["linux-image-6.12.101+deb12-cloud-amd64", "linux-image-amd64"],
  ];
  assertEquals(newestPackage("6.1", names), "linux-image-6.1.0-57-amd64");
  assertEquals(newestPackage("6.12", names), "linux-image-6.12.100+deb12-amd64");
  assertEquals(newestPackage("6.13", names), undefined);
});
