import type { Workspace } from "@mags/protocol";
import { Link } from "react-router";
import { useWorkspaces } from "../../api/workspaces.ts";
import { ago, bytes } from "../../ui/format.ts";
import { Empty, Failure, Loading } from "../../ui/Notice.tsx";
import { Table } from "../../ui/Table.tsx";
import { RecoveryPoint } from "./RecoveryPoint.tsx";

/** File systems that outlive their machines, and how much of each is safe. */
export function WorkspacesPage() {
  const workspaces = useWorkspaces();
  return (
    <>
      <div className="heading">
        <h1>Workspaces</h1>
      </div>
      <Failure error={workspaces.error} />
      {workspaces.isPending && <Loading what="workspaces" />}
      {workspaces.data?.workspaces.length === 0 && <NoWorkspaces />}
      {workspaces.data && workspaces.data.workspaces.length > 0 && (
        <WorkspaceTable workspaces={workspaces.data.workspaces} />
      )}
    </>
  );
}

function WorkspaceTable({ workspaces }: { workspaces: Workspace[] }) {
  return (
    <Table
      label="Workspaces"
      columns={["Name", "Durable", "Size", "Versions", "Used"]}
      rows={workspaces}
      keyOf={({ workspace_id }) => workspace_id}
      cells={(workspace) => [
        <Link key="name" to={`/workspaces/${workspace.workspace_id}`}>
          {workspace.workspace_id}
        </Link>,
        <RecoveryPoint key="durable" point={workspace.recovery_point} />,
        bytes(workspace.size_bytes),
        workspace.versions,
        workspace.in_use_by.length > 0 ? "now" : ago(workspace.used_at),
      ]}
    />
  );
}

function NoWorkspaces() {
  return (
    <Empty title="There is no workspace yet">
      <p>A workspace keeps the files of a run for the next one. It is made by the first job that names it:</p>
      <pre>mags run -w my-project 'pip install requests'</pre>
    </Empty>
  );
}
