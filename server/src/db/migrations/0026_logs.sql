-- whether the object store may have a log of the job: until it is removed some time after the job's end
ALTER TABLE jobs ADD COLUMN log_kept boolean NOT NULL DEFAULT true;
CREATE INDEX jobs_log_kept ON jobs (completed_at) WHERE log_kept AND completed_at IS NOT NULL;
