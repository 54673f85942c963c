/** What the compiled agent says of itself: to the journal, to the service manager, and in its log. */

import { assertEquals, assertMatch } from "@std/assert";
import { AF_UNIX, encodeUnixAddress } from "../../../lib/kernel/unix_address.ts";
import { check } from "../../../lib/kernel/errno.ts";
import { libc } from "../../../lib/kernel/symbols.ts";
import { DIST, runProgram } from "../../support/program/executable.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { TestNode } from "../../support/node/node.ts";
import { until } from "../../support/until.ts";

const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;

/** Stands for the service manager: takes what is sent to NOTIFY_SOCKET. */
class ServiceManager implements Disposable {
  readonly #fd: number;

  constructor(path: string) {
    this.#fd = check("open unix socket", libc().socket(AF_UNIX, SOCK_DGRAM, 0));
    const address = encodeUnixAddress(path);
    check(`bind "${path}"`, libc().bind(this.#fd, address, address.length));
  }

  /** The next message that came; `undefined`: none has. */
  take(): string | undefined {
    const buffer = new Uint8Array(4096);
    const length = libc().recv(this.#fd, buffer, BigInt(buffer.length), MSG_DONTWAIT);
    return length < 0 ? undefined : new TextDecoder().decode(buffer.subarray(0, length));
  }

  [Symbol.dispose](): void {
    libc().close(this.#fd);
  }
}

Deno.test("calyx-agent tells the service manager its state, and the log whose policy changed", async () => {
  requireIsolation();
  const folder = await Deno.makeTempDir();
  try {
    using manager = new ServiceManager(`${folder}/notify`);
    await using node = await TestNode.start({ agent: false });
    await node.startAgent({ NOTIFY_SOCKET: `${folder}/notify`, CALYX_LOG_LEVL: "debug" });
    await node.addPod("server");
    await node.createPolicy("only", { podSelector: { matchLabels: { app: "server" } } });
    const told: string[] = [];
    await until(
      "the state is told",
      () => {
        for (let it = manager.take(); it !== undefined; it = manager.take()) told.push(it);
        return told.some((it) =>
          /^STATUS=Policy is in force: 1 pod, 1 direction of a policy/.test(it)
        );
      },
      () => `${told.join("\n")}\n${node.agent.log}`,
    );
    assertEquals(told.includes("READY=1"), true, told.join());
    // The log comes by another pipe; and on a busy machine one transaction has more than one reason.
    for (
      const line of [
        /"ruleset applied".*"because":\[[^\]]*"NetworkPolicy [a-z]+\/only"/,
        /"variable":"CALYX_LOG_LEVL","didYouMean":"CALYX_LOG_LEVEL"/,
      ]
    ) {
      await node.agent.until(`${line} is logged`, () => line.test(node.agent.log));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const JOURNALS: readonly [string, string, RegExp][] = [
  [
    "the journal, of a setting",
    "--mtu 5",
    /^<3>calyx-agent: --mtu: MTU must be 0 or at least 1280/,
  ],
  [
    "the journal, of an API server",
    "--node-name n1",
    /^<4>\{.*CALYX_MTUU.*\n(?:<6>\{.*\n)*<3>\{.*no url/,
  ],
];
for (const [what, flags, expected] of JOURNALS) {
  Deno.test(`calyx-agent says to ${what} how severe it is`, async () => {
    const run = async (stream: string): Promise<string> => {
      const script = `JOURNAL_STREAM=${stream} exec "$0" ${flags}`;
      const { code, stderr } = await runProgram("/bin/bash", {
        args: ["-c", script, `${DIST}/calyx-agent`],
        env: { K8S_API_ENDPOINT: "no url", CALYX_MTUU: "1400" },
      });
      assertEquals(code, 1, stderr);
      return stderr;
    };
    assertMatch(await run("$(stat -Lc %d:%i /proc/self/fd/2)"), expected);
    assertEquals((await run("1:1")).startsWith("<"), false);
  });
}
