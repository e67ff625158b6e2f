import { type FormEvent, useState } from "react";
import { useRun } from "../../api/queries.ts";
import { Button } from "../../ui/Button.tsx";
import { Field, Input } from "../../ui/Field.tsx";
import { Failure } from "../../ui/Notice.tsx";
import { Page } from "../../ui/Page.tsx";
import { MachineFields } from "./MachineFields.tsx";
import { type Mode, ModePicker } from "./ModePicker.tsx";
import { readRun } from "./run-request.ts";
import { VariableFields } from "./VariableFields.tsx";

/** A script and how it is to be run. */
export function NewRunPage() {
  const run = useRun();
  const [mode, setMode] = useState<Mode>("ephemeral");
  const [unclear, setUnclear] = useState<unknown>();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setUnclear(undefined);
    try {
      run.mutate(readRun(new FormData(event.currentTarget)));
    } catch (error) {
      setUnclear(error);
    }
  };
  return (
    <Page title="New run">
      <form className="run" onSubmit={submit}>
        <Script />
        <ModePicker mode={mode} onChange={setMode} />
        <Keep />
        <h2>Machine</h2>
        <MachineFields />
        <VariableFields />
        <Failure error={unclear ?? run.error} />
        <div className="submit">
          <Input label="Name" name="name" maxLength={128} placeholder="generated" />
          <Button look="primary" type="submit" disabled={run.isPending}>
            {run.isPending ? "Starting…" : "Run"}
          </Button>
        </div>
      </form>
    </Page>
  );
}

function Script() {
  return (
    <Field label="Script" hint="Run by /bin/sh as root in /root. Ctrl+Enter runs it.">
      {(id, describedBy) => (
        <textarea
          id={id}
          name="script"
          className="code"
          aria-describedby={describedBy}
          required
          rows={10}
          spellCheck={false}
          placeholder={"uname -a\npython3 -c 'print(2**64)'"}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.form?.requestSubmit();
          }}
        />
      )}
    </Field>
  );
}

/** Whether the machine stays after the script, and whether it may sleep then. */
function Keep() {
  const [persistent, setPersistent] = useState(false);
  return (
    <div className="checks">
      <label>
        <input
          type="checkbox"
          name="persistent"
          checked={persistent}
          onChange={(event) => setPersistent(event.target.checked)}
        />
        Keep the machine after the script has ended
      </label>
      {persistent && (
        <label>
          <input type="checkbox" name="no_sleep" />
          Never put it to sleep
        </label>
      )}
    </div>
  );
}
