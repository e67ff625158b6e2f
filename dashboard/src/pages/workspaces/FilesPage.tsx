import type { FileEntry } from "@mags/protocol";
import type { ChangeEvent } from "react";
import { Link, useParams, useSearchParams } from "react-router";
import { fileAddress, useDirectory, useWorkspaceAction } from "../../api/workspaces.ts";
import { ButtonLink } from "../../ui/Button.tsx";
import { bytes, when } from "../../ui/format.ts";
import { Failure, Loading } from "../../ui/Notice.tsx";
import { Loaded, Page } from "../../ui/Page.tsx";
import { Table } from "../../ui/Table.tsx";
import { FileView } from "./FileView.tsx";

/** Larger files are to be downloaded, `bytes`. */
const MOST_SHOWN = 256 * 1024;

/** The files of a workspace, or of one version of it. Where one is stands in the address. */
export function FilesPage() {
  const { id = "" } = useParams();
  const [search] = useSearchParams();
  const path = search.get("path") ?? "/root";
  const version = Number(search.get("version")) || undefined;
  const shown = search.get("file") ?? undefined;
  const directory = useDirectory(id, path, version);
  const to = (next: { path?: string; file?: string }) => {
    const query = new URLSearchParams({ path, ...(version ? { version: String(version) } : {}), ...next });
    return `/workspaces/${id}/files?${query}`;
  };
  return (
    <Page
      title={`Files of ${id}`}
      badge={<span className="status quiet">{version ? `Version ${version}` : "Now"}</span>}
      actions={
        <>
          {!version && <Upload id={id} path={path} />}
          <ButtonLink to={`/workspaces/${id}`}>To the workspace</ButtonLink>
        </>
      }
      lead="Files over the image, as a machine sees them. Where no machine is up, one is started for the look."
    >
      <Crumbs path={path} to={to} />
      {directory.isFetching && !directory.data && <Loading what="the directory" />}
      <Loaded query={{ ...directory, isPending: false }} what="the directory">
        {(entries) =>
          entries.length === 0 ? (
            <p className="hint">Nothing is in this directory.</p>
          ) : (
            <Entries entries={entries} at={{ id, path, version }} to={to} />
          )
        }
      </Loaded>
      {shown && <FileView id={id} path={join(path, shown)} version={version} />}
    </Page>
  );
}

type To = (next: { path?: string; file?: string }) => string;

function Entries(props: {
  entries: FileEntry[];
  at: { id: string; path: string; version: number | undefined };
  to: To;
}) {
  const { entries, at, to } = props;
  const rows = [...entries].sort(
    (a, b) => Number(b.type === "directory") - Number(a.type === "directory") || a.name.localeCompare(b.name),
  );
  return (
    <Table
      label="Files"
      columns={["Name", "Size", "Changed", "Mode", ""]}
      rows={rows}
      keyOf={({ name }) => name}
      cells={(entry) => [
        <Name key="name" entry={entry} path={at.path} to={to} />,
        entry.type === "file" ? bytes(entry.size) : "",
        when(entry.modified_at),
        <code key="mode">{entry.mode}</code>,
        entry.type === "file" && (
          <a key="get" href={fileAddress(at.id, join(at.path, entry.name), at.version)} download={entry.name}>
            Download
          </a>
        ),
      ]}
    />
  );
}

function Name({ entry, path, to }: { entry: FileEntry; path: string; to: To }) {
  if (entry.type === "directory") return <Link to={to({ path: join(path, entry.name) })}>{entry.name}/</Link>;
  if (entry.type === "file" && entry.size <= MOST_SHOWN)
    return <Link to={`${to({ file: entry.name })}#file`}>{entry.name}</Link>;
  return (
    <span>
      {entry.name}
      {entry.target && <small> → {entry.target}</small>}
    </span>
  );
}

/** The way down to a directory. */
function Crumbs({ path, to }: { path: string; to: To }) {
  const parts = path.split("/").filter(Boolean);
  return (
    <nav className="crumbs" aria-label="Directory">
      <Link to={to({ path: "/" })}>/</Link>
      {parts.map((part, index) => {
        const above = `/${parts.slice(0, index + 1).join("/")}`;
        return (
          <Link key={above} to={to({ path: above })} aria-current={index === parts.length - 1 ? "page" : undefined}>
            {part}
          </Link>
        );
      })}
    </nav>
  );
}

function Upload({ id, path }: { id: string; path: string }) {
  const action = useWorkspaceAction();
  const send = (event: ChangeEvent<HTMLInputElement>) => {
    // A list of its own: the one of the element is emptied with it.
    const files = [...(event.currentTarget.files ?? [])];
    if (files.length === 0) return;
    action.mutate(async (all) => {
      for (const file of files)
        await all.writeFile(id, join(path, file.name), new Uint8Array(await file.arrayBuffer()));
    });
    event.currentTarget.value = "";
  };
  return (
    <>
      <label className={`button ${action.isPending ? "busy" : ""}`}>
        {action.isPending ? "Uploading…" : "Upload"}
        <input type="file" multiple className="hidden" disabled={action.isPending} onChange={send} />
      </label>
      <Failure error={action.error} />
    </>
  );
}

const join = (directory: string, name: string): string => `${directory.replace(/\/+$/, "")}/${name}`;
