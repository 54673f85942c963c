import { assertEquals, assertStringIncludes } from "@std/assert";
import { readPodCidrs } from "./node_api.ts";

const NODE = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "n1", resourceVersion: "1" },
  spec: { podCIDRs: ["10.244.3.0/24", "fd00:10:244:3::/64"] },
};

/** Serves one node to clients that send the token. */
async function withApiServer(f: (apiEndpoint: string) => Promise<void>): Promise<void> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    if (request.headers.get("authorization") !== "Bearer secret") {
      return Response.json({ message: "Unauthorized" }, { status: 401 });
    }
    const { pathname } = new URL(request.url);
    return pathname === "/api/v1/nodes/n1"
      ? Response.json(NODE)
      : Response.json({ message: "not found" }, { status: 404 });
  });
  try {
    await f(`http://127.0.0.1:${server.addr.port}`);
  } finally {
    await server.shutdown();
  }
}

async function problemOf(
  settings: Parameters<typeof readPodCidrs>[0],
): Promise<{ readonly code: number; readonly message: string }> {
  const answer = await readPodCidrs(settings);

  if ("problem" in answer) return answer.problem;
  throw new Error(`Expected a problem: got ${JSON.stringify(answer)}`);
}

const NAMED = { name: "n1" };

Deno.test("readPodCidrs() reads the node by its configured name, or by the name in a file", async () => {
  const nameFile = await Deno.makeTempFile();
  await Deno.writeTextFile(nameFile, "n1\n");
  await withApiServer(async (apiEndpoint) => {
    for (const node of [NAMED, { nameFile }]) {
      const answer = await readPodCidrs({ node, api: { apiEndpoint, token: "secret" } });
      assertEquals(answer, { podCidrs: NODE.spec.podCIDRs });
    }
  });
  await Deno.remove(nameFile);
});

Deno.test("readPodCidrs() says what to do when it cannot be known", async () => {
  await withApiServer(async (apiEndpoint) => {
    const api = { apiEndpoint, token: "secret" };
    const cases = [
      [{ node: { ...NAMED, name: "n2" }, api }, 11, "404"],
      [{ node: NAMED, api: { ...api, token: "wrong" } }, 11, "401"],
      [{ node: NAMED, api: { ...api, caFile: "/nonexistent/ca.crt" } }, 7, "/nonexistent/ca.crt"],
      [{ node: { nameFile: "/nonexistent" }, api }, 7, "nodename_file"],
    ] as const;
    for (const [settings, code, message] of cases) {
      const problem = await problemOf(settings);
      assertEquals(problem.code, code, problem.message);
      assertStringIncludes(problem.message, message);
    }
  });
  const wrong = await problemOf({ node: NAMED, api: { apiEndpoint: "10.0.0.1:6443" } });
  assertStringIncludes(wrong.message, '"10.0.0.1:6443" (k8s_api_root) is no URL');
  const half = await problemOf({ node: NAMED, api: { certFile: "/c", apiEndpoint: "https://a" } });
  assertStringIncludes(half.message, "policy.k8s_client_certificate names a client certificate");
  const api = { apiEndpoint: "http://127.0.0.1:1", token: "secret" };
  const problem = await problemOf({ node: NAMED, api });
  assertEquals(problem.code, 11, problem.message);
});
