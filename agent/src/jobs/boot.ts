import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

const pathIn = (agentDir: string) => join(agentDir, "machine-boot-id");
const thisBoot = () => readFile("/proc/sys/kernel/random/boot_id", "utf8");

/** True when the machine has booted since `noteBoot` was called with this directory; false where nothing is known of before. */
export async function rebooted(agentDir: string): Promise<boolean> {
  const before = await readFile(pathIn(agentDir), "utf8").catch(() => "");
  return before !== "" && before !== (await thisBoot());
}

/** In one step: half of a note would be taken for another boot. */
export async function noteBoot(agentDir: string): Promise<void> {
  const path = pathIn(agentDir);
  const now = await thisBoot();
  if ((await readFile(path, "utf8").catch(() => "")) === now) return;
  await writeFile(`${path}.new`, now);
  await rename(`${path}.new`, path);
}
