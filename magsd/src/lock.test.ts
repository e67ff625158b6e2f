import { expect, test } from "vitest";
import { lockDataDir } from "./lock.ts";

test("a data directory has one daemon, and who comes second learns which", async () => {
  const dir = `/tmp/mags-lock-test-${process.pid}`;
  const lock = await lockDataDir(dir);
  await expect(lockDataDir(dir)).rejects.toThrow(`is running on ${dir} (process id ${process.pid})`);
  const other = await lockDataDir(`${dir}-other`);
  await other.release();
  await lock.release();
  await (await lockDataDir(dir)).release();
});
