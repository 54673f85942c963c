import { assert, assertEquals } from "@std/assert";
import { PolicyGraph } from "../../policy/graph.ts";
import { addPod, SAMPLE_NODE } from "../../../tests/support/facts/sample_facts.ts";
import { diff } from "../diff.ts";
import type { Ruleset } from "../ruleset.ts";
import type { Verdict } from "../statement/verdict.ts";
import type { Sent } from "../sent.ts";
import { compile, type CompileOptions } from "./compile.ts";

/** `NFT_JUMP_STACK_SIZE`, include/net/netfilter/nf_tables.h of the kernel. */
const JUMP_STACK_SIZE = 16;

/** A pod that each of these policies selects, and what follows it. */
class ManyPolicies {
  readonly #graph = new PolicyGraph({ nodeName: SAMPLE_NODE });
  readonly #options: CompileOptions = { cache: new WeakMap() };
  #sent: Sent = { chains: new Map(), sets: new Map() };

  constructor(names: Iterable<string>) {
    const namespace = { name: "x", labels: {}, isIsolated: false, denyAction: undefined };
    this.#graph.update("namespace", "x", namespace);
    addPod(this.#graph, "x", "a", 1, {});
    for (const name of names) this.add(name);
  }

  add(name: string): void {
    this.#graph.update("policy", `x/${name}`, {
      namespace: "x",
      name,
      podSelector: [],
      ingress: [{ peers: undefined, ports: [{ protocol: "TCP", port: undefined }] }],
      egress: undefined,
      resourceVersion: "1",
    });
  }

  delete(name: string): void {
    this.#graph.update("policy", `x/${name}`, undefined);
  }

  /** @returns how many messages it takes to get there */
  flush(): { readonly ruleset: Ruleset; readonly messages: number } {
    const ruleset = compile(this.#graph.flush(), this.#options);
    const difference = diff(this.#sent, ruleset, 0);
    if (difference === undefined) throw new TypeError("What was sent is known");
    this.#sent = difference.sent;
    return { ruleset, messages: difference.transactions.flat().length };
  }
}

function policyNames(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `policy-${index}`);
}

function* verdictsOf({ chains, sets }: Ruleset, chain: string): Generator<Verdict> {
  for (const { statements } of chains.get(chain)?.rules ?? []) {
    for (const it of statements) {
      if (it.kind === "verdict") yield it.verdict;
      if (it.kind !== "interfaceMap" && it.kind !== "addressMap") continue;
      const elements = sets.get(it.map)?.elements;
      if (elements?.kind !== "names") continue;
      for (const { verdict } of elements.names.values()) if (verdict !== undefined) yield verdict;
    }
  }
}

/** The policies' chains below a chain, in the order in which packets meet them. */
function policiesBelow(ruleset: Ruleset, chain: string): readonly string[] {
  if (chain.startsWith("policy-")) return [chain];
  return [...verdictsOf(ruleset, chain)]
    .flatMap((it) => "chain" in it ? policiesBelow(ruleset, it.chain) : []);
}

function depthBelow(ruleset: Ruleset, chain: string): number {
  const depths = [...verdictsOf(ruleset, chain)]
    .map((it) => "chain" in it ? depthBelow(ruleset, it.chain) + 1 : 0);
  return Math.max(0, ...depths);
}

function chainsNamed({ chains }: Ruleset, prefix: string): readonly string[] {
  return [...chains.keys()].filter((it) => it.startsWith(prefix));
}

for (const count of [1, 64, 65, 300, 3_000]) {
  Deno.test(`a program of ${count} policies asks each once, in their order`, () => {
    const { ruleset } = new ManyPolicies(policyNames(count)).flush();
    const [program = ""] = chainsNamed(ruleset, "pods-ingress-");
    const expected = policyNames(count).map((it) => `policy-ingress/x/${it}`).sort();
    assertEquals(policiesBelow(ruleset, program), expected);
    assertEquals(chainsNamed(ruleset, "group-").length > 0, count > 64);
    for (const { name, hook } of ruleset.chains.values()) {
      if (hook !== undefined) assert(depthBelow(ruleset, name) < JUMP_STACK_SIZE, name);
    }
  });
}

Deno.test("one policy more or less of 3,000 takes some hundred messages", () => {
  const many = new ManyPolicies(policyNames(3_000));
  const { messages: all } = many.flush();
  assert(all > 6_000, `${all}`);
  // The first, the last and some between; each time the groups on its way are others.
  for (const name of ["a", "policy-0a", "policy-1500a", "policy-777a", "zz"]) {
    many.add(name);
    const added = many.flush().messages;
    many.delete(name);
    const deleted = many.flush().messages;
    assert(added < 500 && deleted < 500, `${name}: ${added}, ${deleted}`);
  }
  assertEquals(many.flush().messages, 0);
});

Deno.test("what a policy allows changes no chain but its own", () => {
  const many = new ManyPolicies(policyNames(300));
  const before = many.flush().ruleset;
  many.delete("policy-7");
  many.add("policy-7");
  const after = many.flush();
  assertEquals(after.messages, 0);
  assertEquals([...after.ruleset.chains.keys()], [...before.chains.keys()]);
});

Deno.test("names that were chosen to end every group, or none, keep groups within their bounds", () => {
  // FNV-1a of "namespaced-ingress/x/NAME", as policy_group.ts takes it.
  const endsGroup = (name: string): boolean => {
    let hash = 0x811c9dc5;
    for (const it of new TextEncoder().encode(`namespaced-ingress/x/${name}`)) {
      hash = Math.imul(hash ^ it, 0x01000193);
    }
    return (hash >>> 0) % 48 === 0;
  };
  for (const [ends, sizes] of [[true, [16]], [false, [256]]] as const) {
    const chosen: string[] = [];
    for (let i = 100_000; chosen.length < 1_024; i++) {
      if (endsGroup(`p${i}`) === ends) chosen.push(`p${i}`);
    }
    const { ruleset } = new ManyPolicies(chosen).flush();
    const found = chainsNamed(ruleset, "group-").map((it) => ruleset.chains.get(it)?.rules.length);
    assertEquals([...new Set(found)], [...sizes]);
  }
});
