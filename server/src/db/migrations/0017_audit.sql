-- Who did what. An entry is written with the change that it tells of, without a number; a moment later one server gives those
-- that have none their numbers and links them by hashes (server/src/audit/seal.ts), so that nobody waits for a chain.
CREATE TABLE audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  org text NOT NULL REFERENCES organisations (id),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor_kind text NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  target text,
  outcome text NOT NULL DEFAULT 'done',
  details jsonb NOT NULL DEFAULT '{}',
  request_id text,
  address text,
  seq bigint,
  prev text,
  hash text,
  UNIQUE (org, seq)
);
CREATE INDEX audit_open ON audit (org, id) WHERE seq IS NULL;

-- What is sealed stays, whoever's statement it is. (Whoever owns the database can remove the trigger; the hashes tell.)
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is append-only';
END $$;
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE ON audit
  FOR EACH ROW WHEN (OLD.seq IS NOT NULL) EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit EXECUTE FUNCTION refuse_audit_change();

-- Where a job comes from.
ALTER TABLE jobs ADD COLUMN created_by text, ADD COLUMN request_id text, ADD COLUMN cron uuid;
