import { assert, assertEquals, assertRejects } from "@std/assert";
import { FakeAuthority } from "../../tests/support/kubernetes/fake_authority.ts";
import { isOnCommandLine } from "../../tests/support/program/processes.ts";
import { turns, until } from "../../tests/support/until.ts";
import type { Clock } from "../base/clock.ts";
import { CredentialsError } from "./error.ts";
import { Entry } from "./kubeconfig_merge.ts";
import type { Identity } from "./login.ts";
import { authProviderLogin, execLogin } from "./plugin.ts";

const NAME = 'user "u" of kubeconfig "/k"';
const HOUR_MS = 3_600_000;

/** A clock that the test sets by hand; `wake` ends the sleep of its caller. */
class StandingClock implements Clock {
  atMs = Date.now();
  wake: (() => void) | undefined;

  nowMs(): number {
    return this.atMs;
  }

  sleep(_durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.wake = resolve;
      signal?.addEventListener("abort", () => reject(signal.reason));
    });
  }
}

/** Writes a shell script that counts its runs, and gives its path and the count. */
async function withScript(
  body: string,
  f: (folder: string, runs: () => Promise<number>) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const script = `#!/bin/sh\necho run >> "${folder}/runs"\n${body}\n`;
    await Deno.writeTextFile(`${folder}/plugin`, script, { mode: 0o755 });
    await f(folder, async () => {
      const lines = await Deno.readTextFile(`${folder}/runs`).catch(() => "");
      return lines.split("\n").length - 1;
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function entryOf(folder: string, exec: object): Entry {
  const apiVersion = "client.authentication.k8s.io/v1";
  return new Entry(NAME, { exec: { apiVersion, ...exec } }, folder);
}

const CLUSTER = new Entry('cluster "c" of kubeconfig "/k"', { server: "https://a" }, "");

function tokenOf(identity: Identity): string | undefined {
  return identity.authorization?.reveal();
}

/** A line of shell that prints an ExecCredential. */
function print(status: object): string {
  return `echo '${JSON.stringify({ kind: "ExecCredential", status })}'`;
}

Deno.test("execLogin() gives the plug-in its arguments, variables and the request", async () => {
  const body = `printf '{"status": {"token": "%s.%s.%s"}}' "$1" "$VARIABLE" ` +
    `"$(echo "$KUBERNETES_EXEC_INFO" | tr -dc a-zA-Z0-9/.:)"`;
  await withScript(body, async (folder) => {
    const entry = entryOf(folder, {
      command: "./plugin",
      args: ["first"],
      env: [{ name: "VARIABLE", value: "second" }],
      provideClusterInfo: true,
    });
    const login = execLogin(entry, CLUSTER, new StandingClock());
    assertEquals(
      tokenOf(await login.identify(false)),
      "Bearer first.second.apiVersion:client.authentication.k8s.io/v1kind:ExecCredential" +
        "spec:interactive:falsecluster:server:https://a",
    );
  });
});

Deno.test("execLogin() runs the plug-in again when its answer expires, or is refused", async () => {
  const clock = new StandingClock();
  const expirationTimestamp = new Date(clock.atMs + HOUR_MS).toISOString();
  await withScript(print({ token: "t", expirationTimestamp }), async (folder, runs) => {
    const login = execLogin(entryOf(folder, { command: "./plugin" }), CLUSTER, clock);
    const steps: readonly (readonly [string, number, boolean, number])[] = [
      ["the first time", 0, false, 1],
      ["known", HOUR_MS - 11_000, false, 1],
      ["refused", 0, true, 2],
      ["just before it expires", 2_000, false, 3],
    ];
    for (const [name, laterMs, isForced, expected] of steps) {
      clock.atMs += laterMs;
      assertEquals(tokenOf(await login.identify(isForced)), "Bearer t", name);
      assertEquals(await runs(), expected, name);
    }
  });
});

Deno.test("execLogin() keeps an answer that says no time until it is refused", async () => {
  const clock = new StandingClock();
  await withScript(print({ token: "t" }), async (folder, runs) => {
    const login = execLogin(entryOf(folder, { command: "./plugin" }), CLUSTER, clock);
    await login.identify(false);
    clock.atMs += 1000 * HOUR_MS;
    await login.identify(false);
    assertEquals(await runs(), 1);
    await login.identify(true);
    assertEquals(await runs(), 2);
  });
});

Deno.test("execLogin() takes a client certificate", async () => {
  await using authority = await FakeAuthority.create();
  const { certificate, key } = await authority.issue("client");
  const status = { clientCertificateData: certificate, clientKeyData: key };
  await withScript(print(status).replaceAll("\\n", "\\\\n"), async (folder) => {
    const login = execLogin(entryOf(folder, { command: "./plugin" }), CLUSTER, new StandingClock());
    const { authorization, pair } = await login.identify(false);
    assertEquals(authorization, undefined);
    assertEquals([pair?.certificate.reveal(), pair?.key.reveal()], [certificate, key]);
  });
});

const JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N";
const FAILURES: readonly (readonly [string, string, string])[] = [
  ["an error", `echo "please log in" >&2; exit 1`, "failed: please log in"],
  [
    "an error with a token",
    `echo "token ${JWT} has expired" >&2; exit 1`,
    "failed: token … has expired",
  ],
  ["no reason", "exit 3", "failed: try it by hand"],
  ["no JSON", `echo "hello ${JWT}"`, "printed something that is not JSON: try it by hand"],
  ["no status", "echo '{}'", "printed no ExecCredential with a status: try it by hand"],
  ["null", "echo null", "printed no ExecCredential with a status: try it by hand"],
  ["nothing", "exit 0", "printed something that is not JSON: try it by hand"],
  ["an empty status", print({}), "gave neither token nor certificate: log in again"],
  [
    "half a pair",
    print({ clientCertificateData: "x" }),
    "gave half a pair: clientKeyData is missing",
  ],
  [
    "a token of two lines",
    print({ token: "a b" }),
    "is no bearer token: it must be one line of printable characters",
  ],
];

for (const [name, body, expected] of FAILURES) {
  Deno.test(`execLogin() says what went wrong with a plug-in that prints ${name}`, async () => {
    await withScript(body, async (folder) => {
      const entry = entryOf(folder, { command: "./plugin" });
      const login = execLogin(entry, CLUSTER, new StandingClock());
      const error = await assertRejects(() => login.identify(false), CredentialsError);
      assertEquals(error.message, `Plug-in "${folder}/./plugin" of ${NAME} ${expected}`);
      assert(!Deno.inspect(error).includes(JWT));
    });
  });
}

Deno.test("execLogin() names a plug-in that is not installed, with its hint", async () => {
  const cases: readonly (readonly [object, string])[] = [
    [{}, "install it or correct PATH"],
    [{ installHint: "See the handbook.\nPage 2." }, "See the handbook."],
  ];
  for (const [exec, hint] of cases) {
    const entry = entryOf("", { command: "calyx-no-such-plugin", ...exec });
    const login = execLogin(entry, CLUSTER, new StandingClock());
    await assertRejects(
      () => login.identify(false),
      CredentialsError,
      `Plug-in "calyx-no-such-plugin" of ${NAME} is not installed: ${hint}`,
    );
  }
});

Deno.test("execLogin() gives up a plug-in that hangs", async () => {
  const clock = new StandingClock();
  await withScript("sleep 1", async (folder, runs) => {
    const login = execLogin(entryOf(folder, { command: "./plugin" }), CLUSTER, clock);
    const answer = login.identify(false);
    const expected = assertRejects(
      () => answer,
      CredentialsError,
      "did not answer within 60 s: try it by hand",
    );
    await until("the plug-in runs", async () => await runs() > 0);
    assert(isOnCommandLine(`${folder}/`));
    clock.wake?.();
    await expected;
    // The program goes on until it ends by itself, and this process has taken note.
    await until("the plug-in ends", () => !isOnCommandLine(`${folder}/`));
    await turns(20, 10);
  });
});

Deno.test("authProviderLogin() takes the token that the provider keeps", async () => {
  const payload = btoa(JSON.stringify({ exp: Math.floor(Date.now() / 1000) + 3600 }));
  const token = `${btoa("{}")}.${payload}.c2ln`;
  const user = { name: "u", authProvider: { name: "oidc", config: { "id-token": token } } };
  const login = authProviderLogin(NAME, user, new StandingClock());
  assertEquals(login.name, `auth-provider "oidc" of ${NAME}`);
  for (const isForced of [false, true]) {
    assertEquals(tokenOf(await login.identify(isForced)), `Bearer ${token}`);
  }
});
