import { assertEquals } from "@std/assert";
import { createLogger } from "../lib/base/log.ts";
import { Address } from "../lib/ip/address.ts";
import { type Desired, type DesiredEndpoint, NOTHING_DESIRED } from "../lib/model/desired.ts";
import type { Attachment } from "../lib/model/facts.ts";
import { aliasOf } from "../lib/model/link_alias.ts";
import type { Link } from "../lib/netlink/link/link.ts";
import { StandIn } from "./stand_in.ts";

const ADDRESS = "10.0.0.1";
const ENDPOINT: DesiredEndpoint = {
  interfaceName: "cali1",
  workload: "x/web",
  uid: "u1",
  addresses: [Address.parse(ADDRESS)],
  attachedAddresses: [Address.parse(ADDRESS)],
  ingress: "p",
  egress: undefined,
  hostEgress: undefined,
};
const ATTACHMENT: Attachment = {
  containerId: "c1",
  ifname: "eth0",
  namespace: "x",
  pod: "web",
  uid: "u1",
  interfaceName: "cali1",
  addresses: [Address.parse(ADDRESS)],
};

function link(pod: string | undefined, name = "cali1"): Link {
  const id = { network: "n", containerId: "c1", ifname: "eth0" };
  const alias = pod === undefined ? undefined : aliasOf(id, { namespace: "x", name: pod });
  return { name, index: 5, alias } as Link;
}

interface Scene {
  readonly endpoint?: DesiredEndpoint;
  readonly attachments?: readonly Attachment[];
  readonly links?: readonly Link[];
  readonly isTableAtWork?: boolean;
}

function standIn(
  { endpoint, attachments = [], links = [], isTableAtWork = false }: Scene,
): StandIn {
  const program = (it: DesiredEndpoint): Desired => ({
    ...NOTHING_DESIRED,
    endpoints: new Map([[it.interfaceName ?? it.workload, it]]),
  });
  return new StandIn({
    remembered: () => endpoint && { desired: program(endpoint), savedAtMs: 0 },
    attachments: () => attachments,
    links: () => new Map(links.map((it) => [it.name, it])),
    hostRoutes: () => new Map([[5, ["fd00::1"]]]),
    isTableAtWork: () => isTableAtWork,
    logger: createLogger({ write: () => {} }),
  });
}

/** The keys of the endpoints that it stands in with. */
function keysOf(scene: Scene): readonly string[] {
  const it = standIn(scene);
  it.begin();
  return [...it.desired?.endpoints.keys() ?? []];
}

Deno.test("StandIn opens an interface only for the pod that it was opened for", () => {
  const attachments = [ATTACHMENT];
  const links = [link("web")];
  const other = (change: Partial<Attachment>): Scene => ({
    ...{ endpoint: ENDPOINT, links, attachments: [{ ...ATTACHMENT, ...change }] },
  });
  const unattached = { ...ENDPOINT, attachedAddresses: [] };
  const cases: readonly (readonly [string, Scene, readonly string[]])[] = [
    ["as it was", { endpoint: ENDPOINT, attachments, links }, ["cali1"]],
    ["uid not said", other({ uid: undefined }), ["cali1"]],
    ["another pod", other({ pod: "db" }), []],
    ["another uid", other({ uid: "u2" }), []],
    ["another address", other({ addresses: [Address.parse("10.0.0.2")] }), []],
    ["taken away", { endpoint: ENDPOINT, links }, []],
    ["interface gone", { endpoint: ENDPOINT, attachments }, []],
    ["found by its link", { endpoint: unattached, links }, ["cali1"]],
    ["no alias", { endpoint: unattached, links: [link(undefined), link("z", "cali2")] }, ["cali1"]],
    ["another pod's link", { endpoint: unattached, links: [link("db")] }, []],
    ["another plugin's", { endpoint: unattached }, ["x/web"]],
  ];
  for (const [what, scene, keys] of cases) assertEquals(keysOf(scene), keys, what);
});

Deno.test("StandIn closes every interface where no program is known", () => {
  const it = standIn({ attachments: [ATTACHMENT], links: [link("web"), link(undefined, "eth0")] });
  assertEquals([it.begin(), it.isSkeleton], [true, true]);
  const endpoints = [...it.desired?.endpoints.values() ?? []];
  assertEquals(endpoints.map((it) => [it.interfaceName, it.addresses.map(String), it.isClosed]), [
    ["cali1", [ADDRESS, "fd00::1"], true],
  ]);
});

Deno.test("StandIn stands in only where it must, and not after its end", () => {
  const scene = { endpoint: ENDPOINT, attachments: [ATTACHMENT], links: [link("web")] };
  assertEquals(standIn({}).begin(), false);
  assertEquals(standIn({ ...scene, isTableAtWork: true }).begin(), false);
  const it = standIn(scene);
  assertEquals([it.begin(), it.begin(), it.isActive], [true, false, true]);
  assertEquals(it.details, ["Stale: enforcing what was known at 1970-01-01T00:00:00.000Z"]);
  it.end();
  assertEquals([it.isActive, it.desired, it.details, it.begin()], [false, undefined, [], false]);
});
