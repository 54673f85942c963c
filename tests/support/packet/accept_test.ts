import { assertEquals } from "@std/assert";
import { Address } from "../../../lib/ip/address.ts";
import { check } from "../../../lib/kernel/errno.ts";
import { libc } from "../../../lib/kernel/symbols.ts";
import { acceptAll } from "./accept.ts";
import { socketAddress } from "./probe.ts";
import { until } from "../until.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

/** Connects to `port` of loopback and resets the connection at once, before anything can take it. */
function connectAndReset(port: number): void {
  const [SOL_SOCKET, SO_LINGER] = [1, 13];
  const fd = check("open socket", libc().socket(2, 1, 0)); // AF_INET, SOCK_STREAM
  const linger = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0); // on, no seconds
  check("set SO_LINGER", libc().setsockopt(fd, SOL_SOCKET, SO_LINGER, linger, linger.length));
  const name = socketAddress(Address.parse("127.0.0.1"), port);
  check("connect", libc().connect(fd, name, name.length));
  libc().close(fd);
}

Deno.test("acceptAll() goes on after callers that reset before they are taken", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let taken = 0;
  const accepting = acceptAll(listener, (connection) => {
    taken++;
    connection.close();
  });
  for (let i = 0; i < 5; i++) connectAndReset(listener.addr.port);
  using _caller = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  await until("the last caller is taken", () => taken > 0);
  listener.close();
  await accepting;
  assertEquals(taken, 1);
});
