/**
 * The C library's functions that we call: the only `Deno.dlopen` of the code base.
 *
 * Calls are synchronous unless their name ends in `Nonblocking`. Integers that the kernel returns as
 * `ssize_t` are declared i32: every length here is far below 2 GiB, and i32 needs no BigInt.
 */

import { assert } from "../base/assert.ts";

const LIBRARY = {
  // int *__errno_location(void);
  __errno_location: { parameters: [], result: "pointer" },
  // int socket(int domain, int type, int protocol);
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int bind(int fd, const struct sockaddr *addr, socklen_t len);
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int connect(int fd, const struct sockaddr *addr, socklen_t len);
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int getsockname(int fd, struct sockaddr *addr, socklen_t *len);
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int getsockopt(int fd, int level, int optname, void *optval, socklen_t *optlen);
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  // int setsockopt(int fd, int level, int optname, const void *optval, socklen_t optlen);
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  // ssize_t send(int fd, const void *buf, size_t len, int flags);
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  // The same on a thread of its own, for batches that keep the kernel busy for long.
  sendNonblocking: {
    name: "send",
    parameters: ["i32", "buffer", "usize", "i32"],
    result: "i32",
    nonblocking: true,
  },
  // ssize_t recv(int fd, void *buf, size_t len, int flags);
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  // ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t tolen);
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "i32" },
  // ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *fromlen);
  recvfrom: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "buffer"], result: "i32" },
  // int poll(struct pollfd *fds, nfds_t nfds, int timeout);
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" },
  pollNonblocking: {
    name: "poll",
    parameters: ["buffer", "u64", "i32"],
    result: "i32",
    nonblocking: true,
  },
  // int eventfd(unsigned int initval, int flags);
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  // int open(const char *path, int flags, mode_t mode);
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  // ssize_t read(int fd, void *buf, size_t count);
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  // ssize_t write(int fd, const void *buf, size_t count);
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  // int close(int fd);
  close: { parameters: ["i32"], result: "i32" },
  // int ioctl(int fd, unsigned long request, ...);
  ioctl: { parameters: ["i32", "u64"], result: "i32" },
  // int statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *buf);
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
  // int unlink(const char *path);
  unlink: { parameters: ["buffer"], result: "i32" },
  // int getrlimit(int resource, struct rlimit *rlim);
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  // int setrlimit(int resource, const struct rlimit *rlim);
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  // int setns(int fd, int nstype);
  setns: { parameters: ["i32", "i32"], result: "i32" },
  // int unshare(int flags);
  unshare: { parameters: ["i32"], result: "i32" },
  // int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
  mount: { parameters: ["buffer", "buffer", "buffer", "u64", "buffer"], result: "i32" },
  // int umount2(const char *target, int flags);
  umount2: { parameters: ["buffer", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions above, callable. */
export type Symbols = Deno.DynamicLibrary<typeof LIBRARY>["symbols"];

let symbols: Symbols | undefined;

/** The C library's symbols; it is opened at the first call, not at import. */
export function libc(): Symbols {
  return symbols ??= openLibrary();
}

/**
 * Asks for addresses and calls through pointers. Asking for functions would have the runtime compile a
 * fast path for each of them, 0.25 ms a function, which every start of the CNI plugin would pay; the
 * calls are 2 µs instead of 0.2, next to a kernel that takes longer.
 */
function openLibrary(): Symbols {
  const definitions: [string, Deno.ForeignFunction][] = Object.entries(LIBRARY);
  const nameOf = ([key, { name = key }]: [string, Deno.ForeignFunction]): string => name;
  const statics = definitions.map((it) => [nameOf(it), { type: "pointer" }] as const);
  const addresses = Deno.dlopen("libc.so.6", Object.fromEntries(statics)).symbols;
  const functions = definitions.map((it): [string, unknown] => {
    const address = addresses[nameOf(it)] as Deno.PointerObject<Deno.ForeignFunction> | null;
    assert(address !== null, `The C library has ${nameOf(it)}`);
    const pointer = new Deno.UnsafeFnPointer(address, it[1]);
    return [it[0], pointer.call.bind(pointer)];
  });
  return Object.fromEntries(functions) as Symbols;
}
