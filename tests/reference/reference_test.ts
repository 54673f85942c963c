/** What the programs know and what is written of it agree: tables, code, documents. */

import { assertEquals } from "@std/assert";
import { METRIC_PREFIX } from "../../agent/metric.ts";
import { METRICS } from "../../agent/metrics.ts";
import { SETTINGS } from "../../agent/settings.ts";
import { INSTALLER_VARIABLES, SERVICE_VARIABLES } from "../../agent/variables.ts";
import { parseHostLocal, parseReservationPlace } from "../../cni/ipam/configuration.ts";
import { parseConfiguration, parseSettings } from "../../cni/protocol/configuration.ts";
import { parseValidAttachments, readLogSettings } from "../../cni/protocol/configuration.ts";
import { Fields } from "../../cni/protocol/fields.ts";
import { KeyReader, type KeyTable } from "../../cni/protocol/key.ts";
import { API_KEYS, LOG_KEYS, NODE_KEYS, PLUGIN_KEYS } from "../../cni/protocol/keys.ts";
import { GLOBAL_FLAGS } from "../../ctl/arguments.ts";
import { COMMANDS } from "../../ctl/program.ts";
import { PROXY_SETTINGS } from "../../lib/credentials/proxy.ts";
import { CREDENTIALS } from "../../lib/credentials/settings.ts";
import { formatDefault, type SettingTable, variablesOf } from "../../lib/settings/setting.ts";
import { FLAGS as BENCH_FLAGS } from "../bench/flags.ts";
import { FLAGS as DEMO_FLAGS } from "../demo/flags.ts";
import { FLAGS as KERNEL_FLAGS } from "../kernel/flags.ts";
import { FLAGS as SOAK_FLAGS } from "../soak/flags.ts";
import { DEFAULTS_FILE, makeDocuments, REFERENCE, WRITE_COMMAND } from "./documents.ts";

const ROOT = new URL("../../", import.meta.url);
const documents = await makeDocuments();

const read = (path: string): Promise<string> => Deno.readTextFile(new URL(path, ROOT));

for (const [path, text] of documents) {
  Deno.test(`${path} is what the tables say`, async () => {
    const written = await read(path).catch(() => "");
    assertEquals(written, text, `${path} differs from the programs' tables: run ${WRITE_COMMAND}`);
  });
}

/** Every table of flags and variables. */
const TABLES: Readonly<Record<string, SettingTable>> = {
  agent: SETTINGS,
  service: SERVICE_VARIABLES,
  installer: INSTALLER_VARIABLES,
  credentials: CREDENTIALS,
  proxies: PROXY_SETTINGS,
  ctl: GLOBAL_FLAGS,
  bench: BENCH_FLAGS,
  demo: DEMO_FLAGS,
  kernels: KERNEL_FLAGS,
  soak: SOAK_FLAGS,
  ...Object.fromEntries(COMMANDS.map(({ name, flags = {} }) => [`ctl ${name}`, flags])),
};

for (const [name, table] of Object.entries(TABLES)) {
  Deno.test(`settings of ${name}: a default is printed as it is typed`, () => {
    for (const [key, row] of Object.entries(table)) {
      const typed = formatDefault(row);
      if (typed !== undefined) assertEquals(row.type.parse(typed), row.default, key);
    }
  });
}

const KEY_TABLES: Readonly<Record<string, KeyTable>> = {
  PLUGIN_KEYS,
  NODE_KEYS,
  API_KEYS,
  LOG_KEYS,
};

Deno.test("keys of the plugin: a default is printed as it is written", () => {
  for (const table of Object.values(KEY_TABLES)) {
    for (const [name, row] of Object.entries(table)) {
      if (row.default === undefined) continue;
      const path = row.key.split(".");
      const json = path.reduceRight<unknown>(
        (value, part) => ({ [part]: value }),
        row.type.format(row.default),
      );
      const fields = new Fields(json as Record<string, unknown>);
      const values = new KeyReader(fields).read({ [name]: { ...row, default: "unread" } });
      assertEquals([values[name], fields.problems], [row.default, []], row.key);
    }
  }
});

/** An object that notes which of its fields are asked for, with the fields of the objects in it. */
function recorded(value: unknown, note: (path: string) => void, path = ""): unknown {
  if (Array.isArray(value)) return value.map((it) => recorded(it, note, path));
  if (typeof value !== "object" || value === null) return value;
  const inside = Object.fromEntries(
    Object.entries(value).map(([key, it]) => [key, recorded(it, note, nameIn(path, key))]),
  );
  const asked = (key: string | symbol): void => {
    if (typeof key === "string") note(nameIn(path, key));
  };
  return new Proxy(inside, {
    get: (target, key) => {
      asked(key);
      return Reflect.get(target, key);
    },
    getOwnPropertyDescriptor: (target, key) => {
      asked(key);
      return Reflect.getOwnPropertyDescriptor(target, key);
    },
  });
}

function nameIn(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

/** A configuration in which every object is that holds a key. */
const CONFIGURATION = {
  cniVersion: "1.1.0",
  name: "n",
  type: "calyx",
  agent_socket: "/run/calyx/agent.sock",
  ipam: {
    type: "host-local",
    subnet: "10.0.0.0/24",
    ranges: [[{ subnet: "10.0.1.0/24" }]],
    routes: [{ dst: "0.0.0.0/0" }],
  },
  runtimeConfig: { ipRanges: [[{ subnet: "10.0.2.0/24" }]] },
  args: { cni: {} },
  kubernetes: {},
  policy: {},
  container_settings: {},
  feature_control: {},
  dns: {},
  "cni.dev/valid-attachments": [{ containerID: "c", ifname: "eth0" }],
};

Deno.test("every key that the plugin reads is in its document", () => {
  const keys = new Set<string>();
  const json = recorded(CONFIGURATION, (path) => keys.add(path)) as Record<string, unknown>;
  const configuration = { ...parseConfiguration(JSON.stringify(CONFIGURATION)), json };
  parseSettings(configuration);
  readLogSettings(configuration);
  parseReservationPlace(configuration);
  parseHostLocal(configuration, { podCidrs: [], requested: undefined });
  parseValidAttachments(configuration);
  const page = documents.get(`${REFERENCE}/plugin.md`) ?? "";
  const isInText = (key: string): boolean => {
    // A range's keys stand once, and those of objects in a list are named beside the list's.
    const name = key.replace(/^(ipam\.ranges|runtimeConfig\.ipRanges)\./, "ipam.");
    const [, list, field] = /^(ipam\.routes|cni\.dev\/valid-attachments)\.(\w+)$/.exec(name) ?? [];
    if (list === undefined) return page.includes(`\`${name}\``) || isObject(name);
    return page.split("\n").some((it) => it.startsWith(`| \`${list}\``) && it.includes(`${field}`));
  };
  const isObject = (name: string): boolean => page.includes(`\`${name}.`);
  assertEquals([...keys].filter((it) => !isInText(it)).sort(), []);
  assertEquals(keys.size > 50, true, "The recorder notes nothing");
});

/** Sources of the programs, without tests. */
async function readSources(folder: string): Promise<readonly (readonly [string, string])[]> {
  const found: (readonly [string, string])[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(`${folder}/`, ROOT))) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await readSources(path));
    else if (/(?<!_test)\.ts$/.test(name)) found.push([path, await read(path)]);
  }
  return found;
}

/** How a source names a variable: as a text with a known beginning, or asked of the environment. */
const VARIABLE_REGEXP = new RegExp(
  '"((?:CALYX|CALICO|FELIX|K8S|KUBE\\w*|CNI|DATASTORE|NOTIFY|WATCHDOG|JOURNAL|DENO)_[A-Z0-9_]+' +
    '|[A-Z]+_PROXY|KUBECONFIG)"|(?:[eE]nvironment|variables|env)(?:\\.([A-Z][A-Z0-9_]+)\\b' +
    '|\\["([A-Z][A-Z0-9_]+)"\\]|\\.get\\("([A-Z][A-Z0-9_]+)"\\))',
  "g",
);

/** Set for programs that ours start, never read. */
const GIVEN = ["KUBERNETES_EXEC_INFO"];

Deno.test("every variable that a program reads is in a document", async () => {
  const pages = [...documents.values()].join("\n");
  const missing = new Set<string>();
  let found = 0;
  for (const folder of ["agent", "cni", "ctl", "lib"]) {
    for (const [path, text] of await readSources(folder)) {
      for (const [, ...names] of text.matchAll(VARIABLE_REGEXP)) {
        const name = names.find((it) => it !== undefined) ?? "";
        found++;
        if (!GIVEN.includes(name) && !pages.includes(`\`${name}\``)) {
          missing.add(`${path}: ${name}`);
        }
      }
    }
  }
  assertEquals([...missing].sort(), []);
  assertEquals(found > 50, true, "The pattern finds nothing");
});

Deno.test("every variable of a table is in a document", () => {
  const pages = [...documents.values()].join("\n");
  const variables = Object.values(TABLES).flatMap((it) => Object.values(it).flatMap(variablesOf));
  assertEquals(
    variables.filter((it) => !pages.includes(`\`${it.replace(/^CALICO_/, "")}\``)),
    [],
  );
});

Deno.test("install.sh reads the variables of the installer's table", async () => {
  const script = await read("deploy/install.sh");
  const names = [...script.matchAll(/\$\{([A-Z_]+):-/g)].map(([, name]) => name ?? "");
  const known = Object.values(INSTALLER_VARIABLES).flatMap(variablesOf);
  assertEquals([...new Set(names)].sort(), known.toSorted());
});

/** Documents that people write. */
const WRITTEN = [
  "README.md",
  "ARCHITECTURE.md",
  "deploy/calyx.yaml",
  "deploy/systemd/calyx-agent.service",
];

Deno.test("what people wrote names variables and metrics that there are", async () => {
  const variables = Object.values(TABLES).flatMap((it) => Object.values(it).flatMap(variablesOf));
  const metrics = METRICS.map((it) => `${METRIC_PREFIX}${it.name}`);
  const strange: string[] = [];
  for (const path of WRITTEN) {
    const text = await read(path);
    for (const [name] of text.matchAll(/\b(CALYX|FELIX|K8S)_[A-Z][A-Z0-9_]*[A-Z0-9]\b/g)) {
      if (!variables.includes(name)) strange.push(`${path}: ${name}`);
    }
    for (const [name] of text.matchAll(/\bcalyx_[a-z_]+[a-z]\b/g)) {
      if (!metrics.includes(name)) strange.push(`${path}: ${name}`);
    }
  }
  assertEquals(strange, []);
});

Deno.test(`${DEFAULTS_FILE} sets nothing by itself`, () => {
  const lines = (documents.get(DEFAULTS_FILE) ?? "").split("\n").filter((it) => it !== "");
  assertEquals(lines.filter((it) => !it.startsWith("#")), []);
});
