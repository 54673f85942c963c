/**
 * The two sides that isolate_test.ts plays with: `outside` runs the other one isolated, and
 * `reader` too, which takes what it prints; `report`
 * prints what it finds inside; `linger` leaves there all that could be left, then waits for ever.
 */

import { sleep } from "../../../lib/base/async.ts";
import { enterIsolation, isInside, runIsolated } from "./isolate.ts";

const [role = "", ...rest] = Deno.args;
switch (role) {
  case "outside":
    Deno.exit(await runIsolated(import.meta.url, rest));
    break;
  case "reader":
    Deno.exit(
      await runIsolated(import.meta.url, rest, { onOutput: (it) => Deno.stdout.writeSync(it) }),
    );
    break;
  case "report":
    enterIsolation();
    say(JSON.stringify({
      inside: isInside(),
      run: [...Deno.readDirSync("/run")].map((it) => it.name).sort(),
      temporary: Deno.makeTempDirSync().startsWith("/run/tmp/"),
      interfaces: Deno.networkInterfaces().map((it) => `${it.name} ${it.address}`).sort(),
      arguments: rest,
    }));
    Deno.exit(7);
    break;
  case "linger":
    enterIsolation();
    Deno.makeTempFileSync({ prefix: "linger" });
    // One that holds the namespace by a session of its own, one that has lost its parent.
    new Deno.Command("setsid", { args: ["sleep", "3600"], stdin: "null" }).spawn();
    new Deno.Command("sh", { args: ["-c", "sleep 3600 & exit"], stdin: "null" }).spawn();
    say("lingering");
    await sleep(3_600_000);
    break;
  default:
    throw new Error(`Unknown role "${role}"`);
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}
