CREATE TABLE nodes (
  name text PRIMARY KEY,
  boot_id uuid NOT NULL,
  address text NOT NULL,
  vcpus double precision NOT NULL,
  memory_mb integer NOT NULL,
  isolation text[] NOT NULL,
  rootfs_types text[] NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT now()
);

-- The queue and the history in one table: the row is the truth. lease_until is in no index, so that the renewal of
-- each second stays a heap-only update.
CREATE TABLE jobs (
  id uuid PRIMARY KEY,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  name text NOT NULL,
  spec jsonb NOT NULL,
  status text NOT NULL DEFAULT 'accepted'
    CHECK (status IN ('accepted', 'starting', 'running', 'sleeping', 'completed', 'error', 'stopped')),
  persistent boolean NOT NULL,
  no_sleep boolean NOT NULL,
  startup_command text,
  vcpus double precision NOT NULL,
  memory_mb integer NOT NULL,
  timeout integer NOT NULL,
  isolation text,
  rootfs_type text,
  node text,
  attempt integer NOT NULL DEFAULT 0,
  lease_until timestamptz,
  stop_requested_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  started_at timestamptz,
  script_ended_at timestamptz,
  completed_at timestamptz,
  exit_code integer,
  signal text,
  reason text,
  error text,
  script_duration_ms double precision,
  log_truncated boolean NOT NULL DEFAULT false,
  ran_by jsonb
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX jobs_by_age ON jobs (seq);
CREATE INDEX jobs_waiting ON jobs (seq) WHERE status = 'accepted';
CREATE INDEX jobs_held ON jobs (node) WHERE status IN ('starting', 'running', 'sleeping');
CREATE INDEX jobs_by_status ON jobs (status, seq);
CREATE INDEX jobs_by_name ON jobs (name, seq);

CREATE TABLE tokens (
  hash text PRIMARY KEY,
  name text NOT NULL UNIQUE,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE idempotency_keys (
  token text NOT NULL,
  key text NOT NULL,
  request_hash text NOT NULL,
  status integer,
  body jsonb,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (token, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
