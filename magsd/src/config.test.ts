import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { help, options, optionTable, readConfig } from "./config.ts";

test("without any setting everything has a value", () => {
  const config = readConfig({}, []);
  expect(config).toMatchObject({
    dataDir: "/var/lib/mags",
    listen: { host: "127.0.0.1", port: 7070 },
    imageDir: "/var/lib/mags/images",
    roles: ["server", "agent"],
    poolMin: 2,
    poolMax: 8,
    logLimitBytes: 16 * 1024 * 1024,
  });
  expect(config.vcpus).toBeGreaterThan(0);
  expect(config.memoryMb).toBeGreaterThan(0);
});

test("a variable that is empty counts as not set", () => {
  const empty = Object.fromEntries(options.map(({ env }) => [env, ""]));
  expect(readConfig(empty, [])).toEqual(readConfig({}, []));
});

test("the image directory follows the data directory", () => {
  expect(readConfig({ MAGS_DATA_DIR: "/srv/mags" }, []).imageDir).toBe("/srv/mags/images");
  expect(readConfig({ MAGS_DATA_DIR: "/srv/mags", MAGS_IMAGE_DIR: "/i" }, []).imageDir).toBe("/i");
});

test("every problem is told at once, with its variable", () => {
  const wrong = { MAGS_DATA_DIR: "here", MAGS_LISTEN: "7070", DATABASE_URL: "mysql://x", MAGS_POOL_MIN: "-1" };
  for (const name of Object.keys(wrong)) expect(() => readConfig(wrong, [])).toThrow(`${name}: `);
});

test.each([
  [{ MAGS_RUNTIME: "qemu" }, "MAGS_RUNTIME: machines with a kernel of their own (qemu) are not there yet"],
  [{ MAGS_RUNTIME: "docker" }, "MAGS_RUNTIME: must be auto or container"],
  [{ MAGS_ROLES: "gateway" }, "MAGS_ROLES: must be server, agent or server,agent"],
  [{ MAGS_ROLES: "agent" }, "MAGS_SERVER_URL: an agent alone needs it"],
  [{ MAGS_SERVER_URL: "http://127.0.0.1:1" }, "MAGS_SERVER_URL: this process is the server itself"],
  [{ MAGS_POOL_MIN: "5", MAGS_POOL_MAX: "4" }, "MAGS_POOL_MAX: is 4, less than MAGS_POOL_MIN, which is 5"],
  [{ MAGS_LOG_LEVEL: "loud" }, "MAGS_LOG_LEVEL: "],
  [{ MAGS_LISTEN: "127.0.0.1:99999" }, "MAGS_LISTEN: "],
])("%o is refused", (env, message) => {
  expect(() => readConfig(env, [])).toThrow(message);
});

test("--roles wins over MAGS_ROLES, and an unknown argument is refused", () => {
  expect(readConfig({ MAGS_ROLES: "server,agent" }, ["--roles", "server"]).roles).toEqual(["server"]);
  expect(() => readConfig({}, ["--rolls", "server"])).toThrow("--rolls");
  expect(() => readConfig({}, ["serve"])).toThrow("serve");
});

test("an address of IPv6 is written in brackets", () => {
  expect(readConfig({ MAGS_LISTEN: "[::1]:80" }, []).listen).toEqual({ host: "::1", port: 80 });
});

test("--help and docs/config.md tell every option", () => {
  const page = readFileSync(new URL("../../docs/config.md", import.meta.url), "utf8");
  for (const { env } of options) expect(help()).toContain(`  ${env} `);
  expect(page).toContain(optionTable());
});
