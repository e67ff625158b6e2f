import { expect, test } from "vitest";
import { NetworkPolicy, readAllowEntry } from "./api/network.ts";

test.each([
  ["example.com", { name: "example.com", below: false, port: undefined }],
  ["*.Example.COM.:443", { name: "example.com", below: true, port: 443 }],
  ["_dmarc.a-b.c", { name: "_dmarc.a-b.c", below: false, port: undefined }],
  ["192.0.2.7", { range: "192.0.2.7", port: undefined }],
  ["192.0.2.0/24:65535", { range: "192.0.2.0/24", port: 65_535 }],
])("%s is allowed to be allowed", (text, entry) => {
  expect(readAllowEntry(text)).toEqual(entry);
});

test.each([
  "",
  "*",
  "a..b",
  "-a.b",
  "a b",
  "a.b:0",
  "a.b:65536",
  "a.b:",
  "300.0.0.1",
  "1.2.3.4/33",
  "1.2.3",
  "1.2.3.4/",
  "::1",
  "a.*.b",
  "a;accept",
  "x".repeat(64),
  `${"abcdefg.".repeat(40)}com`,
])("%j is not", (text) => {
  expect(readAllowEntry(text)).toBeUndefined();
  expect(NetworkPolicy.safeParse({ allow: [text] }).success).toBe(false);
});
