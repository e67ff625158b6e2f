-- What a token may do, how long, and when it was last used. One that is revoked is deleted, and with it its sign-ins.
ALTER TABLE tokens
  ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid(),
  ADD COLUMN scopes text[] NOT NULL DEFAULT '{admin}',
  ADD COLUMN created_by text,
  ADD COLUMN expires_at timestamptz,
  ADD COLUMN last_used_at timestamptz;
CREATE UNIQUE INDEX tokens_by_id ON tokens (id);
