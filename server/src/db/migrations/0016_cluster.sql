-- Machines of a cluster. They are the operator's, of no organisation: tokens with the scope operator see them.
ALTER TABLE nodes
  ADD COLUMN labels jsonb NOT NULL DEFAULT '{}';
-- What a node must have of them for the job.
ALTER TABLE jobs ADD COLUMN node_labels jsonb;

-- The one authority; its key is sealed with the cluster's secret, which servers have and the database has not.
CREATE TABLE cluster (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  certificate text NOT NULL,
  sealed_key text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE join_tokens (
  hash text PRIMARY KEY,
  node text,
  roles text[] NOT NULL,
  created_by text NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);

-- One row a join: a machine that was removed and joins again is another one.
CREATE TABLE machines (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text NOT NULL,
  hash text NOT NULL UNIQUE,
  roles text[] NOT NULL,
  joined_at timestamptz NOT NULL DEFAULT now(),
  removed_at timestamptz
);
CREATE UNIQUE INDEX machines_by_name ON machines (lower(name)) WHERE removed_at IS NULL;
