import { jobLimits } from "@mags/protocol";
import { type FormEvent, useState } from "react";
import { useRun } from "../../api/queries.ts";
import { Button } from "../../ui/Button.tsx";
import { Field, Input } from "../../ui/Field.tsx";
import { Failure } from "../../ui/Notice.tsx";
import { type Mode, ModePicker } from "./ModePicker.tsx";

/** A script and how it is to be run. */
export function NewRunPage() {
  const run = useRun();
  const [mode, setMode] = useState<Mode>("ephemeral");
  const [persistent, setPersistent] = useState(false);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? "").trim() || undefined;
    const number = (name: string) => (text(name) === undefined ? undefined : Number(text(name)));
    run.mutate({
      script: String(form.get("script")),
      name: text("name"),
      persistent,
      workspaceId: text("workspace"),
      baseWorkspaceId: text("base"),
      timeout: number("timeout"),
      memoryMb: number("memory"),
      vcpus: number("vcpus"),
    });
  };
  return (
    <>
      <h1>New run</h1>
      <form className="run" onSubmit={submit}>
        <Field label="Script" hint="Run by /bin/sh as root in /root. Ctrl+Enter runs it.">
          {(id, describedBy) => (
            <textarea
              id={id}
              name="script"
              aria-describedby={describedBy}
              required
              rows={12}
              spellCheck={false}
              placeholder={"uname -a\npython3 -c 'print(2**64)'"}
              onKeyDown={(event) => {
                if (event.key === "Enter" && (event.ctrlKey || event.metaKey))
                  event.currentTarget.form?.requestSubmit();
              }}
            />
          )}
        </Field>
        <ModePicker mode={mode} onChange={setMode} />
        <div className="columns">
          <Input label="Name" name="name" maxLength={128} placeholder="generated" />
          <Input
            label="Time limit, seconds"
            name="timeout"
            type="number"
            min={1}
            max={jobLimits.timeoutMax}
            placeholder={String(jobLimits.timeoutDefault)}
          />
          <Input
            label="Memory, MiB"
            name="memory"
            type="number"
            min={jobLimits.memoryMbMin}
            placeholder={String(jobLimits.memoryMbDefault)}
          />
          <Input
            label="CPUs"
            name="vcpus"
            type="number"
            min={0.1}
            step={0.1}
            placeholder={String(jobLimits.vcpusDefault)}
          />
        </div>
        <label className="check">
          <input type="checkbox" checked={persistent} onChange={(event) => setPersistent(event.target.checked)} />
          Keep the machine after the script has ended
        </label>
        <Failure error={run.error} />
        <Button look="primary" type="submit" disabled={run.isPending}>
          {run.isPending ? "Starting…" : "Run"}
        </Button>
      </form>
    </>
  );
}
