import type pg from "pg";

export interface Table {
  name: string;
  columns: string[];
}

/** What is worth nothing after a restore: nodes register anew, and browsers sign in again. */
const LEFT_OUT = ["migrations", "nodes", "sessions"];

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Every table with its columns, each after those that it refers to. */
export async function tablesInOrder(client: pg.Client): Promise<Table[]> {
  const { rows } = await client.query<Table>(
    `SELECT table_name::text AS name, array_agg(column_name::text ORDER BY ordinal_position) AS columns
     FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
     WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND is_generated = 'NEVER' AND table_name <> ALL($1)
     GROUP BY table_name ORDER BY table_name`,
    [LEFT_OUT],
  );
  const { rows: references } = await client.query<{ from: string; to: string }>(
    `SELECT conrelid::regclass::text AS from, confrelid::regclass::text AS to FROM pg_constraint
     WHERE contype = 'f' AND conrelid <> confrelid`,
  );
  const ordered: Table[] = [];
  const left = new Map(rows.map((table) => [table.name, table]));
  while (left.size > 0) {
    const next = [...left.values()].find(
      ({ name }) => !references.some(({ from, to }) => from === name && left.has(to)),
    );
    if (!next) throw new Error(`these tables refer to each other in a circle: ${[...left.keys()].join(", ")}`);
    left.delete(next.name);
    ordered.push(next);
  }
  return ordered;
}

/** Numbers that tables give out themselves go on after the largest that is there. */
export async function continueSequences(client: pg.Client, tables: Table[]): Promise<void> {
  for (const { name } of tables) {
    const { rows } = await client.query<{ column: string; sequence: string }>(
      `SELECT column_name::text AS column, pg_get_serial_sequence($1, column_name) AS sequence
       FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $2
         AND pg_get_serial_sequence($1, column_name) IS NOT NULL`,
      [quoted(name), name],
    );
    for (const { column, sequence } of rows)
      await client.query(
        `SELECT setval($1, (SELECT coalesce(max(${quoted(column)}), 0) + 1 FROM ${quoted(name)}), false)`,
        [sequence],
      );
  }
}
