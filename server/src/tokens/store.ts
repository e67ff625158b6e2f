import type { Database } from "../db/database.ts";

export async function findToken(db: Database, hash: string): Promise<{ name: string; org: string } | undefined> {
  return db.kysely.selectFrom("tokens").select(["name", "org"]).where("hash", "=", hash).executeTakeFirst();
}

/** One token a name and organisation: giving another one under the same name replaces it. */
export async function putToken(db: Database, org: string, name: string, hash: string): Promise<void> {
  await db.kysely
    .insertInto("tokens")
    .values({ org, name, hash })
    .onConflict((c) => c.columns(["org", "name"]).doUpdateSet({ hash }))
    .execute();
}
