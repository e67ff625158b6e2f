import type { Database } from "../db/database.ts";

export async function findToken(db: Database, hash: string): Promise<{ name: string } | undefined> {
  return db.kysely.selectFrom("tokens").select("name").where("hash", "=", hash).executeTakeFirst();
}

/** One token a name: giving another one under the same name replaces it. */
export async function putToken(db: Database, name: string, hash: string): Promise<void> {
  await db.kysely
    .insertInto("tokens")
    .values({ name, hash })
    .onConflict((c) => c.column("name").doUpdateSet({ hash }))
    .execute();
}
