-- The script of a persistent job has no limit unless one was given.
ALTER TABLE jobs ALTER COLUMN timeout DROP NOT NULL;
