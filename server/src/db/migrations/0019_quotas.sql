-- null: what the server's configuration says
ALTER TABLE organisations
  ADD COLUMN max_sandboxes integer,
  ADD COLUMN max_vcpus double precision,
  ADD COLUMN max_memory_mb bigint,
  ADD COLUMN max_jobs_per_minute integer;

-- Jobs that an organisation may start at once: a bucket that fills evenly.
CREATE TABLE job_rates (
  org text PRIMARY KEY REFERENCES organisations (id),
  left_over double precision NOT NULL,
  at timestamptz NOT NULL
);

-- What an organisation has up, or is about to.
CREATE INDEX jobs_up ON jobs (org) WHERE status IN ('accepted', 'starting', 'running') AND host_job IS NULL;
