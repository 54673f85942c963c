import { assertEquals, assertThrows } from "@std/assert";
import { setting } from "../lib/settings/setting.ts";
import { switched, text } from "../lib/settings/value_type.ts";
import { parseArguments, splitArguments } from "./arguments.ts";
import { CtlError } from "./error.ts";

const SPLITS: readonly [string, string | undefined, string][] = [
  ["get wep", "get", "wep"],
  ["-c file get wep", "get", "-c file wep"],
  ["-c=file get wep", "get", "-c=file wep"],
  ["--kubeconfig k --namespace=x get", "get", "--kubeconfig k --namespace=x"],
  ["-h", undefined, "-h"],
  ["-h get", "get", "-h"],
  ["", undefined, ""],
];
for (const [line, command, rest] of SPLITS) {
  Deno.test(`splitArguments() of "${line}"`, () => {
    const args = line.split(" ").filter((it) => it !== "");
    assertEquals(splitArguments(args), {
      command,
      rest: rest.split(" ").filter((it) => it !== ""),
    });
  });
}

const FLAGS = {
  all: setting({ flag: "all-namespaces", letter: "A", type: switched, default: false, help: "" }),
  output: setting({ flag: "output", letter: "o", type: text("FORMAT"), help: "" }),
  node: setting({ flag: "node", type: text("NAME"), help: "" }),
};

const ARGUMENTS: readonly [string, readonly string[], Record<string, string | boolean>][] = [
  ["wep", ["wep"], {}],
  ["wep -o yaml -A", ["wep"], { output: "yaml", "all-namespaces": true }],
  ["-oyaml wep", ["wep"], { output: "yaml" }],
  ["-o=yaml wep", ["wep"], { output: "yaml" }],
  ["-Ao wide", [], { output: "wide", "all-namespaces": true }],
  ["--output=custom-columns=NODE,NAME", [], { output: "custom-columns=NODE,NAME" }],
  ["-ocustom-columns=NODE", [], { output: "custom-columns=NODE" }],
  ["-o json -o yaml", [], { output: "yaml" }],
  ["-n 007 wep 1.50", ["wep", "1.50"], { namespace: "007" }],
  ["-- --node -oyaml", ["--node", "-oyaml"], {}],
  ["--node --help", [], { error: 'Flag "--node" needs a value' }],
  ["-o", [], { error: 'Flag "--output" needs a value' }],
  ["-x", [], { error: 'Unknown flag "-x"' }],
  ["--nod n1", [], { error: 'Unknown flag "--nod"; did you mean "--node"?' }],
  ["--no-help", [], { error: 'Unknown flag "--no-help"' }],
  ["--frobnicate=1", [], { error: 'Unknown flag "--frobnicate"' }],
];
for (const [line, words, expected] of ARGUMENTS) {
  Deno.test(`parseArguments() of "${line}"`, () => {
    const parse = () => parseArguments(line.split(" "), FLAGS);
    if (typeof expected["error"] === "string") {
      assertEquals(assertThrows(parse, CtlError).message, expected["error"]);
      return;
    }
    const flags = parse();
    assertEquals(flags.words, words);
    for (const name of ["output", "node", "namespace", "all-namespaces", "help"]) {
      assertEquals(flags.get(name) ?? flags.has(name), expected[name] ?? false, name);
    }
  });
}
