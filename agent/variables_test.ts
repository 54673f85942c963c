import { assertEquals } from "@std/assert";
import { VARIABLES } from "./settings.ts";
import { findUnknownVariables } from "./variables.ts";

const CASES: readonly [string, string, string | undefined][] = [
  ["CALYX_LOG_LEVL", "debug", "CALYX_LOG_LEVEL"],
  ["CALYX_NODENAME", "n1", "CALYX_NODE_NAME"],
  ["calyx_mtu", "1400", "CALYX_MTU"],
  ["CALYX_HEALT_PORT", "0", "CALYX_HEALTH_PORT"],
  ["CALYX_FROBNICATE", "1", undefined],
];
for (const [variable, value, didYouMean] of CASES) {
  Deno.test(`findUnknownVariables() finds ${variable}`, () => {
    const environment = { PATH: "/bin", [variable]: value };
    assertEquals(findUnknownVariables(environment, VARIABLES), [{ variable, didYouMean }]);
  });
}

Deno.test("findUnknownVariables() leaves alone what is read, and what Kubernetes makes of Services", () => {
  const environment = {
    ...Object.fromEntries(VARIABLES.map((it) => [it, "x"])),
    CALYX_CNI_CONFIG: "/etc/x",
    CALYX_AGENT_SERVICE_HOST: "10.96.0.7",
    CALYX_AGENT_SERVICE_PORT: "9099",
    CALYX_AGENT_SERVICE_PORT_METRICS: "9099",
    CALYX_AGENT_PORT: "tcp://10.96.0.7:9099",
    CALYX_AGENT_PORT_9099_TCP: "tcp://10.96.0.7:9099",
    CALYX_AGENT_PORT_9099_TCP_PROTO: "tcp",
    CALYX_AGENT_PORT_9099_TCP_PORT: "9099",
    CALYX_AGENT_PORT_9099_TCP_ADDR: "10.96.0.7",
    CALYXX_MTU: "1",
  };
  assertEquals(findUnknownVariables(environment, VARIABLES), []);
});
