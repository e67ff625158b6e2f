-- Schedules. `request` is the job as it was asked for; it is read anew at each firing, like a request of that moment.
CREATE TABLE crons (
  id uuid PRIMARY KEY,
  org text NOT NULL REFERENCES organisations (id),
  name text NOT NULL,
  expression text NOT NULL,
  time_zone text NOT NULL,
  enabled boolean NOT NULL,
  request jsonb NOT NULL,
  overlap text NOT NULL CHECK (overlap IN ('skip', 'queue', 'allow')),
  missed text NOT NULL CHECK (missed IN ('skip', 'run_once', 'catch_up')),
  catch_up integer NOT NULL,
  retries integer NOT NULL,
  retry_delay integer NOT NULL,
  -- null while disabled
  next_at timestamptz,
  last_run_at timestamptz,
  last_status text,
  last_job uuid,
  last_exit_code integer,
  -- failures since the last success
  failures integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX crons_by_name ON crons (org, name);
CREATE INDEX crons_due ON crons (next_at) WHERE next_at IS NOT NULL;

-- Each firing, from the moment it was due. What became of its job is copied here, because jobs may go before the history.
CREATE TABLE cron_runs (
  id uuid PRIMARY KEY,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  org text NOT NULL REFERENCES organisations (id),
  cron uuid NOT NULL REFERENCES crons (id) ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('schedule', 'manual', 'retry')),
  -- number of the try, from 0
  attempt integer NOT NULL DEFAULT 0,
  scheduled_at timestamptz NOT NULL,
  not_before timestamptz NOT NULL,
  state text NOT NULL CHECK (state IN ('queued', 'started', 'succeeded', 'failed', 'skipped')),
  reason text,
  job uuid,
  started_at timestamptz,
  ended_at timestamptz,
  exit_code integer,
  duration_ms double precision
);
CREATE INDEX cron_runs_by_age ON cron_runs (cron, seq);
CREATE INDEX cron_runs_open ON cron_runs (cron) WHERE state IN ('queued', 'started');
CREATE INDEX cron_runs_by_end ON cron_runs (ended_at);
-- No time is fired twice, whatever the servers do.
CREATE UNIQUE INDEX cron_runs_once ON cron_runs (cron, scheduled_at) WHERE kind = 'schedule';
