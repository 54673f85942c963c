/** The agent, in a process in which something fails that nothing waits for. */

import { main } from "../../../agent/main.ts";

const ended = main(Deno.args);
setTimeout(() => void Promise.reject(new TypeError("a promise without owner")), 0);
Deno.exit(await ended);
