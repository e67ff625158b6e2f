import { type FormEvent, useDeferredValue, useId, useState } from "react";
import { useNavigate } from "react-router";
import { useCronAction, useCronPreview } from "../../api/operate.ts";
import { Button } from "../../ui/Button.tsx";
import { Field, Input } from "../../ui/Field.tsx";
import { whenIn } from "../../ui/format.ts";
import { Failure } from "../../ui/Notice.tsx";
import { Page } from "../../ui/Page.tsx";

const ZONES = ["UTC", ...Intl.supportedValuesOf("timeZone")];
const EXAMPLES = ["@hourly", "*/15 * * * *", "0 3 * * *", "0 9 * * 1-5"];

/** A schedule, with the times at which it will fire while it is written. */
export function NewCronPage() {
  const navigate = useNavigate();
  const action = useCronAction();
  const [expression, setExpression] = useState("0 3 * * *");
  const [zone, setZone] = useState(Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC");
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? "").trim();
    const cron = {
      name: text("name"),
      script: String(form.get("script")),
      cronExpression: expression,
      timeZone: zone,
      overlap: text("overlap") as "skip" | "queue" | "allow",
      ...(text("workspace") ? { workspaceId: text("workspace") } : {}),
    };
    action.mutate((all) => all.create(cron).then(({ id }) => navigate(`/cron/${id}`)));
  };
  return (
    <Page title="New schedule">
      <form className="run" onSubmit={submit}>
        <Input label="Name" name="name" required maxLength={128} placeholder="nightly" />
        <div className="columns">
          <When expression={expression} onChange={setExpression} />
          <Zone zone={zone} onChange={setZone} />
        </div>
        <Preview expression={expression} zone={zone} />
        <Field label="Script" hint="Run by /bin/sh as root in /root, in a machine of its own.">
          {(id, describedBy) => (
            <textarea id={id} name="script" aria-describedby={describedBy} required rows={8} spellCheck={false} />
          )}
        </Field>
        <div className="columns">
          <Input label="Workspace" name="workspace" maxLength={63} placeholder="none: nothing is kept" />
          <Field label="While an earlier run goes on">
            {(id) => (
              <select id={id} name="overlap" defaultValue="skip">
                <option value="skip">Skip the new one</option>
                <option value="queue">Run it afterwards</option>
                <option value="allow">Run both</option>
              </select>
            )}
          </Field>
        </div>
        <Failure error={action.error} />
        <Button look="primary" type="submit" disabled={action.isPending}>
          {action.isPending ? "Making…" : "Make the schedule"}
        </Button>
      </form>
    </Page>
  );
}

function When({ expression, onChange }: { expression: string; onChange: (expression: string) => void }) {
  const list = useId();
  return (
    <>
      <Input
        label="When"
        value={expression}
        list={list}
        required
        spellCheck={false}
        onChange={(event) => onChange(event.target.value)}
        hint="Minute, hour, day, month, weekday; or a name such as @daily."
      />
      <datalist id={list}>
        {EXAMPLES.map((example) => (
          <option key={example} value={example} />
        ))}
      </datalist>
    </>
  );
}

function Zone({ zone, onChange }: { zone: string; onChange: (zone: string) => void }) {
  const list = useId();
  return (
    <>
      <Input
        label="Time zone"
        value={zone}
        list={list}
        required
        onChange={(event) => onChange(event.target.value)}
        hint="Such as Europe/Berlin or UTC."
      />
      <datalist id={list}>
        {ZONES.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </>
  );
}

function Preview({ expression, zone }: { expression: string; zone: string }) {
  const [when, where] = [useDeferredValue(expression), useDeferredValue(zone)];
  const { data, error } = useCronPreview(when, where);
  if (error) return <Failure error={error} />;
  return (
    <div className="preview" role="status">
      <strong>Next runs</strong>
      <ol>
        {data?.next_runs.map((run) => (
          <li key={run}>{whenIn(run, where)}</li>
        ))}
      </ol>
    </div>
  );
}
