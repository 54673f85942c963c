/** Versions of the CNI specification: VERSION, and every other command in each of them. */

import { assert, assertEquals } from "@std/assert";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { addressesOf } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import {
  assertNothingLeft,
  CHECK_VERSIONS,
  forEachVersion,
  NO_CONTAINER,
  VERSIONS,
} from "../../support/plugin/specification.ts";
import { DIST } from "../../support/program/executable.ts";
import { PATIENCE_MS } from "../../support/until.ts";

Deno.test("calyx VERSION answers without its stdin, and in the caller's version with it", async () => {
  using network = new CniNetwork();
  const stdins = [["", "1.1.0"], ["what", "1.1.0"], [`{"cniVersion":"9.9.9"}`, "1.1.0"]]
    .concat(VERSIONS.map((it) => [JSON.stringify({ cniVersion: it }), it]));
  for (const [stdin = "", cniVersion] of stdins) {
    const outcome = await network.call("VERSION", NO_CONTAINER, { stdin });
    assertEquals([outcome.code, outcome.stderr], [0, ""], stdin);
    assertEquals(outcome.answer, { cniVersion, supportedVersions: [...VERSIONS] }, stdin);
  }
  const { stdout: text } = await network.call("VERSION", NO_CONTAINER, { stdin: "" });
  const list = VERSIONS.map((it) => JSON.stringify(it)).join();
  const compact = text.replaceAll(/\s/g, "");
  assertEquals(compact, `{"cniVersion":"1.1.0","supportedVersions":[${list}]}`);
  // A pipe that its writer leaves open and empty.
  const child = new Deno.Command(`${DIST}/calyx`, {
    env: { CNI_COMMAND: "VERSION" },
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const late = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  const { success, stdout } = await child.output();
  clearTimeout(late);
  await child.stdin.close().catch(() => {});
  assert(success, "VERSION waited for stdin");
  const { supportedVersions } = JSON.parse(new TextDecoder().decode(stdout));
  assertEquals(supportedVersions, [...VERSIONS]);
});

Deno.test("calyx answers in the version of the configuration, and prints nothing else", async () => {
  requireIsolation();
  using network = new CniNetwork({ log_level: "debug" });
  await forEachVersion(VERSIONS, async (cniVersion) => {
    using container = new TestContainer(`c19-${cniVersion}`);
    const fields = { cniVersion };
    const added = await network.call("ADD", container, { fields });
    assertEquals(added.answer.cniVersion, cniVersion);
    assertEquals(added.stdout, JSON.stringify(added.answer, undefined, 4) + "\n");
    if (CHECK_VERSIONS.includes(cniVersion)) {
      const prevResult = added.answer;
      const checked = await network.call("CHECK", container, { fields: { ...fields, prevResult } });
      assertEquals([checked.code, checked.stdout], [0, ""]);
    }
    const deleted = await network.call("DEL", container, { fields });
    assertEquals([deleted.code, deleted.stdout], [0, ""]);
    const failed = await network.call("ADD", NO_CONTAINER, { fields });
    assertEquals(failed.answer.cniVersion, cniVersion);
  });
  using container = new TestContainer("c19");
  const unsaid = await network.add(container, { fields: { cniVersion: undefined } });
  assertEquals([unsaid.cniVersion, addressesOf(unsaid).length], ["0.1.0", 2]);
  await network.call("DEL", container);
  assertNothingLeft(network);
});
