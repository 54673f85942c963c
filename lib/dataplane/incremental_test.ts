/** What is kept from one flush to the next saves work and changes nothing. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { cluster, type Fact, factsOf, NODE } from "../../tests/support/facts/random_cluster.ts";
import { sampleGraph } from "../../tests/support/facts/sample_facts.ts";
import { Writer } from "../netlink/buffer.ts";
import { decodeMessages, encodeRequest, type Request } from "../netlink/message.ts";
import { parseNotification } from "../netlink/nftables/notification.ts";
import type { NetworkPolicy } from "../model/policy.ts";
import { PolicyGraph } from "../policy/graph.ts";
import { compile, Compiler } from "./compile/compile.ts";
import { diff } from "./diff.ts";
import { elementContent, elementId } from "./element.ts";
import { render } from "./render.ts";
import type { Sent } from "./sent.ts";

const NOTHING: Sent = { chains: new Map(), sets: new Map() };

/** A kernel that believes everything: what it holds after the messages that it was sent. */
class Replay {
  readonly chains = new Map<string, string[]>();
  readonly sets = new Map<string, Map<string, string>>();

  take(requests: readonly Request[]): void {
    const writer = new Writer();
    for (const request of requests) encodeRequest(writer, request, 0);
    for (const raw of decodeMessages(writer.bytes)) {
      const it = parseNotification(raw);
      if (it.kind === "chain") {
        if (it.deleted) this.chains.delete(it.chain.name);
        else this.chains.set(it.chain.name, []);
      } else if (it.kind === "rule") {
        if (it.deleted) this.chains.set(it.rule.chain, []);
        else this.chains.get(it.rule.chain)?.push(it.rule.tag ?? "");
      } else if (it.kind === "set") {
        if (it.deleted) this.sets.delete(it.set.name);
        else this.sets.set(it.set.name, new Map());
      } else if (it.kind === "elements") {
        const held = this.sets.get(it.list.set) ?? new Map<string, string>();
        for (const element of it.list.elements) {
          const id = elementId(element);
          assertEquals(held.has(id), it.deleted, `${it.list.set} ${id}`);
          if (it.deleted) held.delete(id);
          else held.set(id, elementContent(element));
        }
      }
    }
  }

  /** In one order. */
  print(): unknown {
    const sorted = <T>(map: ReadonlyMap<string, T>): [string, T][] =>
      [...map].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      chains: sorted(this.chains),
      sets: sorted(this.sets).map(([name, elements]) => [name, sorted(elements)]),
    };
  }
}

/** A graph and what follows it, flushed after each change. */
class Follower {
  readonly graph = new PolicyGraph({ nodeName: NODE });
  readonly kernel = new Replay();
  readonly #compiler = new Compiler({});
  #sent = NOTHING;

  flush(): string {
    const ruleset = this.#compiler.compile(this.graph.flush());
    const difference = diff(this.#sent, ruleset, 0);
    if (difference === undefined) throw new TypeError("What was sent is known");
    for (const requests of difference.transactions) this.kernel.take(requests);
    this.#sent = difference.sent;
    return render(ruleset);
  }

  change(...args: Fact): void {
    this.graph.update(...args);
    this.flush();
  }
}

Deno.test("compile() and diff() after many flushes say what a fresh start says", () => {
  fc.assert(
    fc.property(cluster, cluster, fc.boolean(), (before, after, reverses) => {
      const follower = new Follower();
      for (const change of factsOf(before)) follower.change(...change);
      const facts = reverses ? factsOf(after).reverse() : factsOf(after);
      const kept = new Set(facts.map(([kind, key]) => `${kind} ${key}`));
      for (const [kind, key] of factsOf(before)) {
        if (!kept.has(`${kind} ${key}`)) follower.change(kind, key, undefined);
      }
      for (const change of facts) follower.change(...change);
      const fresh = new Follower();
      for (const change of factsOf(after)) fresh.graph.update(...change);
      assertEquals(follower.flush(), fresh.flush());
      assertEquals(follower.kernel.print(), fresh.kernel.print());
    }),
    { numRuns: 60 },
  );
});

Deno.test("Compiler follows rules that change while they govern the same pods", () => {
  const graph = sampleGraph();
  const compiler = new Compiler({});
  compiler.compile(graph.flush());
  const ports = [{ protocol: "TCP" as const, port: { first: 4242, last: 4242 } }];
  for (const policy of [...graph.index.policiesOf("shop")]) {
    const change = (rules: NetworkPolicy["ingress"]): NetworkPolicy["ingress"] =>
      rules?.map((rule) => ({ ...rule, ports }));
    const { name, ingress, egress } = policy;
    const changed = { ...policy, ingress: change(ingress), egress: change(egress) };
    graph.update("policy", `shop/${name}`, changed);
    const desired = graph.flush();
    assertEquals(desired.changes?.programs.size, 0, name);
    assertEquals(render(compiler.compile(desired)), render(compile(desired)), name);
  }
});

Deno.test("diff() sends nothing when nothing has changed", () => {
  fc.assert(
    fc.property(cluster, (world) => {
      const follower = new Follower();
      for (const change of factsOf(world)) follower.graph.update(...change);
      const ruleset = compile(follower.graph.flush());
      const first = diff(NOTHING, ruleset, 0);
      assertEquals(diff(first?.sent ?? NOTHING, ruleset, 0)?.transactions, []);
      const again = compile(follower.graph.flush());
      assertEquals(diff(first?.sent ?? NOTHING, again, 0)?.transactions, []);
    }),
    { numRuns: 40 },
  );
});
