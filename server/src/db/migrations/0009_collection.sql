-- Objects that nothing refers to. Their keys are never used again, so that deleting one a second time, or late, is harmless: it
-- is done at once, and again after the grace period for what a stalled upload has put there meanwhile.
CREATE TABLE condemned_objects (
  org text NOT NULL REFERENCES organisations (id),
  key text NOT NULL,
  bytes bigint NOT NULL,
  condemned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  deleted boolean NOT NULL DEFAULT false,
  PRIMARY KEY (org, key)
);

ALTER TABLE chunks DROP CONSTRAINT chunks_state_check;
ALTER TABLE chunks ADD CHECK (state IN ('claimed', 'stored'));
ALTER TABLE workspaces DROP COLUMN hold_until;
