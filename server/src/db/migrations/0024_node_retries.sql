-- A job that says so is started again, script included, after its node was lost; what became of the attempts before:
-- [{"attempt", "node", "started_at", "lost_at", "error"}].
ALTER TABLE jobs ADD COLUMN node_retries integer NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN lost_attempts jsonb NOT NULL DEFAULT '[]';
