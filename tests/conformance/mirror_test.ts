import { assertEquals } from "@std/assert";
import { mirrorAddress, mirrorPolicy, mirrorPrefix } from "./mirror.ts";

Deno.test("mirrorPrefix() holds the mirrored hosts", () => {
  assertEquals(mirrorAddress("192.168.1.4"), "fd00:ca17::c0a8:104");
  assertEquals(mirrorPrefix("192.168.1.0/24"), "fd00:ca17::c0a8:100/120");
  assertEquals(mirrorPrefix("192.168.1.4/32"), "fd00:ca17::c0a8:104/128");
  assertEquals(mirrorPrefix("0.0.0.0/0"), "::/0");
});

Deno.test("IPv6 mirrors itself", () => {
  assertEquals(mirrorAddress("fd00::1"), "fd00::1");
  assertEquals(mirrorPrefix("fd00::/64"), "fd00::/64");
});

const POLICY = {
  kind: "NetworkPolicy",
  spec: {
    ingress: [{
      from: [
        { ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] } },
        { podSelector: {} },
        { ipBlock: { cidr: "fd00::/8" } },
      ],
    }],
    egress: [{ to: [{ networks: ["10.0.0.0/8", "::/0"] }] }],
  },
};

Deno.test("mirrorPolicy() leaves IPv4 alone", () => {
  assertEquals(mirrorPolicy(POLICY, 4), POLICY);
});

Deno.test("mirrorPolicy() puts IPv6 in the place of IPv4", () => {
  assertEquals(mirrorPolicy(POLICY, 6), {
    kind: "NetworkPolicy",
    spec: {
      ingress: [{
        from: [
          { ipBlock: { cidr: "fd00:ca17::a00:0/104", except: ["fd00:ca17::a01:0/112"] } },
          { podSelector: {} },
          { ipBlock: { cidr: "fd00::/8" } },
        ],
      }],
      egress: [{ to: [{ networks: ["fd00:ca17::a00:0/104", "::/0"] }] }],
    },
  });
});

Deno.test("mirrorPolicy() adds IPv6 to IPv4", () => {
  assertEquals(mirrorPolicy(POLICY, undefined), {
    kind: "NetworkPolicy",
    spec: {
      ingress: [{
        from: [
          { ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] } },
          { ipBlock: { cidr: "fd00:ca17::a00:0/104", except: ["fd00:ca17::a01:0/112"] } },
          { podSelector: {} },
          { ipBlock: { cidr: "fd00::/8" } },
        ],
      }],
      egress: [{ to: [{ networks: ["10.0.0.0/8", "fd00:ca17::a00:0/104", "::/0"] }] }],
    },
  });
});

Deno.test("mirrorPolicy() leaves what no server accepts as it is", () => {
  const from = [
    null,
    { ipBlock: null },
    { ipBlock: { cidr: "300.0.0.0/8", except: "10.0.0.0/8" } },
    { ipBlock: { cidr: 5, until: "noon" }, podSelector: {} },
  ];
  const policy = { spec: { ingress: [{ from }], egress: [{ to: [{ networks: ["bad", 7] }] }] } };
  const mirrored = { cidr: "300.0.0.0/8", except: "fd00:ca17::a00:0/104" };
  assertEquals(mirrorPolicy(policy, 6), {
    spec: {
      ingress: [{ from: from.with(2, { ipBlock: mirrored }) }],
      egress: [{ to: [{ networks: ["bad", 7] }] }],
    },
  });
});
