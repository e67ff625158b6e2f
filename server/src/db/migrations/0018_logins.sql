-- Logins of programs that somebody has approved and that have not been taken up. The code is for the program; its
-- SHA-256 is kept, and whom the approval came from.
CREATE TABLE logins (
  code text PRIMARY KEY,
  org text NOT NULL REFERENCES organisations (id),
  challenge text NOT NULL,
  name text NOT NULL,
  scope text NOT NULL,
  caller jsonb NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX logins_by_expiry ON logins (expires_at);
