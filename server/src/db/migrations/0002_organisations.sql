-- Who owns what: every token speaks for one organisation, and every row that a client can reach belongs to one.
CREATE TABLE organisations (
  id text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO organisations (id) VALUES ('default');

ALTER TABLE tokens ADD COLUMN org text NOT NULL DEFAULT 'default' REFERENCES organisations (id);
ALTER TABLE tokens ALTER COLUMN org DROP DEFAULT;
ALTER TABLE tokens DROP CONSTRAINT tokens_name_key;
ALTER TABLE tokens ADD CONSTRAINT tokens_by_name UNIQUE (org, name);

ALTER TABLE jobs ADD COLUMN org text NOT NULL DEFAULT 'default' REFERENCES organisations (id);
ALTER TABLE jobs ALTER COLUMN org DROP DEFAULT;
DROP INDEX jobs_by_age, jobs_by_status, jobs_by_name;
CREATE UNIQUE INDEX jobs_by_age ON jobs (org, seq);
CREATE INDEX jobs_by_status ON jobs (org, status, seq);
CREATE INDEX jobs_by_name ON jobs (org, name, seq);
