-- A deleted version is kept, sealed, until the last job that may have been given it has ended: its log is still to be masked.
ALTER TABLE secrets ADD COLUMN deleted_at timestamptz;
CREATE INDEX secrets_deleted ON secrets (org) WHERE deleted_at IS NOT NULL;
