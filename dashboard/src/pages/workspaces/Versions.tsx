import type { WorkspaceVersion } from "@mags/protocol";
import { Link } from "react-router";
import { useVersions } from "../../api/workspaces.ts";
import { Button } from "../../ui/Button.tsx";
import { ago, bytes, when } from "../../ui/format.ts";
import { Loaded } from "../../ui/Page.tsx";
import { Table } from "../../ui/Table.tsx";

interface VersionsProps {
  id: string;
  rollBack: (version: WorkspaceVersion) => void;
  verify: (version: WorkspaceVersion) => void;
}

/** The history of a workspace, newest first. */
export function Versions({ id, rollBack, verify }: VersionsProps) {
  return (
    <section aria-labelledby="versions">
      <h2 id="versions">Versions</h2>
      <Loaded query={useVersions(id)} what="its versions">
        {({ versions }) =>
          versions.length === 0 ? (
            <p className="hint">There is none yet: nothing in it has been made durable.</p>
          ) : (
            <Table
              label="Versions"
              columns={["Version", "Made", "Why", "New", ""]}
              rows={versions}
              keyOf={({ version }) => version}
              cells={(version) => [
                <span key="version">
                  {version.version} {version.latest && <span className="status good">Latest</span>}
                </span>,
                <time key="made" dateTime={version.created_at} title={when(version.created_at)}>
                  {ago(version.created_at)}
                </time>,
                version.request_id ? <Link to={`/jobs/${version.request_id}`}>{version.reason}</Link> : version.reason,
                bytes(version.new_bytes),
                <span key="actions" className="row-actions">
                  <Link to={`/workspaces/${id}/changes?version=${version.version}`}>Changes</Link>
                  <Link to={`/workspaces/${id}/files?version=${version.version}`}>Files</Link>
                  <Button aria-label={`Verify version ${version.version}`} onClick={() => verify(version)}>
                    Verify
                  </Button>
                  {!version.latest && (
                    <Button onClick={() => rollBack(version)} aria-label={`Roll back to version ${version.version}`}>
                      Roll back
                    </Button>
                  )}
                </span>,
              ]}
            />
          )
        }
      </Loaded>
    </section>
  );
}
