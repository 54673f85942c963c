/** The socket against a real kernel; what a kernel rarely does is done to what recv(2) brings. */

import { assertEquals, assertThrows } from "@std/assert";
import { requireIsolation } from "../../tests/support/isolation/isolation.ts";
import { TestNamespace } from "../../tests/support/kernel/test_namespace.ts";
import { assert } from "../base/assert.ts";
import { HOST_IS_LITTLE_ENDIAN } from "../base/bytes.ts";
import { KernelError } from "../kernel/errno.ts";
import { withNamespace } from "../kernel/namespace.ts";
import { Poller } from "../kernel/poller.ts";
import { libc } from "../kernel/symbols.ts";
import { viewOf } from "./buffer.ts";
import { isExists, isNotFound, NetlinkError } from "./error.ts";
import {
  addLink,
  addVeth,
  deleteLink,
  dumpLinks,
  getLink,
  isDeletedLink,
  type Link,
  parseLink,
  setLink,
} from "./link/link.ts";
import { RTNLGRP_LINK } from "./link/message.ts";
import { NLM_F_DUMP_INTR, type RawMessage, type Request } from "./message.ts";
import {
  NETLINK_ROUTE,
  type NetlinkSocket,
  openNetlinkSocket,
  type SocketCalls,
} from "./socket.ts";

/** A bridge without ports: a link that needs nothing else. */
function bridge(name: string): Request {
  return addLink({ kind: "bridge", name });
}

/** A socket in `pod` that calls these instead of the C library. */
function openWith(pod: TestNamespace, calls: Partial<SocketCalls> = {}): NetlinkSocket {
  return withNamespace(
    pod.namespace,
    () => openNetlinkSocket(NETLINK_ROUTE, { ...libc(), ...calls }),
  );
}

function namesOf(messages: readonly RawMessage[]): string[] {
  return messages.map((it) => parseLink(it).name).sort();
}

/** What is in the middle of a pipeline that fails. */
function assertNetlinkError(result: unknown): NetlinkError {
  assert(result instanceof NetlinkError);
  return result;
}

Deno.test("request() returns what the kernel answered", () => {
  requireIsolation();
  using pod = new TestNamespace();
  const [message, ...rest] = pod.route.request(getLink({ name: "lo" }));
  assert(message !== undefined);
  const { index, name, address, up }: Link = parseLink(message);
  assertEquals([index, name, address, up], [1, "lo", "00:00:00:00:00:00", false]);
  assertEquals(rest, []);
});

Deno.test("request() throws operation, code and the kernel's own words", () => {
  requireIsolation();
  using pod = new TestNamespace();
  pod.route.request(bridge("taken"));
  const cases: readonly (readonly [Request, string, boolean, boolean])[] = [
    [bridge("taken"), 'Cannot RTM_NEWLINK link "taken": EEXIST', false, true],
    [getLink({ name: "none" }), 'Cannot RTM_GETLINK link "none": ENODEV', true, false],
    [deleteLink({ index: 99 }), "Cannot RTM_DELLINK link 99: ENODEV", true, false],
    [
      setLink({ name: "taken", mtu: 10 }),
      'Cannot RTM_SETLINK link "taken": EINVAL (mtu less than device minimum)',
      false,
      false,
    ],
  ];
  for (const [request, message, notFound, exists] of cases) {
    const error = assertThrows(() => pod.route.request(request), NetlinkError);
    assertEquals([error.message, isNotFound(error), isExists(error)], [message, notFound, exists]);
    assertEquals(error.message.includes(`Cannot ${error.operation}: ${error.code}`), true);
    assertEquals(error.request, request);
  }
});

Deno.test("request() says which attribute the kernel refused", () => {
  requireIsolation();
  using pod = new TestNamespace();
  const name = "a-name-of-more-than-fifteen-bytes";
  const error = assertThrows(() => pod.route.request(bridge(name)), NetlinkError);
  // 16 bytes of struct nlmsghdr, 16 of struct ifinfomsg, then IFLA_IFNAME.
  assertEquals([error.code, error.errno, error.attributeOffset], ["ERANGE", 34, 32]);
});

Deno.test("pipeline() answers each in order, though one in the middle is refused", () => {
  requireIsolation();
  using pod = new TestNamespace();
  const results = pod.route.pipeline([
    bridge("one"),
    setLink({ name: "one", mtu: 1 }),
    bridge("one"),
    getLink({ name: "one" }),
    bridge("two"),
  ]);
  assertEquals(results.length, 5);
  assertEquals(
    [assertNetlinkError(results[1]).message, assertNetlinkError(results[2]).code],
    ['Cannot RTM_SETLINK link "one": EINVAL (mtu less than device minimum)', "EEXIST"],
  );
  for (const index of [0, 3, 4]) {
    const replies = results[index];
    assert(replies !== undefined && !(replies instanceof NetlinkError), `result ${index}`);
    // Before Linux 6.2 what makes a link is answered without it (NLM_F_ECHO).
    if (index !== 3 && replies.length === 0) continue;
    assertEquals(namesOf(replies), [index === 4 ? "two" : "one"]);
  }
  assertEquals(namesOf(pod.route.dump(dumpLinks())), ["lo", "one", "two"]);
});

Deno.test("pipeline() of nothing is nothing", () => {
  requireIsolation();
  using pod = new TestNamespace();
  assertEquals(pod.route.pipeline([]), []);
});

Deno.test("pipeline() takes hundreds at once", () => {
  requireIsolation();
  using pod = new TestNamespace();
  const results = pod.route.pipeline(
    Array.from({ length: 500 }, (_, i) => i % 100 === 99 ? bridge("lo") : getLink({ name: "lo" })),
  );
  const failures = results.flatMap((it, index) => it instanceof NetlinkError ? [index] : []);
  assertEquals(failures, [99, 199, 299, 399, 499]);
  assertEquals(results.every((it) => it instanceof NetlinkError || it.length === 1), true);
});

Deno.test("pipeline() whose acknowledgement is lost throws instead of waiting", () => {
  requireIsolation();
  using pod = new TestNamespace();
  using socket = openWith(pod, {
    recv(fd, buffer, length, flags) {
      while (libc().recv(fd, buffer, length, flags) >= 0); // swallows every message
      return -1; // with EAGAIN of the last call
    },
  });
  const error = assertThrows(() => socket.request(getLink({ name: "lo" })), NetlinkError);
  assertEquals(error.code, "ENOBUFS");
});

Deno.test("dump() takes answers of many datagrams", () => {
  requireIsolation();
  using pod = new TestNamespace();
  const names = Array.from({ length: 40 }, (_, i) => `bridge${i}`);
  for (const result of pod.route.pipeline(names.map(bridge))) assert(Array.isArray(result));
  let datagrams = 0;
  using socket = openWith(pod, {
    recv(...args) {
      datagrams++;
      return libc().recv(...args);
    },
  });
  assertEquals(namesOf(socket.dump(dumpLinks())), ["lo", ...names].sort());
  assert(datagrams > 2, `${datagrams} datagrams`);
});

Deno.test("dump() throws what the kernel refuses", () => {
  requireIsolation();
  using pod = new TestNamespace();
  const error = assertThrows(() => pod.route.dump(getLink({ index: 1 })), NetlinkError);
  assertEquals(
    error.message,
    "Cannot RTM_GETLINK link 1: EINVAL (Filter by device index not supported for link dumps)",
  );
  assertEquals(pod.route.dump(dumpLinks()).length, 1); // the socket goes on
});

/** Calls that mark the first `count` dumps as interrupted, and count all. */
function interruptDumps(count: number): { readonly calls: Partial<SocketCalls>; dumps: number } {
  const state = {
    dumps: 0,
    calls: {
      send(fd, buffer, length, flags) {
        state.dumps++;
        return libc().send(fd, buffer, length, flags);
      },
      recv(fd, buffer, length, flags) {
        const received = libc().recv(fd, buffer, length, flags);
        if (received > 0 && state.dumps <= count && buffer instanceof Uint8Array) {
          const view = viewOf(buffer);
          const before = view.getUint16(6, HOST_IS_LITTLE_ENDIAN); // nlmsg_flags
          view.setUint16(6, before | NLM_F_DUMP_INTR, HOST_IS_LITTLE_ENDIAN);
        }
        return received;
      },
    } satisfies Partial<SocketCalls>,
  };
  return state;
}

Deno.test("dump() starts again when it was interrupted", () => {
  requireIsolation();
  using pod = new TestNamespace();
  pod.route.request(bridge("one"));
  const state = interruptDumps(7);
  using socket = openWith(pod, state.calls);
  assertEquals(namesOf(socket.dump(dumpLinks())), ["lo", "one"]);
  assertEquals(state.dumps, 8);
});

Deno.test("dump() gives up when it is interrupted for ever", () => {
  requireIsolation();
  using pod = new TestNamespace();
  const state = interruptDumps(Infinity);
  using socket = openWith(pod, state.calls);
  const error = assertThrows(() => socket.dump(dumpLinks()), NetlinkError);
  assertEquals([error.message, state.dumps], ["Cannot dump RTM_GETLINK links: EINTR", 8]);
});

Deno.test("dumpParts() brings in parts what dump() does, and says whether it is whole", () => {
  requireIsolation();
  using pod = new TestNamespace();
  const names = Array.from({ length: 40 }, (_, i) => `bridge${i}`);
  for (const result of pod.route.pipeline(names.map(bridge))) assert(Array.isArray(result));
  for (const interrupted of [0, 1]) {
    using socket = openWith(pod, interruptDumps(interrupted).calls);
    const parts: (readonly RawMessage[])[] = [];
    const dump = socket.dumpParts(dumpLinks());
    let next = dump.next();
    for (; !next.done; next = dump.next()) parts.push(next.value);
    assert(parts.length > 2, `${parts.length} parts`);
    assertEquals(namesOf(parts.flat()), ["lo", ...names].sort());
    assertEquals(next.value, interrupted === 0);
  }
});

Deno.test("dumpParts() that is left early leaves the socket to others", () => {
  requireIsolation();
  using pod = new TestNamespace();
  const names = Array.from({ length: 40 }, (_, i) => `bridge${i}`);
  for (const result of pod.route.pipeline(names.map(bridge))) assert(Array.isArray(result));
  for (const part of pod.route.dumpParts(dumpLinks())) {
    assert(part.length > 0);
    break;
  }
  assertEquals(namesOf(pod.route.dump(dumpLinks())), ["lo", ...names].sort());
});

Deno.test("receive() says that notifications were lost, once, and goes on", () => {
  requireIsolation();
  using pod = new TestNamespace();
  const small = new Uint8Array(4);
  viewOf(small).setUint32(0, 4096, HOST_IS_LITTLE_ENDIAN);
  const [SO_RCVBUF, SO_RCVBUFFORCE] = [8, 33];
  using monitor = openWith(pod, {
    setsockopt: (fd, level, option, value, length) =>
      [SO_RCVBUF, SO_RCVBUFFORCE].includes(option) && level === 1
        ? libc().setsockopt(fd, level, option, small, 4)
        : libc().setsockopt(fd, level, option, value, length),
  });
  monitor.join(RTNLGRP_LINK);
  assertEquals(monitor.receive(), { messages: [], overrun: false });
  for (let i = 0; i < 20; i++) pod.route.request(bridge(`bridge${i}`));
  const { messages, overrun } = monitor.receive();
  assertEquals(overrun, true);
  assert(messages.length < 20, `${messages.length} notifications`);
  pod.route.request(deleteLink({ name: "bridge0" }));
  const after = monitor.receive();
  assertEquals(after.overrun, false);
  assertEquals(after.messages.filter(isDeletedLink).map((it) => parseLink(it).name), ["bridge0"]);
});

Deno.test("join() refuses a group that does not exist", () => {
  requireIsolation();
  using pod = new TestNamespace();
  const error = assertThrows(() => pod.route.join(4000), KernelError);
  assertEquals(error.message, "Cannot join netlink group 4000: EINVAL");
});

Deno.test("join() and Poller bring notifications of links", async () => {
  requireIsolation();
  using pod = new TestNamespace();
  using monitor = openWith(pod);
  monitor.join(RTNLGRP_LINK);
  const poller = new Poller();
  const seen: string[] = [];
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  poller.watch(monitor.fd, () => {
    const { messages, overrun } = monitor.receive();
    assertEquals(overrun, false);
    for (const message of messages) {
      const state = isDeletedLink(message) ? "gone" : parseLink(message).up ? "up" : "down";
      seen.push(`${parseLink(message).name} ${state}`);
    }
    if (seen.some((it) => it.endsWith("gone"))) resolve();
  });
  pod.route.request(bridge("eth0"));
  pod.route.request(setLink({ name: "eth0", up: true }));
  pod.route.request(deleteLink({ name: "eth0" }));
  await gone;
  poller[Symbol.dispose]();
  await poller.done;
  // The kernel also tells steps in between, which differ from version to version.
  const order = ["eth0 down", "eth0 up", "eth0 gone"].map((it) => seen.indexOf(it));
  assertEquals(order.every((it) => it >= 0), true, seen.join(", "));
  assertEquals([...order].sort((a, b) => a - b), order);
});

Deno.test("a socket stays in the namespace in which it was opened", () => {
  requireIsolation();
  using one = new TestNamespace();
  using two = new TestNamespace();
  one.route.request(addVeth({
    name: "near",
    peer: { name: "far", namespaceFd: two.namespace.fd },
  }));
  const names = [one, two].map((it) => namesOf(it.route.dump(dumpLinks())));
  assertEquals(names, [["lo", "near"], ["far", "lo"]]);
  withNamespace(two.namespace, () => assertEquals(namesOf(one.route.dump(dumpLinks())), names[0]));
});

Deno.test("a socket outlives the name of its namespace", () => {
  requireIsolation();
  let socket: NetlinkSocket;
  {
    using pod = new TestNamespace();
    socket = openWith(pod);
  }
  assertEquals(namesOf(socket.dump(dumpLinks())), ["lo"]);
  socket[Symbol.dispose]();
});

Deno.test("openNetlinkSocket() closes what it opened when it fails later", () => {
  requireIsolation();
  using pod = new TestNamespace();
  const closed: number[] = [];
  let opened = -1;
  const calls: Partial<SocketCalls> = {
    socket: (...args) => opened = libc().socket(...args),
    bind: (fd) => libc().bind(fd, new Uint8Array(12), 1), // EINVAL
    close(fd) {
      closed.push(fd);
      return libc().close(fd);
    },
  };
  const error = assertThrows(() => openWith(pod, calls), KernelError);
  assertEquals([error.message, closed], ["Cannot bind netlink socket: EINVAL", [opened]]);
});

Deno.test("a send that fails is a KernelError, and the socket goes on", () => {
  requireIsolation();
  using pod = new TestNamespace();
  let broken = true;
  using socket = openWith(pod, {
    send: (fd, buffer, length, flags) => libc().send(broken ? -1 : fd, buffer, length, flags),
  });
  const error = assertThrows(() => socket.request(getLink({ name: "lo" })), KernelError);
  assertEquals(error.message, "Cannot send netlink message: EBADF");
  broken = false;
  assertEquals(namesOf(socket.request(getLink({ name: "lo" }))), ["lo"]);
});
