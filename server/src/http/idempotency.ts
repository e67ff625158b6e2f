import { createHash } from "node:crypto";
import { ApiError } from "@mags/protocol";
import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Database, Queryable } from "../db/database.ts";

/** How long a key is remembered; README and OpenAPI say so. */
const KEPT = "24 hours";

export const PostHeaders = z.looseObject({
  "idempotency-key": z
    .string()
    .optional()
    .describe("Repeating a request with the same key within 24 hours answers as the first did, and does nothing more"),
});

/** What a POST does: its answer, and what to do once that is committed. */
export interface Outcome {
  status: number;
  body: object;
  afterCommit?: () => void;
}

/**
 * Runs a POST so that repeating it with the same `Idempotency-Key` is harmless. Key and effect are written in one
 * transaction; a concurrent twin waits on the key's row until the first has committed, then replays its answer.
 * Without a key `work` gets the pool when `single` says that it is one statement, so that it costs one round trip.
 * Throws ApiError idempotency_mismatch when the key was used for another request, and what `work` throws (then the
 * key stays free).
 */
export async function answerOnce(
  db: Database,
  request: FastifyRequest,
  reply: FastifyReply,
  work: (q: Queryable) => Promise<Outcome>,
  options: { single: boolean },
): Promise<object> {
  const key = request.headers["idempotency-key"];
  if (key === undefined) {
    const outcome = options.single ? await work(db) : await db.transaction(work);
    return send(reply, outcome);
  }
  if (typeof key !== "string" || key.length === 0 || key.length > 255) {
    throw new ApiError(
      "invalid_request",
      "the Idempotency-Key header must be 1 to 255 characters long",
      "Idempotency-Key",
    );
  }
  const owner = [request.caller?.key ?? "", key];
  const outcome = await db.transaction(async (tx) => {
    const stored = await claimKey(tx, owner, hashOf(request));
    if (stored) return { ...stored, replayed: true };
    const done = await work(tx);
    await tx.query("UPDATE idempotency_keys SET status = $3, body = $4 WHERE token = $1 AND key = $2", [
      ...owner,
      done.status,
      JSON.stringify(done.body),
    ]);
    return { ...done, replayed: false };
  });
  if (outcome.replayed) reply.header("Idempotency-Replayed", "true");
  return send(reply, outcome);
}

function send(reply: FastifyReply, outcome: Outcome): object {
  outcome.afterCommit?.();
  reply.status(outcome.status);
  return outcome.body;
}

const CLAIM_KEY = {
  name: "claim_idempotency_key",
  text: `INSERT INTO idempotency_keys AS k (token, key, request_hash) VALUES ($1, $2, $3)
    ON CONFLICT (token, key) DO UPDATE SET request_hash = excluded.request_hash, created_at = clock_timestamp(), status = NULL, body = NULL
      WHERE k.created_at < clock_timestamp() - interval '${KEPT}'
    RETURNING 1`,
};

/** Takes the key, or returns the answer stored under it. */
async function claimKey(
  tx: Queryable,
  owner: string[],
  hash: string,
): Promise<{ status: number; body: object } | undefined> {
  const taken = await tx.query(CLAIM_KEY, [...owner, hash]);
  if (taken.rowCount === 1) return undefined;
  const { rows } = await tx.query<{ request_hash: string; status: number; body: object }>(
    "SELECT request_hash, status, body FROM idempotency_keys WHERE token = $1 AND key = $2",
    owner,
  );
  const row = rows[0];
  if (!row)
    throw new ApiError("unavailable", "the Idempotency-Key expired at this very moment: send the request again");
  if (row.request_hash !== hash)
    throw new ApiError(
      "idempotency_mismatch",
      `the Idempotency-Key ${JSON.stringify(owner[1])} was already used for another request`,
    );
  return { status: row.status, body: row.body };
}

function hashOf(request: FastifyRequest): string {
  const path = request.url.replace(/^\/api\/v\d+/, "").split("?")[0];
  return createHash("sha256")
    .update(JSON.stringify([request.method, path, request.body ?? null]))
    .digest("hex");
}

/** Forgets keys older than 24 h; returns how many. */
export async function sweepKeys(db: Database): Promise<number> {
  const { rowCount } = await db.query(
    `DELETE FROM idempotency_keys WHERE created_at < clock_timestamp() - interval '${KEPT}'`,
  );
  return rowCount ?? 0;
}
