import { assertEquals, assertThrows } from "@std/assert";
import { parseArguments } from "../arguments.ts";
import { CtlError } from "../error.ts";
import { refusedCommands } from "./refuse.ts";

const COMMANDS: readonly [string, string][] = [
  ["apply -f policy.yaml", "kubectl apply -f policy.yaml"],
  ["create --filename=policy.yaml --skip-exists", "kubectl create -f policy.yaml"],
  ["replace -f a.yaml -f b.yaml -n shop", "kubectl replace -f a.yaml -f b.yaml -n shop"],
  ["apply", "kubectl apply -f FILE"],
  ["delete -f it's.yaml", "kubectl delete -f 'it'\\''s.yaml'"],
  ["delete policy shop.web", "kubectl delete networkpolicy web -n shop"],
  ["delete POL shop/web", "kubectl delete networkpolicy web -n shop"],
  ["delete policy web -n shop", "kubectl delete networkpolicy web -n shop"],
  ["delete workloadEndpoint shop.web.v2", "kubectl delete pod web.v2 -n shop"],
  ["delete profile k8s_ns.shop", "kubectl delete namespace shop"],
  ["delete node n1.example.org", "kubectl delete node n1.example.org"],
  ["delete ippool 10.0.0.0/16", "kubectl delete -f FILE"],
];
for (const [line, kubectl] of COMMANDS) {
  Deno.test(`"${line}" is refused with the kubectl command for it`, () => {
    const [name, ...words] = line.split(" ");
    const command = refusedCommands.find((it) => it.name === name);
    const terminal = {
      environment: {},
      readInput: () => Promise.resolve(""),
      print: () => {},
      printError: () => {},
    };
    const flags = parseArguments([], {});
    const error = assertThrows(() => command?.run({ words, flags, terminal }), CtlError);
    assertEquals(
      error.message,
      `calyxctl does not ${name}: what it shows is kept by Kubernetes; use "${kubectl}"`,
    );
  });
}
