import { run } from "@mags/kit";
import { expect, test } from "vitest";

const apk = (...args: string[]) =>
  run("sh", [new URL("./base/files/usr/local/bin/apk", import.meta.url).pathname, ...args], {
    env: { APK_PRINT: "1" },
  });

test.each([
  ["add --no-cache py3-requests go", "apt-get install -y -qq --no-install-recommends python3-requests golang-go"],
  [
    "add -U build-base musl-dev=1.2 curl",
    "apt-get install -y -qq --no-install-recommends build-essential libc6-dev curl",
  ],
  ["add --virtual .build-deps py3-pip rust", "apt-get install -y -qq --no-install-recommends python3-pip rustc"],
  [
    "add openssl-dev sqlite-dev zlib-dev",
    "apt-get install -y -qq --no-install-recommends libssl-dev libsqlite3-dev zlib1g-dev",
  ],
  ["del py3-yaml", "apt-get remove -y -qq --autoremove python3-yaml"],
  ["update", "apt-get update -qq"],
  ["search yaml", "apt-cache search --names-only yaml"],
])("apk %s", async (line, expected) => {
  expect(await apk(...line.split(" "))).toBe(expected);
});

test("an unknown command fails and says what there is", async () => {
  await expect(apk("fix")).rejects.toThrow("usage: apk");
});
