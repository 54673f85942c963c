import { assertEquals, assertThrows } from "@std/assert";
import { CredentialsError } from "./error.ts";
import { environmentProxy, parseProxy } from "./proxy.ts";

Deno.test("environmentProxy() chooses as kubectl does", () => {
  const PROXY = "http://10.9.9.9:3128/";
  const through = (server: string, exceptions: string): string | undefined =>
    environmentProxy(server, { HTTPS_PROXY: PROXY, NO_PROXY: exceptions })?.name;
  const NAME = "proxy http://10.9.9.9:3128 (HTTPS_PROXY)";
  const cases: readonly (readonly [server: string, exceptions: string, isDirect: boolean])[] = [
    ["https://10.0.0.1:6443", "", false],
    ["https://127.0.0.1:6443", "", true],
    ["https://127.8.9.10", "", true],
    ["https://[::1]:6443", "", true],
    ["https://localhost:6443", "", true],
    ["https://[::ffff:127.0.0.1]:6443", "", true],
    ["https://[::ffff:128.0.0.1]:6443", "", false],
    ["https://127.0.0.1.example.com", "", false],
    ["https://10.0.0.1", "*", true],
    ["https://10.0.0.1", "x, * ,y", true],
    ["https://10.0.0.1:6443", "10.0.0.1", true],
    ["https://10.0.0.1:6443", "10.0.0.1:6443", true],
    ["https://10.0.0.1:6443", "10.0.0.1:443", false],
    ["https://10.0.0.1", "10.0.0.1:443", true],
    ["https://10.0.0.1:6443", "10.0.0.0/8", true],
    ["https://11.0.0.1:6443", "10.0.0.0/8,fd00::/8", false],
    ["https://[fd00::1]:6443", "fd00::/8", true],
    ["https://[fd00::1]:6443", "fd00:0::1", true],
    ["https://[fd00::1]:6443", "[fd00::1]:6443", true],
    ["https://[fd00::1]:6443", "[fd00::1]:443", false],
    ["https://api.example.com:6443", "example.com", true],
    ["https://api.example.com:6443", "EXAMPLE.com:6443", true],
    ["https://example.com", "example.com", true],
    ["https://example.com", ".example.com", false],
    ["https://api.example.com", ".example.com", true],
    ["https://api.example.com", "*.example.com", true],
    ["https://badexample.com", "example.com", false],
    ["https://10.0.0.1", ",,", false],
  ];
  for (const [server, exceptions, isDirect] of cases) {
    const expected = isDirect ? undefined : NAME;
    assertEquals(through(server, exceptions), expected, `${server} without ${exceptions}`);
  }
});

Deno.test("environmentProxy() takes the variable of the server's protocol, as it is spelt", () => {
  const both = { HTTP_PROXY: "http://plain:1", https_proxy: "tls:2", ALL_PROXY: "http://all:3" };
  assertEquals(environmentProxy("http://10.0.0.1", both)?.options, { url: "http://plain:1/" });
  assertEquals(environmentProxy("https://10.0.0.1", both)?.options, { url: "http://tls:2/" });
  assertEquals(environmentProxy("https://10.0.0.1", { ALL_PROXY: "http://all:3" }), undefined);
  assertEquals(environmentProxy("https://10.0.0.1", { HTTPS_PROXY: "http://u:p%40@h:1" }), {
    name: "proxy http://h:1 (HTTPS_PROXY)",
    options: { url: "http://h:1/", basicAuth: { username: "u", password: "p@" } },
  });
  assertEquals(
    assertThrows(
      () => environmentProxy("https://10.0.0.1", { HTTPS_PROXY: "ftp://u:secret@h" }),
      CredentialsError,
    ).message,
    "HTTPS_PROXY names a proxy that is not supported: " +
      'it must be a URL that begins with "http://", "https://", "socks5://" or "socks5h://"',
  );
});

Deno.test("environmentProxy() refuses a name or password that percent signs spoil", () => {
  for (const user of ["u%:p", "u:p%f", "u:%ff"]) {
    assertEquals(
      assertThrows(
        () => environmentProxy("https://10.0.0.1", { HTTPS_PROXY: `http://${user}@h:1` }),
        CredentialsError,
      ).message,
      "User or password of the proxy (HTTPS_PROXY) is malformed: write what is no letter or digit as UTF-8 in " +
        'percent, "%" as "%25"',
    );
  }
});

Deno.test("parseProxy() never repeats what may hold a password", () => {
  assertEquals(
    parseProxy("http://u:secret@h:1", 'cluster "x"')?.name,
    [
      'proxy http://h:1 (proxy-url of cluster "x")',
    ].join(),
  );
  assertEquals(
    assertThrows(() => parseProxy("ftp://u:secret@h", 'cluster "x"'), CredentialsError).message,
    'Cluster "x" has a proxy-url that is not supported: ' +
      'it must be a URL that begins with "http://", "https://", "socks5://" or "socks5h://"',
  );
});
