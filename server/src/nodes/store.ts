import type { RegisterNode } from "@mags/protocol";
import type { Selectable } from "kysely";
import type { Queryable } from "../db/database.ts";
import type { NodesTable } from "../db/types.ts";

export type NodeRow = Selectable<NodesTable>;

/** Writes the node and returns the boot id it had before. Locks its row until the transaction ends. */
export async function putNode(tx: Queryable, node: RegisterNode): Promise<string | undefined> {
  const before = await tx.query<{ boot_id: string }>("SELECT boot_id FROM nodes WHERE name = $1 FOR UPDATE", [
    node.node,
  ]);
  await tx.query(
    `INSERT INTO nodes (name, boot_id, address, vcpus, memory_mb, isolation, rootfs_types, image_digests, labels) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
     ON CONFLICT (name) DO UPDATE SET boot_id = $2, address = $3, vcpus = $4, memory_mb = $5, isolation = $6, rootfs_types = $7, image_digests = $8, labels = $9, seen_at = now()`,
    [
      node.node,
      node.boot_id,
      node.address,
      node.vcpus,
      Math.floor(node.memory_mb),
      node.isolation,
      node.rootfs_types,
      node.image_digests,
      JSON.stringify(node.labels),
    ],
  );
  return before.rows[0]?.boot_id;
}

const TOUCH = {
  name: "touch_node",
  text: "UPDATE nodes SET seen_at = now() WHERE name = $1 AND boot_id = $2 RETURNING *",
};

/** Notes that the node is alive; undefined when another boot of it has registered since, or none. */
export async function touchNode(db: Queryable, name: string, bootId: string): Promise<NodeRow | undefined> {
  return (await db.query<NodeRow>(TOUCH, [name, bootId])).rows[0];
}

/** Nodes that gave a sign of life in the last `seconds`. */
export async function listNodes(q: Queryable, seconds: number): Promise<NodeRow[]> {
  const { rows } = await q.query<NodeRow>(
    "SELECT * FROM nodes WHERE seen_at > now() - $1::double precision * interval '1 second' ORDER BY name",
    [seconds],
  );
  return rows;
}

export interface NodeLoad extends NodeRow {
  away: boolean;
  jobs: number;
  used_vcpus: number;
  used_memory_mb: number;
  dirty_workspaces: number;
  joined: boolean;
}

/** All nodes that were seen within a week, with what each has to do now. Jobs in the machine of another need nothing of their own. */
export async function listWithLoad(q: Queryable): Promise<NodeLoad[]> {
  const { rows } = await q.query<NodeLoad>(
    `SELECT n.*, n.seen_at < now() - interval '15 seconds' AS away, coalesce(j.jobs, 0)::integer AS jobs,
       coalesce(j.vcpus, 0)::double precision AS used_vcpus, coalesce(j.memory_mb, 0)::double precision AS used_memory_mb,
       (SELECT count(*) FROM workspaces w WHERE w.node = n.name AND w.dirty)::integer AS dirty_workspaces,
       EXISTS (SELECT 1 FROM machines m WHERE m.name = n.name AND m.removed_at IS NULL) AS joined
     FROM nodes n LEFT JOIN (
       SELECT node, count(*) AS jobs, sum(vcpus) FILTER (WHERE host_job IS NULL) AS vcpus,
         sum(memory_mb) FILTER (WHERE host_job IS NULL) AS memory_mb
       FROM jobs WHERE status IN ('starting', 'running') GROUP BY node) AS j ON j.node = n.name
     WHERE n.seen_at > now() - interval '7 days' ORDER BY n.name`,
  );
  return rows;
}

/** False when there is no such node. A node that is drained already keeps the time at which that began. */
export async function setDraining(q: Queryable, name: string, draining: boolean): Promise<boolean> {
  const { rowCount } = await q.query(
    "UPDATE nodes SET draining_since = CASE WHEN $2 THEN coalesce(draining_since, now()) END WHERE name = $1",
    [name, draining],
  );
  return rowCount === 1;
}

const FIND = { name: "find_node", text: "SELECT * FROM nodes WHERE name = $1" };

export async function findNode(db: Queryable, name: string): Promise<NodeRow | undefined> {
  return (await db.query<NodeRow>(FIND, [name])).rows[0];
}

export async function deleteNode(tx: Queryable, name: string): Promise<void> {
  await tx.query("DELETE FROM nodes WHERE name = $1", [name]);
}
