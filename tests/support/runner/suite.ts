/** The inside of `deno task test`: makes the namespaces habitable and runs `deno test` in them. */

import { enterIsolation } from "../isolation/isolate.ts";

enterIsolation();
const { code } = await new Deno.Command(Deno.execPath(), {
  args: ["test", "-A", "--no-check", ...Deno.args],
  cwd: `${import.meta.dirname}/../../..`,
  stdin: "null",
}).spawn().status;
Deno.exit(code);
