/**
 * Messages of traffic control: queueing disciplines and the filters on them. RTM_*, `struct tcmsg`,
 * TCA_*: <linux/rtnetlink.h>; TC_H_*, TCA_U32_*, TCA_ACT_*: <linux/pkt_sched.h>, <linux/pkt_cls.h>;
 * `struct tc_mirred`: <linux/tc_act/tc_mirred.h>.
 */

import type { MessageKind } from "../message.ts";
import { attributes, bytes, type Codec, s32, struct, text, u16, u32, u8 } from "../schema.ts";

export const RTM_NEWQDISC = 36;
export const RTM_GETQDISC = 38;
export const RTM_NEWTFILTER = 44;
export const RTM_GETTFILTER = 46;

/** Parents of filters: what comes in by an interface, what goes out by it. */
export const PARENT_INGRESS = 0xfffffff2; // TC_H_CLSACT | TC_H_MIN_INGRESS
export const PARENT_EGRESS = 0xfffffff3; // TC_H_CLSACT | TC_H_MIN_EGRESS

/** `struct tcmsg`. */
export const tcmsg = struct("tcmsg", 20, {
  family: u8,
  pad1: u8,
  pad2: u16,
  index: s32, // of the interface
  handle: u32,
  parent: u32,
  info: u32,
});

/** `enum` of TCA_*. */
export const trafficAttributes = attributes("traffic", {
  kind: [1, text], // TCA_KIND
  options: [2, bytes], // TCA_OPTIONS: by kind
});

/** TCA_OPTIONS of a u32 filter. */
export const u32Options = attributes("u32", {
  actions: [7, bytes], // TCA_U32_ACT: attributes numbered from 1, each an action
});

/** An action of a filter: `enum` of TCA_ACT_*, and of TCA_MIRRED_* for the one kind that matters. */
export const action = attributes("action", {
  kind: [1, text], // TCA_ACT_KIND
  options: [2, attributes("mirred", { parameters: [2, bytes] })], // TCA_MIRRED_PARMS
});

/** `struct tc_mirred`. */
export const tcMirred = struct("tc_mirred", 28, {
  index: u32,
  capabilities: u32,
  action: s32,
  references: s32,
  bindings: s32,
  way: s32, // TCA_EGRESS_REDIR, …
  interfaceIndex: u32,
});

type TrafficKind = MessageKind<
  Record<"family" | "pad1" | "pad2" | "index" | "handle" | "parent" | "info", Codec<number>>,
  ReturnType<typeof trafficAttributes.read>
>;

function kind(name: string, type: number): TrafficKind {
  return { name, type, header: tcmsg, attributes: trafficAttributes };
}

export const NEWQDISC: TrafficKind = kind("RTM_NEWQDISC", RTM_NEWQDISC);
export const GETQDISC: TrafficKind = kind("RTM_GETQDISC", RTM_GETQDISC);
export const NEWTFILTER: TrafficKind = kind("RTM_NEWTFILTER", RTM_NEWTFILTER);
export const GETTFILTER: TrafficKind = kind("RTM_GETTFILTER", RTM_GETTFILTER);
