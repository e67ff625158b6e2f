-- When a job's machine was put away between its start and its end; such time is no machine time. Kept by the database itself,
-- whoever changes the state.
CREATE TABLE job_naps (
  org text NOT NULL REFERENCES organisations (id),
  job uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  from_at timestamptz NOT NULL,
  to_at timestamptz
);
CREATE INDEX job_naps_of_job ON job_naps (job, from_at);

CREATE FUNCTION note_nap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.status = 'running' AND NEW.status IN ('sleeping', 'accepted') THEN
    INSERT INTO job_naps (org, job, from_at) VALUES (NEW.org, NEW.id, clock_timestamp());
  ELSIF NEW.status IN ('running', 'completed', 'error', 'stopped') THEN
    UPDATE job_naps SET to_at = clock_timestamp() WHERE job = NEW.id AND to_at IS NULL;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER jobs_note_naps AFTER UPDATE OF status ON jobs
  FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status AND NEW.persistent) EXECUTE FUNCTION note_nap();
