import { DEFAULT_IMAGE } from "@mags/protocol";
import type { Queryable } from "../db/database.ts";

/** How many jobs that have not ended and how many workspaces stand on the image, of all organisations. */
export async function usersOfImage(q: Queryable, image: string): Promise<{ jobs: number; workspaces: number }> {
  const { rows } = await q.query<{ jobs: number; workspaces: number }>(
    `SELECT
       (SELECT count(*)::int FROM jobs WHERE coalesce(rootfs_type, $2) = $1
         AND status IN ('accepted', 'starting', 'running', 'sleeping')) AS jobs,
       (SELECT count(*)::int FROM workspaces WHERE coalesce(image, $2) = $1 AND NOT anonymous) AS workspaces`,
    [image, DEFAULT_IMAGE],
  );
  return rows[0] as { jobs: number; workspaces: number };
}
