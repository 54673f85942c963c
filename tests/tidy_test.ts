/**
 * What the house rules can be held to by a machine: who imports whom, which rooms are pure, how files
 * are named, opened and how long they are. The rules are data, each with its reason.
 */

import { assertEquals } from "@std/assert";
import { isSource, listFiles, read, ROOT } from "./support/project_file.ts";

/** Which rooms a room may import besides itself. */
interface Row {
  readonly room: string;
  readonly may: readonly string[];
  /** Packages, by their name in deno.json. */
  readonly packages?: readonly string[];
  /** Packages of which only types may be imported. */
  readonly typesOf?: readonly string[];
  readonly because: string;
}

const ROWS: readonly Row[] = [
  {
    room: "lib/base",
    may: [],
    packages: ["@std"],
    because: "the floor; not one word of the domain",
  },
  { room: "lib/ip", may: ["lib/base"], packages: ["ipaddr.js"], because: "addresses as values" },
  { room: "lib/model", may: ["lib/ip", "lib/base"], because: "nouns know no neighbours" },
  { room: "lib/kernel", may: ["lib/base"], because: "the only Deno.dlopen" },
  {
    room: "lib/netlink",
    may: ["lib/ip", "lib/base"],
    because: "bytes are testable without a kernel",
  },
  {
    room: "lib/policy",
    may: ["lib/model", "lib/ip", "lib/base"],
    because: "the brain has no hands",
  },
  { room: "lib/settings", may: ["lib/base"], because: "rows of data: everything may read them" },
  {
    room: "lib/agent_api",
    may: ["lib/model", "lib/ip", "lib/base"],
    because: "the contract costs the plugin nothing to load",
  },
  {
    room: "lib/credentials",
    may: ["lib/settings", "lib/ip", "lib/base"],
    packages: ["@kubernetes/client-node"],
    because: "secrets in one room, with the one package that knows every kubeconfig",
  },
  {
    room: "lib/datastore",
    may: ["lib/credentials", "lib/model", "lib/ip", "lib/base"],
    typesOf: ["@kubernetes/client-node"],
    because: "Kubernetes' JSON stops here",
  },
  {
    room: "lib/dataplane",
    may: ["lib/netlink", "lib/model", "lib/ip", "lib/base"],
    because: "brain and hands meet only in model/desired.ts",
  },
  {
    room: "cni",
    may: ["lib/agent_api", "lib/netlink", "lib/kernel", "lib/credentials", "lib/datastore"]
      .concat("lib/model", "lib/ip", "lib/base"),
    because: "no policy, no ruleset: it starts fast",
  },
  { room: "agent", may: ["lib/*"], because: "a composition root" },
  {
    room: "ctl",
    may: ["lib/settings", "lib/policy", "lib/datastore", "lib/credentials"]
      .concat("lib/model", "lib/ip", "lib/base"),
    because: "no kernel, no netlink: it runs on laptops, and without FFI",
  },
  { room: "deploy", may: ["lib/base"], because: "the build works while the rest is broken" },
  { room: "main.ts", may: [], because: "a signpost starts programs, it does not import them" },
];

/** Single files that may import what their room may not. */
const EXCEPTIONS = [
  {
    from: "lib/netlink/socket.ts",
    to: "lib/kernel",
    because: "the one file of its room that speaks to the kernel",
  },
];

/** Rooms and files without effects, and the effectful files in them. */
const PURE = [
  "lib/agent_api/",
  "lib/ip/",
  "lib/model/",
  "lib/settings/",
  "lib/policy/",
  "lib/netlink/",
  "lib/dataplane/",
  "lib/datastore/decode/",
  "cni/protocol/",
  "cni/plan.ts",
];
const IMPURE = ["lib/netlink/socket.ts", "lib/dataplane/apply.ts", "lib/dataplane/read.ts"];

/** What a pure file does not say; time and chance come to it as arguments. */
const EFFECTS = [
  ["the runtime", /\bDeno\./],
  ["the network", /\bfetch\(/],
  ["the console", /\bconsole\b/],
  ["the time", /\bDate\.now\b|\bnew Date\(\)|\bperformance\./],
  ["chance", /\bMath\.random\b|\bcrypto\./],
  ["timers", /\bset(Timeout|Interval)\b|\bqueueMicrotask\b/],
  ["waiting", /\basync\b|\bawait\b/],
] as const;

const LINES_MAX = 400;

/** Text about the machine of an author, not about this project. */
const FOREIGN = [
  ["a registry's host", new RegExp("registry\\.(npm" + "js|yarnpkg)\\.|npm" + "mirror")],
  ["a folder of an author's", new RegExp("(^|[\\s\"'`(])/(wo" + "rk|home/\\w+|Users/\\w+)/", "m")],
] as const;

/**
 * Words behind which a sentence hides who acts, each with what to write instead. Assembled, so that the
 * test does not find them here.
 */
const VAGUE = [
  ["no" + "body", "name the program, person or object that does not act"],
  ["some" + "body", "name the other process, user or administrator"],
  ["who(m)?" + "ever", "name the callers, or write: every program that"],
  ["a" + "new", "say what is read, made or begun again"],
  ["what is " + "told", "name the event or the field"],
  ["its own " + "word", "name the value"],
  ["see the file's " + "comment", "say in one sentence what the object does"],
] as const;

const files = await listFiles();
const sources = files.filter(isSource);
const scripts = files.filter((it) => it.endsWith(".ts"));

Deno.test("tidy: every room is in the import table", () => {
  const rooms = new Set(ROWS.map((it) => it.room));
  assertEquals([...new Set(sources.map(roomOf))].filter((it) => !rooms.has(it)), []);
});

Deno.test("tidy: imports follow the table", async () => {
  const strays = (await readImports()).filter((it) => !isAllowed(it));
  const lines = strays.map(({ from, to, line, typeOnly }) =>
    `${from}:${line} imports ${typeOnly ? "types of " : ""}${to}`
  );
  assertEquals(lines.sort(), []);
});

Deno.test("tidy: a row of the table lists no room that is not imported", async () => {
  const used = new Set(
    (await readImports()).map(({ from, to }) => `${roomOf(from)} imports ${roomOf(to)}`),
  );
  const listed = ROWS.flatMap(({ room, may }) =>
    may.filter((it) => it !== "lib/*" && it !== "lib/base").map((it) => `${room} imports ${it}`)
  );
  assertEquals(listed.filter((it) => !used.has(it)), []);
});

Deno.test("tidy: no file imports itself by way of others, types included", async () => {
  const cycles = findCycles((await readImports(scripts)).filter(({ to }) => scripts.includes(to)));
  assertEquals(cycles.map((it) => it.join(" → ")), []);
});

Deno.test("findCycles() finds one cycle for each tangle, and names its files in order", () => {
  const edges = ["a b", "b c", "c b", "c d", "d d", "e a"].map((it) => {
    const [from = "", to = ""] = it.split(" ");
    return { from, to };
  });
  assertEquals(findCycles(edges), [["b", "c", "b"], ["d", "d"]]);
});

Deno.test("tidy: the plugin's usual path does not load client-node", async () => {
  const imports = (await readImports()).filter((it) => !it.typeOnly && !it.dynamic);
  const reached = new Set(["cni/main.ts"]);
  for (const from of reached) {
    for (const it of imports) if (it.from === from) reached.add(it.to);
  }
  assertEquals([...reached].filter((it) => it.startsWith("npm:@kubernetes")), []);
});

Deno.test("tidy: pure rooms have no effects", async () => {
  const pure = sources.filter((it) => PURE.some((room) => it.startsWith(room)))
    .filter((it) => !IMPURE.includes(it));
  const found: string[] = [];
  for (const path of pure) {
    const lines = stripComments(await read(path)).split("\n");
    lines.forEach((line, index) => {
      for (const [what, pattern] of EFFECTS) {
        if (pattern.test(line)) found.push(`${path}:${index + 1} uses ${what}: ${line.trim()}`);
      }
    });
  }
  assertEquals(found, []);
});

Deno.test("tidy: files are named after what is inside, in snake_case", () => {
  const words =
    /(^|[_/])(utils?|helpers?|common|manager|impl|misc)(_|\.ts$)|(^|\/)(mod|index)\.ts$/;
  assertEquals(scripts.filter((it) => !/^([a-z0-9_]+\/)*[a-z0-9_]+\.ts$/.test(it)), []);
  assertEquals(scripts.filter((it) => words.test(it)), []);
});

Deno.test("tidy: a file is imported itself, never through another", async () => {
  assertEquals(await findLines(scripts, /^export\s+(type\s+)?(\*|\{[^}]*\})[^;]*\sfrom\s/m), []);
});

Deno.test("tidy: a source file opens with what it is for", async () => {
  const silent = [];
  for (const path of scripts.filter((it) => !it.endsWith("_test.ts"))) {
    if (!(await read(path)).startsWith("/**")) silent.push(path);
  }
  assertEquals(silent, []);
});

Deno.test(`tidy: a source file has no more than ${LINES_MAX} lines`, async () => {
  const long = [];
  for (const path of scripts.filter((it) => !it.endsWith("_test.ts"))) {
    const count = (await read(path)).split("\n").length - 1;
    if (count > LINES_MAX) long.push(`${path}: ${count}`);
  }
  assertEquals(long, []);
});

Deno.test("tidy: what is to do names its issue", async () => {
  const pattern = new RegExp("\\b(TO" + "DO|FIX" + "ME|XX" + "X)\\b(?!\\(#\\d+\\))", "m");
  assertEquals(await findLines(scripts, pattern), []);
});

Deno.test("tidy: the project speaks of itself alone", async () => {
  const found = [];
  for (const [what, pattern] of FOREIGN) {
    for (const line of await findLines(files, pattern)) found.push(`${line} names ${what}`);
  }
  assertEquals(found, []);
});

Deno.test("tidy: a sentence names who acts", async () => {
  const texts = files.filter((it) => /\.(ts|md)$/.test(it));
  const found = [];
  for (const [words, remedy] of VAGUE) {
    const pattern = new RegExp(`\\b${words.replaceAll(" ", "[\\s*]+")}\\b`, "i");
    for (const line of await findLines(texts, pattern)) found.push(`${line}: ${remedy}`);
  }
  assertEquals(found, []);
});

Deno.test("tidy: documents link to files and headings that are there", async () => {
  const documents = files.filter((it) => it.endsWith(".md"));
  const dead: string[] = [];
  for (const path of documents) {
    for (const [, target = ""] of (await read(path)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue; // elsewhere
      const [name = "", anchor] = target.split("#");
      const file = name === "" ? path : resolvePath(path, name);
      const isThere = files.includes(file) &&
        (anchor === undefined || anchorsOf(await read(file)).includes(anchor));
      if (!isThere) dead.push(`${path}: ${target}`);
    }
  }
  assertEquals(dead, []);
});

Deno.test("stripComments() keeps code and lines", () => {
  const source = 'a("//", `/*`); // async\n/* await\n */ b("async");\n';
  assertEquals(stripComments(source), 'a("", ""); \n\n b("");\n');
});

/** One import of a source file. */
interface Import {
  readonly from: string;
  /** A file of ours, or `npm:…`, `node:…`. */
  readonly to: string;
  readonly line: number;
  readonly typeOnly: boolean;
  readonly dynamic: boolean;
}

function isAllowed({ from, to, typeOnly }: Import): boolean {
  const row = ROWS.find((it) => it.room === roomOf(from));
  if (row === undefined) return true; // said by the test of its own
  if (to.startsWith("node:")) return true;
  if (to.startsWith("npm:")) {
    const names = [...row.packages ?? [], ...(typeOnly ? row.typesOf ?? [] : [])];
    return names.some((name) => to.startsWith(`npm:${name === "@std" ? "deno-std" : name}@`));
  }
  const room = roomOf(to);
  if (room === row.room || row.may.includes(room)) return true;
  if (row.may.includes("lib/*") && room.startsWith("lib/")) return true;
  return EXCEPTIONS.some((it) => it.from === from && it.to === room);
}

function roomOf(path: string): string {
  const [first = "", second = ""] = path.split("/");
  return first === "lib" ? `lib/${second}` : first;
}

/** What `deno info --json` says of a module, as far as we read it. */
interface ModuleInfo {
  readonly specifier: string;
  readonly dependencies?: readonly {
    readonly code?: Reference;
    readonly type?: Reference;
    readonly isDynamic?: boolean;
  }[];
}
interface Reference {
  readonly specifier?: string;
  readonly span: { readonly start: { readonly line: number } };
}

/**
 * Walks along the edges, and cuts each one that leads back onto the way.
 *
 * @returns the ways back: the first file is the last too
 */
function findCycles(edges: readonly Pick<Import, "from" | "to">[]): readonly string[][] {
  const next = Map.groupBy(edges, ({ from }) => from);
  const found: string[][] = [];
  const done = new Set<string>();
  const walk = (file: string, way: readonly string[]): void => {
    const start = way.indexOf(file);
    if (start >= 0) found.push([...way.slice(start), file]);
    if (start >= 0 || done.has(file)) return;
    for (const { to } of next.get(file) ?? []) walk(to, [...way, file]);
    done.add(file);
  };
  for (const file of next.keys()) walk(file, []);
  return found;
}

let imports: Promise<readonly Import[]> | undefined;

/** The imports of `paths`: of the sources, unless tests are asked for too. */
async function readImports(paths = sources): Promise<readonly Import[]> {
  const all = await (imports ??= askForImports());
  return all.filter(({ from }) => paths.includes(from));
}

async function askForImports(): Promise<readonly Import[]> {
  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    const lines = scripts.map((it) => `import ${JSON.stringify(`file://${ROOT}/${it}`)};\n`);
    await Deno.writeTextFile(entry, lines.join(""));
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--no-lock", "--config", `${ROOT}/deno.json`, entry],
      env: { NO_COLOR: "1" },
    }).output();
    if (!success) throw new Error(`deno info: ${new TextDecoder().decode(stderr)}`);
    const { modules }: { modules: ModuleInfo[] } = JSON.parse(new TextDecoder().decode(stdout));
    return modules.filter((it) => scripts.includes(local(it.specifier))).flatMap(importsOf);
  } finally {
    await Deno.remove(entry);
  }
}

function importsOf({ specifier, dependencies = [] }: ModuleInfo): readonly Import[] {
  return dependencies.map(({ code, type, isDynamic }) => {
    const reference = code ?? type;
    return {
      from: local(specifier),
      to: local(reference?.specifier ?? "nowhere"),
      line: (reference?.span.start.line ?? 0) + 1,
      typeOnly: code === undefined,
      dynamic: isDynamic === true,
    };
  });
}

function local(specifier: string): string {
  const prefix = `file://${ROOT}/`;
  return specifier.startsWith(prefix) ? specifier.slice(prefix.length) : specifier;
}

async function findLines(paths: readonly string[], pattern: RegExp): Promise<readonly string[]> {
  const found = [];
  for (const path of paths) {
    const text = await read(path);
    const match = pattern.exec(text);
    if (match !== null) found.push(`${path}:${text.slice(0, match.index).split("\n").length}`);
  }
  return found;
}

/** Takes comments away, and what is inside strings; line breaks stay where they are. */
function stripComments(source: string): string {
  const tokens =
    /\/\*[^]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g;
  return source.replaceAll(tokens, (token) => {
    const breaks = token.replaceAll(/[^\n]/g, "");
    return token.startsWith("/") ? breaks : `"${breaks}"`;
  });
}

/** The path of `link`, as it stands in the document `from`. */
function resolvePath(from: string, link: string): string {
  return decodeURI(new URL(link, `file:///${from}`).pathname.slice(1));
}

/** What headings are called in links: lower case, hyphens for blanks, nothing else but letters. */
function anchorsOf(document: string): readonly string[] {
  return [...document.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
  );
}
