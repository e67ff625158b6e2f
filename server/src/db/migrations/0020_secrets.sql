-- Values by name, encrypted (AES-256-GCM) with a key that the database does not have.
CREATE TABLE secrets (
  org text NOT NULL REFERENCES organisations (id),
  name text NOT NULL,
  version integer NOT NULL,
  -- of the key: the first 16 hexadecimal digits of its SHA-256
  key_id text NOT NULL,
  -- nonce (12 bytes), ciphertext, tag (16 bytes); bound to organisation, name and version
  sealed bytea NOT NULL,
  created_by text,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (org, name, version)
);
CREATE INDEX secrets_by_key ON secrets (key_id);
-- Numbers of versions go on where a secret was deleted, so that a job that names one never gets another's value.
CREATE TABLE secret_numbers (
  org text NOT NULL REFERENCES organisations (id),
  name text NOT NULL,
  last integer NOT NULL,
  PRIMARY KEY (org, name)
);
-- Which versions a job is given, by the names of its variables.
ALTER TABLE jobs ADD COLUMN secrets jsonb;
