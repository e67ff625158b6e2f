import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "@mags/kit";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { acting } from "./acting.ts";
import { migrate } from "./migrate.ts";
import type { Database, Queryable, Statement } from "./queryable.ts";
import type { Tables } from "./types.ts";

export type { Database, Queryable, Statement } from "./queryable.ts";

/** PostgreSQL may be restarting after a crash: new connections are tried this long, `ms`. */
const CONNECT_PATIENCE_MS = 5000;
/** How long anybody waits for one of the connections, `ms`; each may hang with the database. */
const CONNECT_MS = 30_000;
/** A server that has lost its power in a transaction keeps its locks no longer than this, `ms`. */
const IDLE_TRANSACTION_MS = 40_000;
const OLDEST_VERSION = 15;

/** Connects, checks the version and migrates. Throws Error with what to do when the server is too old or too new for us. */
export async function openDatabase(url: string, logger: Logger): Promise<Database> {
  const pool = new pg.Pool({
    connectionString: url,
    max: 24,
    keepAlive: true,
    application_name: "mags-server",
    connectionTimeoutMillis: CONNECT_MS,
    idle_in_transaction_session_timeout: IDLE_TRANSACTION_MS,
  });
  const broke = (err: Error) => logger.warn({ err: err.message }, "a database connection broke");
  pool.on("error", broke);
  // The pool listens on idle connections only; one that breaks in use, between two statements, would end the process.
  pool.on("connect", (client) => client.on("error", broke));
  const connect = () => connectPatiently(pool);
  const database: Database = {
    kysely: new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) }),
    query: async (statement, values) => {
      const client = await connect();
      return finish(client, runOn(client, statement, values));
    },
    transaction: async (work) => {
      const client = await connect();
      return finish(client, inTransaction(client, work));
    },
    close: () => pool.end(),
  };
  try {
    await checkVersion(database);
    await migrate(database);
  } catch (error) {
    await pool.end();
    throw error;
  }
  return database;
}

/** True for errors of the connection itself, after which the same request may well succeed. */
export function isConnectionError(error: unknown): boolean {
  const { code, message } = error as { code?: string; message?: string };
  if (code && /^(08|57P|53300|ECONN|ENOENT|EPIPE|ENOTFOUND|ETIMEDOUT)/.test(code)) return true;
  return /Connection terminated|not queryable|timeout exceeded when trying to connect/i.test(message ?? "");
}

async function connectPatiently(pool: pg.Pool): Promise<pg.PoolClient> {
  const deadline = Date.now() + CONNECT_PATIENCE_MS;
  for (;;) {
    try {
      return await pool.connect();
    } catch (error) {
      if (!isConnectionError(error) || Date.now() > deadline) throw error;
      await sleep(25);
    }
  }
}

/** Returns the client to the pool, or drops it when its connection is broken. */
async function finish<T>(client: pg.PoolClient, work: Promise<T>): Promise<T> {
  try {
    const result = await work;
    client.release();
    return result;
  } catch (error) {
    client.release(isConnectionError(error));
    throw error;
  }
}

function runOn<Row extends pg.QueryResultRow>(
  client: pg.PoolClient,
  statement: Statement | string,
  values?: unknown[],
) {
  return typeof statement === "string"
    ? client.query<Row>(statement, values)
    : client.query<Row>({ ...statement, values });
}

async function inTransaction<T>(client: pg.PoolClient, work: (tx: Queryable) => Promise<T>): Promise<T> {
  await client.query("BEGIN");
  try {
    const tx: Queryable = { query: (statement, values) => runOn(client, statement, values) };
    const result = await work(tx);
    await acting.getStore()?.beforeCommit?.(tx);
    await client.query("COMMIT");
    return result;
  } catch (error) {
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

async function checkVersion(database: Queryable): Promise<void> {
  const { rows } = await database.query<{ server_version_num: string }>("SHOW server_version_num");
  const major = Math.floor(Number(rows[0]?.server_version_num) / 10_000);
  if (major < OLDEST_VERSION) {
    throw new Error(
      `the database is PostgreSQL ${major}, but Mags needs ${OLDEST_VERSION} or newer: upgrade it, or unset DATABASE_URL to use the embedded one`,
    );
  }
}
