/**
 * The small API server as a program of its own:
 * `deno run -A tests/support/kubernetes/api_server/main.ts [--port 8001] [--token secret] [--kind …]…`
 */

import { parseFlags } from "../../../../lib/base/flags.ts";
import { createLogger } from "../../../../lib/base/log.ts";
import { startApiServer } from "./server.ts";

const log = createLogger();
const flags = parseFlags(Deno.args, {
  string: ["port", "hostname", "token", "cert", "key", "kind"],
});
const token = flags.get("token");
const cert = flags.get("cert");
const key = flags.get("key");
const server = startApiServer({
  hostname: flags.get("hostname") ?? "127.0.0.1",
  port: Number(flags.get("port") ?? 0),
  ...(token === undefined ? {} : { token }),
  ...(cert === undefined || key === undefined ? {} : {
    tls: { cert: await Deno.readTextFile(cert), key: await Deno.readTextFile(key) },
  }),
});
// group/version/plural/Kind, or the same with "/namespaced" behind it; several with commas.
for (const text of flags.get("kind")?.split(",") ?? []) {
  const [group = "", version = "", plural = "", kind = "", scope] = text.split("/");
  const namespaced = scope === "namespaced";
  server.store.register({ group, version, plural, kind, namespaced, custom: true });
}
log.info("small API server listening", { url: server.url });
Deno.addSignalListener("SIGTERM", () => void server.close());
Deno.addSignalListener("SIGINT", () => void server.close());
