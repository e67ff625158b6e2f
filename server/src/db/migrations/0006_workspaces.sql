-- Volumes that outlive their machines. See docs/workspaces.md.
ALTER TABLE organisations
  -- number of the last collection; claims of chunks and new versions hold a share lock on the row, so that none is in flight when one begins
  ADD COLUMN collection integer NOT NULL DEFAULT 0,
  -- null: what the server's configuration says
  ADD COLUMN max_workspaces integer,
  ADD COLUMN max_stored_bytes bigint;

CREATE TABLE workspaces (
  id uuid PRIMARY KEY,
  org text NOT NULL REFERENCES organisations (id),
  name text NOT NULL,
  -- of one persistent job that named none; goes with it
  anonymous boolean NOT NULL DEFAULT false,
  image text,
  disk_gb double precision NOT NULL,
  latest uuid,
  -- the writer: a job, or until hold_until an operation of the API
  holder_job uuid,
  hold_until timestamptz,
  -- grows with every writer; what an earlier one still sends is refused
  fence integer NOT NULL DEFAULT 0,
  -- has the newest local copy
  node text,
  -- that copy may hold what is not durable
  dirty boolean NOT NULL DEFAULT false,
  durable_at timestamptz,
  pending_bytes bigint NOT NULL DEFAULT 0,
  last_sync_ms double precision,
  last_error text,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  used_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX workspaces_by_name ON workspaces (org, name) WHERE NOT anonymous;

CREATE TABLE manifests (
  org text NOT NULL REFERENCES organisations (id),
  name text NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (org, name)
);

CREATE TABLE versions (
  id uuid PRIMARY KEY,
  org text NOT NULL REFERENCES organisations (id),
  workspace uuid NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
  number integer NOT NULL,
  parent uuid,
  manifest text NOT NULL,
  volume_bytes bigint NOT NULL,
  content_bytes bigint NOT NULL,
  new_bytes bigint NOT NULL,
  reason text NOT NULL,
  job uuid,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (workspace, number),
  FOREIGN KEY (org, manifest) REFERENCES manifests (org, name)
);
CREATE INDEX versions_by_manifest ON versions (org, manifest);

-- Chunks and manifests in the object store. epoch is the collection at which this life of the object began: part of its key.
CREATE TABLE chunks (
  org text NOT NULL REFERENCES organisations (id),
  hash text NOT NULL,
  epoch integer NOT NULL,
  bytes bigint NOT NULL,
  stored_bytes bigint,
  -- null until a version was committed with it
  is_manifest boolean,
  state text NOT NULL CHECK (state IN ('claimed', 'stored', 'deleting')),
  claimed_at timestamptz NOT NULL,
  PRIMARY KEY (org, hash)
) WITH (fillfactor = 80);

ALTER TABLE jobs
  ADD COLUMN workspace uuid,
  ADD COLUMN workspace_name text,
  ADD COLUMN base_version uuid,
  ADD COLUMN base_name text,
  ADD COLUMN host_job uuid;
CREATE INDEX jobs_by_workspace ON jobs (workspace) WHERE workspace IS NOT NULL;
CREATE INDEX jobs_by_base ON jobs (base_version) WHERE base_version IS NOT NULL;
CREATE INDEX jobs_live_by_workspace ON jobs (org, workspace_name)
  WHERE workspace_name IS NOT NULL AND status IN ('accepted', 'starting', 'running', 'sleeping');
-- Each is read from its oldest end; those that wait for a workspace must not be in the way of the others.
DROP INDEX jobs_waiting;
CREATE INDEX jobs_waiting ON jobs (seq) WHERE status = 'accepted' AND workspace IS NULL;
CREATE INDEX jobs_waiting_with_workspace ON jobs (seq) WHERE status = 'accepted' AND workspace IS NOT NULL;
CREATE INDEX jobs_waiting_for_workspace ON jobs (workspace, seq) WHERE status = 'accepted' AND workspace IS NOT NULL;
