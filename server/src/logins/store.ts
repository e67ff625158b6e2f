import type { ApproveLogin } from "@mags/protocol";
import type { Queryable } from "../db/database.ts";

/** `C` is whom the approval came from. */
export interface LoginRow<C extends { org: string }> extends ApproveLogin {
  /** SHA-256 of the code */
  code: string;
  caller: C;
}

/** Writes a login; those that nobody took up in time go on the way. */
export async function putLogin(q: Queryable, login: LoginRow<{ org: string }>, seconds: number): Promise<void> {
  await q.query(
    `WITH old AS (DELETE FROM logins WHERE expires_at < now())
     INSERT INTO logins (code, org, challenge, name, scope, caller, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, now() + $7::double precision * interval '1 second')`,
    [login.code, login.caller.org, login.challenge, login.name, login.scope, JSON.stringify(login.caller), seconds],
  );
}

/** Takes the login of this code, so that no other call can. */
export async function takeLogin<C extends { org: string }>(
  q: Queryable,
  code: string,
): Promise<LoginRow<C> | undefined> {
  const { rows } = await q.query<LoginRow<C>>(
    `DELETE FROM logins WHERE code = $1 AND expires_at > now() RETURNING code, challenge, name, scope, caller`,
    [code],
  );
  return rows[0];
}
