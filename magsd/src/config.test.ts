import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { help, options, optionTable, readConfig } from "./config.ts";

test("without any setting everything has a value", () => {
  const config = readConfig({}, []);
  expect(config).toMatchObject({
    dataDir: "/var/lib/mags",
    listen: { host: "127.0.0.1", port: 7070 },
    imageDir: "/var/lib/mags/images",
    roles: ["server", "agent", "gateway"],
    poolMin: 2,
    poolMax: 8,
    logLimitBytes: 16 * 1024 * 1024,
    logDays: 30,
  });
  expect(config.vcpus).toBeGreaterThan(0);
  expect(config.memoryMb).toBeGreaterThan(0);
});

test("a variable that is empty counts as not set", () => {
  const empty = Object.fromEntries(options.map(({ env }) => [env, ""]));
  expect(readConfig(empty, [])).toEqual(readConfig({}, []));
});

test("what users see of the gateway follows where it listens", () => {
  expect(readConfig({ MAGS_APPS_LISTEN: "0.0.0.0:81", MAGS_SSH_LISTEN: "[::]:23" }, [])).toMatchObject({
    appsUrl: "http://apps.localhost:81",
    sshAddress: { host: "::", port: 23 },
    trustedProxies: [],
  });
  expect(
    readConfig(
      {
        MAGS_APPS_URL: "https://apps.example.com",
        MAGS_SSH_ADDRESS: "ssh.example.com:22",
        MAGS_TRUSTED_PROXIES: "127.0.0.1, 2001:db8::/32",
      },
      [],
    ),
  ).toMatchObject({
    appsUrl: "https://apps.example.com",
    sshAddress: { host: "ssh.example.com", port: 22 },
    trustedProxies: ["127.0.0.1", "2001:db8::/32"],
  });
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
  [{ MAGS_RUNTIME: "docker" }, "MAGS_RUNTIME: must be auto, container or qemu"],
  [{ MAGS_ROLES: "server,edge" }, "MAGS_ROLES: must be server, agent, gateway or several of them with commas"],
  [{ MAGS_ROLES: "agent,gateway" }, "MAGS_SERVER_URL: an agent or gateway without a server in its process needs it"],
  [{ MAGS_SERVER_URL: "http://127.0.0.1:1" }, "MAGS_SERVER_URL: this process is the server itself"],
  [{ MAGS_POOL_MIN: "5", MAGS_POOL_MAX: "4" }, "MAGS_POOL_MAX: is 4, less than MAGS_POOL_MIN, which is 5"],
  [{ MAGS_LOG_LEVEL: "loud" }, "MAGS_LOG_LEVEL: "],
  [{ MAGS_LISTEN: "127.0.0.1:99999" }, "MAGS_LISTEN: "],
  [{ MAGS_APPS_LISTEN: "7071" }, "MAGS_APPS_LISTEN: must be host:port"],
  [{ MAGS_APPS_URL: "apps.example.com" }, "MAGS_APPS_URL: must be a URL without a path"],
  [{ MAGS_APPS_URL: "https://apps.example.com/x" }, "MAGS_APPS_URL: must be a URL with a host name and without a path"],
  [{ MAGS_APPS_URL: "https://10.0.0.1" }, "MAGS_APPS_URL: must be a URL with a host name"],
  [{ MAGS_APPS_PRIVATE: "yes" }, "MAGS_APPS_PRIVATE: must be true or false"],
  [{ MAGS_TRUSTED_PROXIES: "10.0.0.0/33" }, "MAGS_TRUSTED_PROXIES: must be addresses or networks"],
  [{ MAGS_TRUSTED_PROXIES: "localhost" }, "MAGS_TRUSTED_PROXIES: must be addresses or networks"],
])("%o is refused", (env, message) => {
  expect(() => readConfig(env, [])).toThrow(message);
});

test("objects are kept in the data directory, in another one, or in a bucket", () => {
  const store = (env: Record<string, string>) => readConfig(env, []).store;
  expect(store({ MAGS_DATA_DIR: "/srv/mags" })).toEqual({ kind: "directory", path: "/srv/mags/objects" });
  expect(store({ MAGS_STORE: "directory" })).toEqual({ kind: "directory", path: "/var/lib/mags/objects" });
  expect(store({ MAGS_STORE: "/mnt/objects" })).toEqual({ kind: "directory", path: "/mnt/objects" });
  expect(store({ MAGS_STORE: "s3://my-bucket" })).toEqual({ kind: "s3", bucket: "my-bucket" });
  expect(
    store({
      MAGS_STORE: "s3://my-bucket/some/prefix/",
      MAGS_S3_ENDPOINT: "https://s3.example.com",
      AWS_ENDPOINT_URL: "https://not.me",
      AWS_DEFAULT_REGION: "eu-west-1",
      MAGS_S3_ACCESS_KEY_ID: "key",
      MAGS_S3_SECRET_ACCESS_KEY: "hidden",
      MAGS_S3_PATH_STYLE: "false",
    }),
  ).toEqual({
    kind: "s3",
    bucket: "my-bucket",
    prefix: "some/prefix",
    endpoint: "https://s3.example.com",
    region: "eu-west-1",
    accessKeyId: "key",
    secretAccessKey: "hidden",
    pathStyle: false,
  });
  expect(
    store({ MAGS_STORE: "s3://my-bucket", AWS_ENDPOINT_URL: "https://b", AWS_ENDPOINT_URL_S3: "https://a" }),
  ).toEqual({ kind: "s3", bucket: "my-bucket", endpoint: "https://a" });
});

test.each([
  [{ MAGS_STORE: "ftp://x" }, "MAGS_STORE: must be directory, an absolute path or s3://bucket[/prefix]"],
  [{ MAGS_STORE: "s3://" }, "MAGS_STORE: must be"],
  [{ MAGS_STORE: "s3://Not_A_Bucket" }, "MAGS_STORE: must be the name of a bucket"],
  [{ MAGS_STORE: "s3://bucket/a//b" }, "MAGS_STORE: must be of A-Z"],
  [{ MAGS_STORE: "s3://bucket", MAGS_S3_ENDPOINT: "s3.example.com" }, "MAGS_S3_ENDPOINT: must be a URL"],
  [{ MAGS_STORE: "s3://bucket", MAGS_S3_ENDPOINT: "https://u:hidden@h" }, "MAGS_S3_ENDPOINT: must be an address only"],
  [{ MAGS_STORE: "s3://bucket", MAGS_S3_ACCESS_KEY_ID: "key" }, "MAGS_S3_SECRET_ACCESS_KEY: "],
  [{ MAGS_STORE: "s3://bucket", MAGS_S3_SECRET_ACCESS_KEY: "hidden" }, "MAGS_S3_ACCESS_KEY_ID: "],
  [{ MAGS_S3_PATH_STYLE: "maybe" }, "MAGS_S3_PATH_STYLE: must be true or false"],
])("%o is refused, and no secret is told", (env, message) => {
  const reading = () => readConfig(env, []);
  expect(reading).toThrow(message);
  expect(reading).not.toThrow("hidden");
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
