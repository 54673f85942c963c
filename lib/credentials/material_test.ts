import { assertEquals, assertRejects } from "@std/assert";
import type { Clock } from "../base/clock.ts";
import { PATIENCE_MS, until } from "../../tests/support/until.ts";
import { CredentialsError } from "./error.ts";
import { FileMaterial } from "./material.ts";

/** A clock that stands until it is moved. */
class StandingClock implements Clock {
  atMs = 1_000_000;

  nowMs(): number {
    return this.atMs;
  }

  sleep(): Promise<void> {
    return Promise.resolve();
  }
}

async function withFolder(f: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await f(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("FileMaterial.read() sees a file change in place, by rename and by symbolic link", async () => {
  await withFolder(async (folder) => {
    const clock = new StandingClock();
    const path = `${folder}/token`;
    const read = async (isForced = false): Promise<string> =>
      (await material.read(isForced)).reveal();
    await Deno.writeTextFile(path, "one");
    const material = new FileMaterial("token", path, "K8S_TOKEN_FILE", clock);
    assertEquals(await read(), "one");

    await Deno.writeTextFile(path, "two2");
    assertEquals(await read(), "one", "not looked at again so soon");
    assertEquals(await read(true), "two2", "unless by force");

    await Deno.writeTextFile(`${folder}/next`, "thr3");
    await Deno.rename(`${folder}/next`, path);
    clock.atMs += 5_000;
    assertEquals(await read(), "thr3");

    for (const version of ["four", "five"]) {
      await Deno.mkdir(`${folder}/${version}`);
      await Deno.writeTextFile(`${folder}/${version}/token`, version);
      await Deno.symlink(`${version}`, `${folder}/..data_${version}`);
      await Deno.remove(path);
      await Deno.symlink(`..data_${version}/token`, path);
      clock.atMs += 5_000;
      assertEquals(await read(), version);
    }
  });
});

Deno.test("FileMaterial.read() keeps what it has while the file is away, unless by force", async () => {
  await withFolder(async (folder) => {
    const clock = new StandingClock();
    const path = `${folder}/token`;
    await Deno.writeTextFile(path, "one");
    const material = new FileMaterial("token", path, "K8S_TOKEN_FILE", clock);
    await material.read();
    await Deno.remove(path);
    clock.atMs += 5_000;
    assertEquals((await material.read()).reveal(), "one");
    await assertRejects(
      () => material.read(true),
      CredentialsError,
      `Token "${path}" (K8S_TOKEN_FILE) does not exist: create it or name another file`,
    );
    await Deno.writeTextFile(path, "two");
    clock.atMs += 5_000;
    assertEquals((await material.read()).reveal(), "two");
  });
});

const SILENCE = "s: if it is a pipe, start what writes into it and closes it, or name a file";

/** A pipe in the file system, and what reads it as CA. */
async function withPipe(
  f: (path: string, materialOf: (readMsMax: number) => FileMaterial) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const path = `${folder}/pipe`;
    const { success } = await new Deno.Command("mkfifo", { args: [path] }).output();
    assertEquals(success, true);
    await f(path, (ms) => new FileMaterial("CA", path, "K8S_CA_FILE", new StandingClock(), ms));
  });
}

Deno.test("FileMaterial.read() takes what a process writes into a pipe, which it does once", async () => {
  await withPipe(async (path, materialOf) => {
    const material = materialOf(PATIENCE_MS);
    const reading = material.read();
    await using writer = new Writer(path);
    writer.say("one");
    writer.end();
    assertEquals((await reading).reveal(), "one\n");
    assertEquals((await material.read(true)).reveal(), "one\n");
  });
});

Deno.test("FileMaterial.read() does not wait for ever for a process to open a pipe", async () => {
  await withPipe(async (path, materialOf) => {
    const material = materialOf(50);
    const message = `CA "${path}" (K8S_CA_FILE) has not come to its end in 0.05 ${SILENCE}`;
    await assertRejects(() => material.read(), CredentialsError, message);
    await assertRejects(() => material.read(true), CredentialsError, message);
  });
});

Deno.test("FileMaterial.read() does not wait for ever for a process to write into a pipe", async () => {
  await withPipe(async (path, materialOf) => {
    const material = materialOf(50);
    const held = await Deno.open(path, { read: true, write: true });
    await assertRejects(() => material.read(), CredentialsError, SILENCE);
    {
      await using writer = new Writer(path);
      writer.say("late");
      writer.end();
    }
    held.close();
    await until(
      "what came late is known",
      async () => await material.read().then((it) => it.reveal() === "late\n", () => false),
    );
  });
});

/** Another process that writes into a pipe: ours would be held while it opens it. */
class Writer implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;

  constructor(path: string) {
    const args = ["-c", 'exec cat >"$1"', "sh", path];
    this.#process = new Deno.Command("sh", { args, stdin: "piped" }).spawn();
    this.#input = this.#process.stdin.getWriter();
  }

  say(line: string): void {
    void this.#input.write(new TextEncoder().encode(`${line}\n`));
  }

  end(): void {
    void this.#input.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.status;
  }
}

Deno.test("FileMaterial.read() says what is wrong with a file", async () => {
  await withFolder(async (folder) => {
    await Deno.mkdir(`${folder}/folder`);
    await Deno.writeTextFile(`${folder}/empty`, " \n");
    await Deno.writeFile(`${folder}/large`, new Uint8Array(4 * 1024 * 1024 + 1));
    await Deno.symlink("loop", `${folder}/loop`);
    await Deno.symlink("/dev/zero", `${folder}/endless`);
    const cases: Readonly<Record<string, string>> = {
      missing: "does not exist: create it or name another file",
      folder: "is a directory: name the file in it",
      empty: "is empty: write it or name another file",
      large: "has more than 4 MiB, which cannot be right: name another file",
      endless: "has more than 4 MiB, which cannot be right: name another file",
      loop: "is a symbolic link to itself: name another file",
      "empty/below": "does not exist: its path goes through a file",
    };
    for (const [name, expected] of Object.entries(cases)) {
      const path = `${folder}/${name}`;
      const material = new FileMaterial("CA", path, "K8S_CA_FILE", new StandingClock());
      const error = await assertRejects(() => material.read(), CredentialsError);
      assertEquals(error.message, `CA "${path}" (K8S_CA_FILE) ${expected}`);
    }
  });
});
