-- Uploaded files. The row is there before the first byte is stored and until the last one is removed, so that what a
-- crash leaves is found by the sweep: an upload that makes no progress expires like a file that nobody uses.
CREATE TABLE files (
  id uuid PRIMARY KEY,
  org text NOT NULL REFERENCES organisations (id),
  name text NOT NULL,
  state text NOT NULL DEFAULT 'uploading' CHECK (state IN ('uploading', 'stored', 'deleting')),
  bytes bigint NOT NULL DEFAULT 0,
  sha256 text,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  used_at timestamptz,
  expires_at timestamptz NOT NULL
);
CREATE INDEX files_by_age ON files (org, created_at);
CREATE INDEX files_by_expiry ON files (expires_at);
