-- What a job's machine may reach, beside the specification, which may be large. Null for jobs of before there was a choice.
ALTER TABLE jobs ADD COLUMN network jsonb GENERATED ALWAYS AS (spec -> 'network') STORED;
