/** Delegation to a plugin, here a script that notes what it is given. */

import { assertEquals, assertRejects } from "@std/assert";
import { createLogger } from "../../lib/base/log.ts";
import type { Call } from "../call.ts";
import { parseConfiguration } from "../protocol/configuration.ts";
import { CniError } from "../protocol/error.ts";
import { DelegatedIpam } from "./delegate.ts";

/** A plugin in a folder of its own. */
class Script implements Disposable {
  readonly folder = Deno.makeTempDirSync();

  constructor(body: string) {
    const note = `cat > ${this.folder}/stdin; echo $CNI_COMMAND >> ${this.folder}/calls`;
    Deno.writeTextFileSync(`${this.folder}/fake-ipam`, `#!/bin/sh\n${note}\n${body}\n`, {
      mode: 0o755,
    });
  }

  get calls(): string[] {
    return this.read("calls").trim().split("\n");
  }

  read(name: string): string {
    return Deno.readTextFileSync(`${this.folder}/${name}`);
  }

  call(): Call {
    const stdin = `{"cniVersion":"1.0.0","name":"net1","ipam":{"type":"fake-ipam"}}`;
    return {
      environment: {
        command: "ADD",
        containerId: "c1",
        netns: "",
        ifname: "eth0",
        args: "",
        path: ["/nonexistent", this.folder],
        allowOwnNamespace: false,
        trace: undefined,
      },
      configuration: parseConfiguration(stdin),
      stdin,
      log: createLogger({ write: () => {} }),
    };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.folder, { recursive: true });
  }
}

Deno.test("DelegatedIpam hands on the whole configuration, and reads the result", async () => {
  using script = new Script(
    `echo '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.9.0.5/24"}],"dns":{}}'`,
  );
  const call = script.call();
  const lease = await new DelegatedIpam("fake-ipam").allocate(call);
  assertEquals(lease.result.ips.map((it) => `${it.address}`), ["10.9.0.5/24"]);
  assertEquals(script.read("stdin"), call.stdin);
  await lease.release();
  assertEquals(script.calls, ["ADD", "DEL"]);
});

Deno.test("DelegatedIpam passes an error on as it is, after a DEL", async () => {
  using script = new Script(`echo '{"code":11,"msg":"later","details":"full"}'; exit 1`);
  const error = await assertRejects(
    () => new DelegatedIpam("fake-ipam").allocate(script.call()),
    CniError,
  );
  assertEquals([error.code, error.message, error.details], [11, "later", "full"]);
  assertEquals(script.calls, ["ADD", "DEL"]);
});

Deno.test("DelegatedIpam gives nothing away when the plugin talks nonsense or gives no address", async () => {
  for (const body of ["echo hello", "echo '{}'", "exit 3"]) {
    using script = new Script(body);
    const ipam = new DelegatedIpam("fake-ipam");
    await assertRejects(() => ipam.allocate(script.call()), CniError);
    assertEquals(script.calls, ["ADD", "DEL"]);
  }
});

Deno.test("DelegatedIpam says what does not start", async () => {
  using script = new Script("");
  const path = `${script.folder}/fake-ipam`;
  const spoils: readonly (() => void)[] = [
    () => Deno.writeTextFileSync(path, "#!/nonexistent/interpreter\n"),
    () => Deno.writeFileSync(path, Uint8Array.of(1, 2, 3)),
    () => Deno.chmodSync(path, 0o644),
  ];
  for (const spoil of spoils) {
    spoil();
    for (const call of ["allocate", "release"] as const) {
      const error = await assertRejects(
        () => new DelegatedIpam("fake-ipam")[call](script.call()),
        CniError,
        `IPAM plugin ${path} does not start: `,
      );
      assertEquals(error.code, 7);
    }
  }
});

Deno.test("DelegatedIpam says where it looked", async () => {
  using script = new Script("");
  const error = await assertRejects(
    () => new DelegatedIpam("other-ipam").release(script.call()),
    CniError,
    script.folder,
  );
  assertEquals(error.code, 7);
});
