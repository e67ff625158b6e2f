-- Where organisations want to hear of their jobs.
CREATE TABLE webhooks (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  org text NOT NULL REFERENCES organisations (id),
  url text NOT NULL,
  events text[] NOT NULL,
  description text,
  -- the key of its signatures, encrypted as secrets are
  key_id text NOT NULL,
  sealed bytea NOT NULL,
  enabled boolean NOT NULL DEFAULT true,
  disabled_reason text,
  failing_since timestamptz,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX webhooks_of_org ON webhooks (org, created_at);

-- What is to be told, from the transaction of the event on.
CREATE TABLE deliveries (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  org text NOT NULL REFERENCES organisations (id),
  webhook uuid NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
  event text NOT NULL,
  job uuid,
  body jsonb NOT NULL,
  state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
  attempts integer NOT NULL DEFAULT 0,
  next_at timestamptz DEFAULT clock_timestamp(),
  status_code integer,
  error text,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at timestamptz
);
CREATE INDEX deliveries_due ON deliveries (next_at) WHERE state = 'pending';
CREATE INDEX deliveries_of_webhook ON deliveries (webhook, created_at);
CREATE INDEX deliveries_by_end ON deliveries (ended_at) WHERE ended_at IS NOT NULL;

-- In the transaction that changes a job's state, whoever changes it: no event is told of what did not happen, and none is lost.
CREATE FUNCTION tell_webhooks() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  happened text := CASE
    WHEN NEW.status = 'running' AND NEW.wakes > 0 THEN 'job.woken'
    WHEN NEW.status = 'running' THEN 'job.started'
    WHEN NEW.status IN ('completed', 'error', 'stopped', 'sleeping') THEN 'job.' || NEW.status END;
BEGIN
  IF happened IS NOT NULL THEN
    INSERT INTO deliveries (org, webhook, event, job, body)
    SELECT NEW.org, w.id, happened, NEW.id, jsonb_build_object(
      'type', happened, 'timestamp', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
      'data', jsonb_build_object(
        'request_id', NEW.id, 'name', NEW.name, 'status', NEW.status, 'exit_code', NEW.exit_code, 'reason', NEW.reason,
        'error', NEW.error, 'workspace_id', NEW.workspace_name, 'cron_id', NEW.cron, 'persistent', NEW.persistent,
        'script_duration_ms', NEW.script_duration_ms, 'created_by', NEW.created_by))
    FROM webhooks w WHERE w.org = NEW.org AND w.enabled AND happened = ANY (w.events);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER jobs_tell_webhooks AFTER UPDATE OF status ON jobs
  FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION tell_webhooks();
