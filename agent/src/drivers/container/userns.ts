import { openSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { spawn } from "@mags/kit";

/** ids in each sandbox's range */
export const ID_COUNT = 65_536;
/** first host id that is handed out; far above what distributions give to people and subordinate ranges */
const FIRST_ID = 0x1000_0000;

/** First host id of the range of slot number `slot`. */
export const idBase = (slot: number): number => FIRST_ID + slot * ID_COUNT;

const opened = new Map<number, Promise<number>>();

/**
 * A descriptor of a user namespace in which id 0 is `base` outside; needed to make idmapped mounts. It stays open for
 * the next sandbox with the same range, because making one costs a process.
 */
export function userNamespace(base: number): Promise<number> {
  let descriptor = opened.get(base);
  if (!descriptor) {
    descriptor = openUserNamespace(base);
    opened.set(base, descriptor);
    descriptor.catch(() => opened.delete(base));
  }
  return descriptor;
}

/** The descriptor alone keeps the namespace alive, so the process that made it ends at once. */
async function openUserNamespace(base: number): Promise<number> {
  // The child waits on its stdin, so that it is there while its maps are written and gone when we are.
  const child = spawn("unshare", ["--user", "sh", "-c", "echo ready; read -r _"], { stdin: "pipe", reject: false });
  try {
    await new Promise<void>((resolve, reject) => {
      child.stdout?.once("data", () => resolve());
      child.then((result) => reject(new Error(`unshare --user: ${result.stderr}`)), reject);
    });
    const map = `0 ${base} ${ID_COUNT}\n`;
    await writeFile(`/proc/${child.pid}/uid_map`, map);
    await writeFile(`/proc/${child.pid}/gid_map`, map);
    return openSync(`/proc/${child.pid}/ns/user`, "r");
  } finally {
    child.stdin?.end();
  }
}
