import { expect, test } from "vitest";
import { AddressRange, parseEgressAllow } from "./addresses.ts";
import { chooseResolvers } from "./resolvers.ts";
import { droppingTables } from "./rules.ts";

test("slots are counted through the range in fours", () => {
  const range = new AddressRange("10.213.0.0/16");
  expect([range.gateway(0), range.address(0), range.address(64), range.dns]).toEqual([
    "10.213.0.1",
    "10.213.0.2",
    "10.213.1.2",
    "10.213.255.254",
  ]);
  for (const slot of [0, 1, 63, 64, range.slots - 1]) expect(range.slotOf(range.address(slot))).toBe(slot);
  expect([range.slotOf(range.gateway(3)), range.slotOf(range.dns), range.slotOf("10.212.0.2")]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(new AddressRange("192.168.100.0/24").slots).toBe(63);
});

test.each(["10.213.0.0", "10.213.0.0/8", "10.213.1.0/16", "10.213.0.0/30", "x/16", "fd00::/16"])(
  "%s is no range for sandboxes",
  (cidr) => {
    expect(() => new AddressRange(cidr)).toThrow("not an IPv4 network");
  },
);

test("opened addresses are read from one line", () => {
  expect(parseEgressAllow("10.0.0.5:443, 10.1.0.0/16:80")).toEqual([
    { address: "10.0.0.5", port: 443 },
    { address: "10.1.0.0/16", port: 80 },
  ]);
  expect(parseEgressAllow("")).toEqual([]);
});

test.each([
  "10.0.0.5",
  "10.0.0.5:0",
  "10.0.0.5:70000",
  "10.0.0.5/33:1",
  "host:1",
  "10.0.0.5 accept #:1",
  "10.0.0.5/1/2:3",
])("%s opens nothing", (text) => {
  expect(() => parseEgressAllow(text)).toThrow("egress allow");
});

test("a loopback resolver is used only where there is no other", () => {
  expect(chooseResolvers(["127.0.0.53", "192.0.2.1"], "10.213.255.254")).toEqual({ nameservers: ["192.0.2.1"] });
  expect(chooseResolvers(["127.0.0.53"], "10.213.255.254")).toEqual({
    nameservers: ["10.213.255.254"],
    loopback: "127.0.0.53",
  });
  expect(chooseResolvers(["fd00::1"], "10.213.255.254")).toEqual({ nameservers: [] });
});

test("firewalls of others that drop what they do not know are named", () => {
  const chain = (table: string, hook: string, policy: string) => ({
    chain: { family: "ip", table, name: "x", hook, policy },
  });
  const nftables = [
    { metainfo: {} },
    chain("filter", "forward", "drop"),
    chain("mine", "forward", "accept"),
    chain("in", "input", "drop"),
  ];
  expect(droppingTables(JSON.stringify({ nftables }))).toEqual(["ip filter"]);
});
