import type { VersionVerified, Workspace } from "@mags/protocol";
import { type FormEvent, useState } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { useWorkspace, useWorkspaceAction } from "../../api/workspaces.ts";
import { Button, ButtonLink } from "../../ui/Button.tsx";
import { Confirm } from "../../ui/Confirm.tsx";
import { Input } from "../../ui/Field.tsx";
import { bytes, duration } from "../../ui/format.ts";
import { Failure } from "../../ui/Notice.tsx";
import { Loaded, Page } from "../../ui/Page.tsx";
import { RecoveryPoint, recoverySentence } from "./RecoveryPoint.tsx";
import { Versions } from "./Versions.tsx";

/** One workspace: what is safe, its history, and what can be done with it. */
export function WorkspacePage() {
  const { id = "" } = useParams();
  return (
    <Loaded query={useWorkspace(id)} what="the workspace">
      {(workspace) => <Shown workspace={workspace} />}
    </Loaded>
  );
}

function Shown({ workspace }: { workspace: Workspace }) {
  const id = workspace.workspace_id;
  const navigate = useNavigate();
  const action = useWorkspaceAction();
  const [done, setDone] = useState("");
  const act = (said: string, work: Parameters<typeof action.mutate>[0]) =>
    action.mutate(work, { onSuccess: () => setDone(said) });
  const verify = (version: number) =>
    action.mutate(async (all) => setDone(verdict(version, await all.verify(id, { version }))));
  return (
    <Page
      title={id}
      badge={<RecoveryPoint point={workspace.recovery_point} />}
      lead={recoverySentence(workspace.recovery_point)}
      actions={
        <>
          <ButtonLink to={`/workspaces/${id}/files`}>Files</ButtonLink>
          <Button disabled={action.isPending} onClick={() => act("Everything is durable.", (all) => all.sync(id))}>
            Sync now
          </Button>
          <Confirm
            sure="Delete for good"
            disabled={action.isPending}
            act={() => action.mutate((all) => all.delete(id), { onSuccess: () => navigate("/workspaces") })}
          >
            Delete
          </Confirm>
        </>
      }
    >
      <Failure error={action.error} />
      <p role="status" className={done || action.isPending ? "notice good" : "hidden"}>
        {action.isPending ? "Working…" : action.error ? "" : done}
      </p>
      <Facts workspace={workspace} />
      <Versions
        id={id}
        verify={({ version }) => verify(version)}
        rollBack={({ version }) => act(`Version ${version} is the latest again.`, (all) => all.rollBack(id, version))}
      />
      <Fork id={id} />
    </Page>
  );
}

function verdict(version: number, { ok, bytes: size, mounted, took_ms, bad, fsck }: VersionVerified): string {
  if (ok)
    return `Version ${version} can be restored: ${bytes(size)}, ${mounted?.inodes ?? 0} files, checked in ${duration(took_ms)}.`;
  const why = bad.map(({ key, reason }) => `${key} is ${reason}`).join(", ") || fsck?.output || "it cannot be mounted";
  return `Version ${version} is damaged: ${why}`;
}

function Facts({ workspace }: { workspace: Workspace }) {
  const users = workspace.in_use_by.map(({ request_id, name }) => (
    <Link key={request_id} to={`/jobs/${request_id}`}>
      {name}{" "}
    </Link>
  ));
  return (
    <dl className="facts">
      <div>
        <dt>In use by</dt>
        <dd>{users.length > 0 ? users : "nobody"}</dd>
      </div>
      <div>
        <dt>Disk</dt>
        <dd>
          {workspace.disk_gb} GiB, of which {bytes(workspace.size_bytes)} are used
        </dd>
      </div>
      <div>
        <dt>In the object store</dt>
        <dd>{bytes(workspace.stored_bytes)}</dd>
      </div>
      <div>
        <dt>Jobs that named it</dt>
        <dd>{workspace.job_count}</dd>
      </div>
    </dl>
  );
}

function Fork({ id }: { id: string }) {
  const navigate = useNavigate();
  const action = useWorkspaceAction();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget).get("name"));
    action.mutate((all) => all.fork(id, name), { onSuccess: () => navigate(`/workspaces/${name}`) });
  };
  return (
    <section aria-labelledby="fork">
      <h2 id="fork">Fork</h2>
      <p className="hint">
        A new workspace with the same files. It takes milliseconds at any size, and nothing is copied.
      </p>
      <form className="inline" onSubmit={submit}>
        <Input label="Name of the new workspace" name="name" required maxLength={63} />
        <Button type="submit" disabled={action.isPending}>
          Fork
        </Button>
      </form>
      <Failure error={action.error} />
    </section>
  );
}
