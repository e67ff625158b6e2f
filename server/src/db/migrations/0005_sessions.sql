-- Sign-ins of browsers: a cookie stands for a token, as long as that is valid.
CREATE TABLE sessions (
  hash text PRIMARY KEY,
  org text NOT NULL REFERENCES organisations (id),
  token text NOT NULL REFERENCES tokens (hash) ON DELETE CASCADE ON UPDATE CASCADE,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_by_token ON sessions (token);
