import type { Workspace, WorkspaceVersion } from "@mags/protocol";
import { type FormEvent, useState } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { useVersions, useWorkspace, useWorkspaceAction } from "../../api/workspaces.ts";
import { Button } from "../../ui/Button.tsx";
import { Input } from "../../ui/Field.tsx";
import { ago, bytes, when } from "../../ui/format.ts";
import { Failure, Loading } from "../../ui/Notice.tsx";
import { RecoveryPoint, recoverySentence } from "./RecoveryPoint.tsx";

/** One workspace: what is safe, its history, and what can be done with it. */
export function WorkspacePage() {
  const { id = "" } = useParams();
  const workspace = useWorkspace(id);
  const versions = useVersions(id);
  const action = useWorkspaceAction(id);
  const [done, setDone] = useState("");
  if (workspace.error && !workspace.data) return <Failure error={workspace.error} />;
  if (!workspace.data) return <Loading what="the workspace" />;
  const act = (name: string, work: Parameters<typeof action.mutate>[0]) =>
    action.mutate(work, { onSuccess: () => setDone(name) });
  return (
    <>
      <div className="heading">
        <h1>{id}</h1>
        <RecoveryPoint point={workspace.data.recovery_point} />
        <div className="actions">
          <Button disabled={action.isPending} onClick={() => act("Everything is durable.", (all) => all.sync(id))}>
            Sync now
          </Button>
          <Delete workspace={workspace.data} />
        </div>
      </div>
      <p>{recoverySentence(workspace.data.recovery_point)}</p>
      <Failure error={action.error} />
      <p role="status">{action.isPending ? "Working…" : action.error ? "" : done}</p>
      <Facts workspace={workspace.data} />
      <section aria-labelledby="versions">
        <h2 id="versions">Versions</h2>
        <Failure error={versions.error} />
        <Versions
          versions={versions.data?.versions ?? []}
          rollBack={({ version }) => act(`Version ${version} is the latest again.`, (all) => all.rollBack(id, version))}
        />
      </section>
      <Fork id={id} />
    </>
  );
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

function Versions(props: { versions: WorkspaceVersion[]; rollBack: (version: WorkspaceVersion) => void }) {
  return (
    <table className="list">
      <thead>
        <tr>
          <th scope="col">Version</th>
          <th scope="col">Made</th>
          <th scope="col">Why</th>
          <th scope="col">New</th>
          <th scope="col">
            <span className="hidden">Actions</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {props.versions.map((version) => (
          <tr key={version.version}>
            <td>{version.version}</td>
            <td>
              <time dateTime={version.created_at} title={when(version.created_at)}>
                {ago(version.created_at)}
              </time>
            </td>
            <td>{version.reason}</td>
            <td>{bytes(version.new_bytes)}</td>
            <td>{version.latest ? "latest" : <Button onClick={() => props.rollBack(version)}>Roll back</Button>}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Fork({ id }: { id: string }) {
  const navigate = useNavigate();
  const action = useWorkspaceAction(id);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget).get("name"));
    action.mutate((all) => all.fork(id, name), { onSuccess: () => navigate(`/workspaces/${name}`) });
  };
  return (
    <section aria-labelledby="fork">
      <h2 id="fork">Fork</h2>
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

/** Asks first: what is deleted is gone. */
function Delete({ workspace }: { workspace: Workspace }) {
  const [asked, setAsked] = useState(false);
  const navigate = useNavigate();
  const action = useWorkspaceAction(workspace.workspace_id);
  if (!asked)
    return (
      <Button look="danger" onClick={() => setAsked(true)}>
        Delete
      </Button>
    );
  const remove = () =>
    action.mutate((all) => all.delete(workspace.workspace_id), { onSuccess: () => navigate("/workspaces") });
  return (
    <>
      <Button look="danger" disabled={action.isPending} onClick={remove}>
        Delete for good
      </Button>
      <Button onClick={() => setAsked(false)}>Keep</Button>
      <Failure error={action.error} />
    </>
  );
}
