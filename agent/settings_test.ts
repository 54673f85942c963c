import { assertEquals, assertObjectMatch, assertThrows } from "@std/assert";
import { formatDefault } from "../lib/settings/setting.ts";
import { formatHelp, parseCommand, SETTINGS, type Settings } from "./settings.ts";

function settings(args: readonly string[], env: Record<string, string> = {}): Settings {
  const command = parseCommand(args, env, "Node1.Example.org");
  if (command.kind !== "run") throw new Error(`The command is ${command.kind}`);
  return command.settings;
}

Deno.test("parseCommand() has a default for everything", () => {
  const values = settings([]);
  for (const name of Object.keys(SETTINGS)) assertEquals(name in values, true, name);
  assertObjectMatch({ ...values }, {
    nodeName: "node1.example.org",
    isNodeNameGiven: false,
    socketPath: "/run/calyx/agent.sock",
    stateDir: "/run/calyx",
    unreadyAfterMs: 0,
    logLevel: "info",
    healthHost: "127.0.0.1",
    healthPort: 9099,
    interfacePrefix: "cali",
    mtu: 0,
    resyncIntervalMs: 90_000,
    denyAction: "drop",
    endpointToHostAction: "accept",
    checksSource: true,
    isolationAnnotation: false,
    flowCut: true,
    ownsTable: true,
    ipvs: "auto",
    kubeconfig: undefined,
    context: undefined,
  });
});

Deno.test("parseCommand() takes a flag before CALYX_ before Felix' name", () => {
  const env = { FELIX_MTU: "1400", CALYX_MTU: "1410", FELIX_LOGSEVERITYSCREEN: "Warning" };
  assertEquals(settings([], env).mtu, 1410);
  assertEquals(settings(["--mtu", "1420"], env).mtu, 1420);
  assertEquals(settings(["--mtu=1430"], env).mtu, 1430);
  assertEquals(settings([], { FELIX_MTU: "1400" }).mtu, 1400);
  assertEquals(settings([], env).logLevel, "warn");
  assertEquals(settings([], { CALYX_MTU: "" }).mtu, 0);
});

Deno.test("parseCommand() names the setting, the value and the remedy", () => {
  const cases: readonly (readonly [string[], Record<string, string>, string])[] = [
    [["--health-port", "x"], {}, '--health-port: Number must be from 0 to 65535: got "x"'],
    [
      [],
      { CALYX_HEALTH_PORT: "-1" },
      'CALYX_HEALTH_PORT: Number must be from 0 to 65535: got "-1"',
    ],
    [["--mtu", "1000"], {}, "--mtu: MTU must be 0 or at least 1280: got 1000"],
    [["--node-name", "a b"], {}, '--node-name: Node name must be a DNS name: got "a b"'],
    [["--agent-socket", "x"], {}, '--agent-socket: Path must be absolute: got "x"'],
    [
      ["--log-level", "loud"],
      {},
      '--log-level: Log level must be one of error, warn, info, debug: got "loud"',
    ],
    [
      ["--interface-prefix", "much-too-long"],
      {},
      '--interface-prefix: Interface prefix must be 1 to 8 letters or digits: got "much-too-long"',
    ],
    [["--deny-action", "maim"], {}, '--deny-action: Value must be drop or reject: got "maim"'],
    [
      [],
      { FELIX_DEFAULTENDPOINTTOHOSTACTION: "x" },
      'FELIX_DEFAULTENDPOINTTOHOSTACTION: Value must be accept or drop or return: got "x"',
    ],
    [["--resync-interval", "1h"], {}, '--resync-interval: Duration must be seconds: got "1h"'],
    [["--bogus"], {}, 'Unknown flag "--bogus"'],
    [["--mtu"], {}, 'Flag "--mtu" needs a value'],
    [["dance"], {}, 'Unknown command "dance": run (the default) or cleanup'],
    [["run", "twice"], {}, 'Unknown command "run twice": run (the default) or cleanup'],
  ];
  for (const [args, env, message] of cases) {
    const error = assertThrows(() => parseCommand(args, env, "n1"));
    assertEquals(error instanceof Error && error.message, message);
  }
});

Deno.test("parseCommand() knows its words, and help lists every flag", () => {
  const kinds = [["cleanup"], ["--help"], ["-h"], ["--version"], ["-v"], ["run"]]
    .map((args) => parseCommand(args, {}, "n1").kind);
  assertEquals(kinds, ["cleanup", "help", "help", "version", "version", "run"]);
  for (const name of ["--node-name", "--kubeconfig", "CALYX_MTU", "FELIX_MTU", "cleanup"]) {
    assertEquals(formatHelp().includes(name), true, name);
  }
});

Deno.test("a default is printed as it is typed", () => {
  for (const row of Object.values(SETTINGS)) {
    const typed = formatDefault(row);
    if (typed === undefined) continue;
    assertEquals<unknown>(row.type.parse(typed), row.default, row.flag);
    assertEquals(formatHelp().includes(`[default: ${typed}]`), true, row.flag);
  }
});

Deno.test("parseCommand() cleans up where the host has no name that a Node could have", () => {
  for (const name of ["", "(none)", "my_host"]) {
    assertEquals(parseCommand(["cleanup"], {}, name).kind, "cleanup");
    assertThrows(() => parseCommand([], {}, name), RangeError, "Node name must be a DNS name");
  }
});
