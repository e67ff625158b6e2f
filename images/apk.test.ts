import { spawn } from "@mags/kit";
import { expect, test } from "vitest";

const APK = new URL("base/files/usr/local/bin/apk", import.meta.url).pathname;

/** What `apk <args>` would run, or why it refuses. */
async function apk(args: string) {
  const result = await spawn("sh", [APK, ...args.split(" ")], { env: { APK_PRINT: "1" }, reject: false });
  return { code: result.exitCode, out: result.stdout, err: result.stderr };
}
const INSTALL = "apt-get install -y -qq --no-install-recommends";

test.each([
  ["py3-requests", "python3-requests"],
  ["py3-pip", "python3-pip"],
  ["python3-dev", "python3-dev"],
  ["build-base", "build-essential"],
  ["go", "golang-go"],
  ["rust cargo", "rustc cargo"],
  ["gcc g++ make musl-dev", "gcc g++ make libc6-dev"],
  ["libffi-dev openssl-dev zlib-dev", "libffi-dev libssl-dev zlib1g-dev"],
  ["postgresql-client", "postgresql-client"],
  ["postgresql15-client", "postgresql-client"],
  ["sqlite", "sqlite3"],
  ["openssh-client", "openssh-client"],
  ["openjdk17-jre", "openjdk-17-jre"],
  ["linux-headers", "linux-libc-dev"],
  ["nodejs npm", "nodejs"],
  ["bash curl git", "bash curl git"],
])("add %s installs %s", async (given, wanted) => {
  expect(await apk(`add ${given}`)).toEqual({ code: 0, out: `${INSTALL} ${wanted}`, err: "" });
});

test.each([
  ["add --no-cache jq", `${INSTALL} jq`],
  ["add -q --no-progress jq", `${INSTALL} jq`],
  ["--no-cache add jq", `${INSTALL} jq`],
  ["add -U jq", `apt-get update -qq\n${INSTALL} jq`],
  ["add --virtual .build-deps gcc", `${INSTALL} gcc`],
  ["add --virtual=.build-deps gcc", `${INSTALL} gcc`],
  ["add -t .build-deps gcc", `${INSTALL} gcc`],
  ["add --repository https://dl-cdn.alpinelinux.org/edge jq", `${INSTALL} jq`],
  ["add curl=8.5.0-r0 jq~1.7 git@edge", `${INSTALL} curl jq git`],
  ["add musl libc6-compat", ""],
  ["add", ""],
  ["del gcc", "apt-get remove -y -qq --autoremove gcc"],
  ["del .not-there", ""],
  ["update", "apt-get update -qq"],
  ["upgrade", "apt-get -y -qq upgrade"],
  ["-U upgrade", "apt-get -y -qq upgrade"],
  ["search redis", "apt-cache search --names-only redis"],
  ["cache clean", "apt-get clean"],
])("%s", async (args, out) => {
  expect(await apk(args)).toEqual({ code: 0, out, err: "" });
});

test("--simulate prints as APK_PRINT does", async () => {
  const result = await spawn("sh", [APK, "add", "--simulate", "go"], { reject: false });
  expect(result.stdout).toBe(`${INSTALL} golang-go`);
});

test("info -e says by its exit code what is installed", async () => {
  expect(await apk("info -e bash")).toMatchObject({ code: 0, out: "bash" });
  expect(await apk("info -e no-such-package")).toMatchObject({ code: 1, out: "" });
});

test.each([
  ["add docker", "docker cannot run inside of a sandbox"],
  ["install jq", "'install' is not an apk command here"],
])("%s is refused with a reason", async (args, reason) => {
  const result = await apk(args);
  expect(result.code).toBe(1);
  expect(result.err).toContain(reason);
});
