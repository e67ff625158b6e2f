import type { UrlAlias } from "@mags/protocol";
import type { FormEvent } from "react";
import { Link } from "react-router";
import { useAccessAction, useAliases, useJobsWithUrl } from "../../api/operate.ts";
import { useWorkspaces } from "../../api/workspaces.ts";
import { Button } from "../../ui/Button.tsx";
import { Confirm } from "../../ui/Confirm.tsx";
import { Copy } from "../../ui/Copy.tsx";
import { Field, Input } from "../../ui/Field.tsx";
import { Empty, Failure } from "../../ui/Notice.tsx";
import { Loaded, Page } from "../../ui/Page.tsx";
import { Status } from "../../ui/Status.tsx";
import { Table } from "../../ui/Table.tsx";
import { SshKeys } from "./SshKeys.tsx";

/** Ways in from outside: names that follow workspaces, URLs of machines, SSH keys. */
export function UrlsPage() {
  return (
    <Page
      title="URLs and keys"
      lead="Addresses under which visitors reach servers in your machines, and keys for SSH into them."
    >
      <Aliases />
      <OfJobs />
      <SshKeys />
    </Page>
  );
}

function Aliases() {
  const aliases = useAliases();
  const action = useAccessAction();
  return (
    <section aria-labelledby="aliases">
      <h2 id="aliases">Aliases</h2>
      <p className="hint">A stable name that follows a workspace to whatever machine has it. Visitors wake it.</p>
      <NewAlias />
      <Failure error={action.error} />
      <Loaded query={aliases} what="aliases">
        {({ aliases: rows }) =>
          rows.length > 0 && (
            <Table
              label="Aliases"
              columns={["Address", "Leads to", "Who may visit", ""]}
              rows={rows}
              keyOf={({ id }) => id}
              cells={(alias) => [
                <a key="url" href={alias.url} target="_blank" rel="noreferrer">
                  {alias.url}
                </a>,
                <Link key="workspace" to={`/workspaces/${alias.workspace_id}`}>
                  {alias.workspace_id}
                  {alias.port ? `, port ${alias.port}` : ""}
                </Link>,
                VISITORS[alias.access],
                <Confirm
                  key="delete"
                  label={`Delete ${alias.subdomain}`}
                  sure="Delete the name"
                  act={() => action.mutate((all) => all.deleteAlias(alias.subdomain))}
                >
                  Delete
                </Confirm>,
              ]}
            />
          )
        }
      </Loaded>
    </section>
  );
}

const VISITORS: Record<UrlAlias["access"], string> = {
  public: "everybody",
  token: "who has the token",
  password: "who has the password",
};

function NewAlias() {
  const action = useAccessAction();
  const workspaces = useWorkspaces().data?.workspaces ?? [];
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const text = (name: string) => String(new FormData(form).get(name) ?? "").trim();
    const port = text("port") === "" ? {} : { port: Number(text("port")) };
    const access = text("access") as "public" | "token";
    action.mutate((all) => all.createAlias(text("subdomain"), text("workspace"), { ...port, access }), {
      onSuccess: () => form.reset(),
    });
  };
  const made = action.data as UrlAlias | undefined;
  return (
    <>
      <form className="inline" onSubmit={submit}>
        <Input label="Name" name="subdomain" required maxLength={63} placeholder="shop" spellCheck={false} />
        <Field label="Workspace">
          {(id) => (
            <>
              <input id={id} name="workspace" required maxLength={128} list="alias-workspaces" />
              <datalist id="alias-workspaces">
                {workspaces.map(({ workspace_id }) => (
                  <option key={workspace_id} value={workspace_id} />
                ))}
              </datalist>
            </>
          )}
        </Field>
        <Input label="Port" name="port" type="number" min={1} max={65535} placeholder="8080" />
        <Field label="Who may visit">
          {(id) => (
            <select id={id} name="access" defaultValue="public">
              <option value="public">Everybody</option>
              <option value="token">Who has the token</option>
            </select>
          )}
        </Field>
        <Button type="submit" look="primary" disabled={action.isPending}>
          Name it
        </Button>
      </form>
      <Failure error={action.error} />
      {made?.token && (
        <div className="notice good" role="status">
          <p>The token of {made.subdomain} is shown once. Visitors open this address first:</p>
          <Copy value={`${made.url}/?mags_token=${made.token}`} label="the address with the token" block />
        </div>
      )}
    </>
  );
}

function OfJobs() {
  return (
    <section aria-labelledby="of-jobs">
      <h2 id="of-jobs">URLs of machines</h2>
      <Loaded query={useJobsWithUrl()} what="URLs">
        {(jobs) =>
          jobs.length === 0 ? (
            <Empty title="No machine has a URL yet">
              <p>Open a port on the page of a running job, or from a terminal:</p>
              <pre>mags url my-app 8080</pre>
            </Empty>
          ) : (
            <Table
              label="URLs of machines"
              columns={["Address", "Job", "Status"]}
              rows={jobs}
              keyOf={({ request_id }) => request_id}
              cells={(job) => [
                <a key="url" href={job.url ?? ""} target="_blank" rel="noreferrer">
                  {job.url}
                </a>,
                <Link key="job" to={`/jobs/${job.request_id}`}>
                  {job.name}
                </Link>,
                <Status key="status" job={job} />,
              ]}
            />
          )
        }
      </Loaded>
    </section>
  );
}
