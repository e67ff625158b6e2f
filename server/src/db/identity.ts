import { chown, lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { run } from "@mags/kit";

/** `nobody` on every distribution; any identity that is not root would do. */
const UNPRIVILEGED = 65534;

/** How to start PostgreSQL, which refuses to run as root: what to put before its command, and who owns its files. */
export interface Identity {
  prefix: string[];
  /** owner of the data directory as seen from here, `uid` */
  uid: number;
}

/**
 * Picks the identity. As root a user namespace comes first, because files then stay root's and the data directory
 * may lie below /root; where user namespaces are forbidden, an existing unprivileged uid is taken.
 */
export async function chooseIdentity(): Promise<Identity> {
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0) return { prefix: [], uid };
  const mapping = ["-U", `--map-user=${UNPRIVILEGED}`, `--map-group=${UNPRIVILEGED}`];
  try {
    await run("unshare", [...mapping, "true"]);
    return { prefix: ["unshare", ...mapping], uid: 0 };
  } catch {
    return {
      prefix: ["setpriv", `--reuid=${UNPRIVILEGED}`, `--regid=${UNPRIVILEGED}`, "--clear-groups"],
      uid: UNPRIVILEGED,
    };
  }
}

/** Gives the tree to the identity when it is another's, as after a change of kernel settings. */
export async function giveTo(path: string, uid: number): Promise<void> {
  const info = await lstat(path);
  if (info.uid === uid || process.getuid?.() !== 0) return;
  await chown(path, uid, uid);
  if (!info.isDirectory()) return;
  for (const name of await readdir(path)) await giveTo(join(path, name), uid);
}
