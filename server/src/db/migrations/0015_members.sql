-- People of an organisation. One person may be in several, with a row and a password in each.
CREATE TABLE members (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  org text NOT NULL REFERENCES organisations (id),
  -- in lower case
  email text NOT NULL,
  name text NOT NULL DEFAULT '',
  role text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
  -- argon2id; null: cannot sign in by password
  password text,
  -- who the OpenID provider says it is, "<issuer> <subject>", from the first such sign-in on
  identity text,
  disabled boolean NOT NULL DEFAULT false,
  -- SHA-256 of the invitation that may still be accepted
  invite text UNIQUE,
  invite_expires_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_sign_in_at timestamptz,
  UNIQUE (org, email)
);
CREATE INDEX members_by_email ON members (email);
CREATE UNIQUE INDEX members_by_identity ON members (org, identity) WHERE identity IS NOT NULL;

-- A token that a member made is that member's.
ALTER TABLE tokens ADD COLUMN member uuid REFERENCES members (id) ON DELETE CASCADE;
CREATE INDEX tokens_by_member ON tokens (member) WHERE member IS NOT NULL;

-- A cookie stands for a token or for a member.
ALTER TABLE sessions
  ALTER COLUMN token DROP NOT NULL,
  ADD COLUMN member uuid REFERENCES members (id) ON DELETE CASCADE,
  ADD CHECK (num_nonnulls(token, member) = 1);
CREATE INDEX sessions_by_member ON sessions (member) WHERE member IS NOT NULL;

-- Wrong guesses of late, by what was guessed and by where they come from. They belong to no organisation: who guesses has
-- shown none.
CREATE TABLE sign_in_failures (
  org text NOT NULL DEFAULT '',
  -- SHA-256 of what is counted: an account, an address, or both
  key text PRIMARY KEY,
  count integer NOT NULL,
  until timestamptz NOT NULL
);
