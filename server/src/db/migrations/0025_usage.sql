-- What machines sent to other hosts, by the UTC day in which it was heard: `sent_bytes` is the machine's own count at the end of
-- the day, `before_bytes` at its beginning, so whatever is told twice counts once.
CREATE TABLE egress (
  org text NOT NULL REFERENCES organisations (id),
  job uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  machine text NOT NULL,
  node text NOT NULL,
  day date NOT NULL,
  before_bytes bigint NOT NULL,
  sent_bytes bigint NOT NULL,
  PRIMARY KEY (job, machine, day)
);
CREATE INDEX egress_of_days ON egress (org, day);

-- What is stored now, as it was found last; counted into storage_days when it is looked at again. `workspace` is '' for what is
-- no workspace's.
CREATE TABLE storage_now (
  org text NOT NULL REFERENCES organisations (id),
  workspace text NOT NULL,
  stored_bytes bigint NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (org, workspace)
);
CREATE TABLE storage_days (
  org text NOT NULL REFERENCES organisations (id),
  workspace text NOT NULL,
  day date NOT NULL,
  byte_seconds double precision NOT NULL,
  PRIMARY KEY (org, workspace, day)
);

-- What storage_now has come to since it was looked at, by UTC day.
CREATE VIEW storage_since AS
  SELECT org, workspace, day::date AS day,
    stored_bytes * extract(epoch FROM least(day + interval '1 day', clock.utc) - greatest(day, at AT TIME ZONE 'UTC'))::float8 AS byte_seconds
  FROM (SELECT now() AT TIME ZONE 'UTC' AS utc) AS clock
  CROSS JOIN storage_now
  CROSS JOIN LATERAL generate_series(date_trunc('day', at AT TIME ZONE 'UTC'), clock.utc, interval '1 day') AS day
  WHERE stored_bytes > 0 AND at < now();
