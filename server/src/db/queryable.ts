import type { Kysely } from "kysely";
import type pg from "pg";
import type { Tables } from "./types.ts";

/** What runs a statement: the pool, or one transaction. */
export interface Queryable {
  query<Row extends pg.QueryResultRow>(statement: Statement | string, values?: unknown[]): Promise<pg.QueryResult<Row>>;
}

/** A statement with a name is prepared once a connection; use it on the hot path. */
export interface Statement {
  name: string;
  text: string;
}

export interface Database extends Queryable {
  readonly kysely: Kysely<Tables>;
  /** Runs `work` in one transaction; what it throws rolls back and passes on. */
  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}
