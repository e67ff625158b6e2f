-- Persistent jobs whose machine is put away while nobody needs it, and why.
ALTER TABLE jobs
  ADD COLUMN idle_minutes double precision,
  ADD COLUMN wakes integer NOT NULL DEFAULT 0,
  ADD COLUMN sleep_requested_at timestamptz,
  ADD COLUMN activity_because text,
  ADD COLUMN activity_since timestamptz;
