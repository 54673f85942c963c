import { assertEquals } from "@std/assert";
import { Address } from "../lib/ip/address.ts";
import { Prefix } from "../lib/ip/prefix.ts";
import type { Node } from "../lib/model/node.ts";
import { OwnNode } from "./own_node.ts";

function node(name: string, more: Partial<Node> = {}): Node {
  return { name, labels: {}, podCidrs: [], addresses: [], ...more };
}

function ownNode(
  name: string,
  nodes: readonly Node[],
  more: { readonly isNameGiven?: boolean; readonly isListed?: boolean } = {},
): OwnNode {
  const { isNameGiven = true, isListed = true } = more;
  return new OwnNode({
    ...{ name, isNameGiven, nodes: () => nodes, isListed: () => isListed },
    hostAddresses: () => new Set(["127.0.0.1", "192.0.2.1"]),
  });
}

const HERE = node("here", { addresses: [Address.parse("192.0.2.1")] });
const SET = "set CALYX_NODE_NAME (--node-name) to the name of this machine's Node";

Deno.test("OwnNode names the Nodes that there are where none has its name", () => {
  const many = Array.from({ length: 19 }, (_, index) => node(`n${index + 10}`));
  const missing: readonly (readonly [readonly Node[], string])[] = [
    [[], `No Node is named x; there are: none; ${SET}`],
    [[node("b"), node("a")], `No Node is named x; there are: a, b; ${SET}`],
    [many, `No Node is named x; there are: n10, n11, n12, n13, n14 and 14 more; ${SET}`],
    [
      [node("x.example.org")],
      `No Node is named x; there are: x.example.org; ${SET}` +
      ", perhaps x.example.org",
    ],
    [[HERE], `No Node is named x; there are: here; ${SET}, perhaps here`],
  ];
  for (const [nodes, sentence] of missing) {
    const own = ownNode("x", nodes);
    assertEquals([own.find(), own.missing], [false, sentence]);
  }
  const unlisted = ownNode("x", [], { isListed: false });
  assertEquals(unlisted.missing, "Node x is not known yet: the API server has not answered");
});

Deno.test("OwnNode takes what clouds call a machine, where one Node alone is called so", () => {
  const cloud = node("ip-10-0-0-1.ec2.internal", { aliases: ["i-0abc", "web1"] });
  for (const name of ["ip-10-0-0-1.ec2.internal", "i-0abc", "web1"]) {
    const own = ownNode(name, [node("a"), cloud]);
    assertEquals([own.find(), own.name, own.missing], [true, cloud.name, undefined]);
  }
  const both = ownNode("web1", [cloud, node("b", { aliases: ["web1"] })]);
  assertEquals([both.find(), both.name], [false, "web1"]);
});

Deno.test("OwnNode goes by the machine's addresses only where no name was given", () => {
  assertEquals(ownNode("x", [HERE]).find(), false);
  const guessed = ownNode("x", [node("a"), HERE], { isNameGiven: false });
  assertEquals([guessed.find(), guessed.name], [true, "here"]);
  const named = ownNode("a", [node("a"), HERE], { isNameGiven: false });
  assertEquals([named.find(), named.name], [true, "a"]);
});

Deno.test("OwnNode keeps what a Node said that goes, or lacks what it had", () => {
  const own = ownNode("here", [HERE]);
  assertEquals([own.complete("here", undefined), own.details], [undefined, []]);
  assertEquals(own.complete("here", HERE), HERE);
  own.find();
  assertEquals([own.complete("other", undefined), own.details], [undefined, []]);
  assertEquals([own.complete("here", undefined), own.missing, own.details], [HERE, undefined, [
    "Node here is gone from the API server: what it said last stays in force",
  ]]);
  const other = { ...HERE, podCidrs: [Prefix.parse("10.0.0.0/24")], labels: { a: "b" } };
  assertEquals([own.complete("here", other), own.details], [other, []]);
  assertEquals(own.complete("here", node("here")), { ...other, labels: {} });
});
