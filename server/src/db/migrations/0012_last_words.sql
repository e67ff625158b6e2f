-- The fence whose writer has said its last word: what it still tells of changes was sent before that, and is out of date.
ALTER TABLE workspaces ADD COLUMN closed_fence integer NOT NULL DEFAULT 0;
