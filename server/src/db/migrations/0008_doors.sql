-- Host name of a job's URLs, below the domain of all apps: given when its first port is opened, and never to another.
ALTER TABLE jobs ADD COLUMN subdomain text;
CREATE UNIQUE INDEX jobs_by_subdomain ON jobs (subdomain) WHERE subdomain IS NOT NULL;

-- Ports of jobs that have a URL. The bare subdomain leads to the one that was opened first (main).
-- guard: what a visitor must show, {"access": "public" | "token" | "password", …hashes}.
CREATE TABLE doors (
  org text NOT NULL REFERENCES organisations (id),
  job uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  port integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
  main boolean NOT NULL,
  guard jsonb NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (job, port)
);
CREATE UNIQUE INDEX doors_main ON doors (job) WHERE main;

-- Stable names, unique in the installation because they are host names; they follow a workspace of their organisation.
CREATE TABLE url_aliases (
  id uuid PRIMARY KEY,
  org text NOT NULL REFERENCES organisations (id),
  subdomain text NOT NULL UNIQUE,
  workspace text NOT NULL,
  port integer CHECK (port BETWEEN 1 AND 65535),
  guard jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX url_aliases_of_org ON url_aliases (org, subdomain);

-- Public keys that may log in: generated ones to their job, until they expire; users' own to every job of the
-- organisation. A key belongs to one organisation, so that it never decides between two tenants.
CREATE TABLE ssh_keys (
  id uuid PRIMARY KEY,
  org text NOT NULL REFERENCES organisations (id),
  job uuid REFERENCES jobs (id) ON DELETE CASCADE,
  name text NOT NULL,
  fingerprint text NOT NULL UNIQUE,
  public_key text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at timestamptz
);
CREATE INDEX ssh_keys_of_org ON ssh_keys (org, created_at) WHERE job IS NULL;
CREATE INDEX ssh_keys_of_job ON ssh_keys (job, created_at) WHERE job IS NOT NULL;
