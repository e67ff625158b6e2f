import type { WorkspaceDiff } from "@mags/protocol";
import { useParams, useSearchParams } from "react-router";
import { useDiff } from "../../api/workspaces.ts";
import { ButtonLink } from "../../ui/Button.tsx";
import { Figure } from "../../ui/Figure.tsx";
import { bytes } from "../../ui/format.ts";
import { Empty } from "../../ui/Notice.tsx";
import { Loaded, Page } from "../../ui/Page.tsx";
import { Table } from "../../ui/Table.tsx";

type Entry = WorkspaceDiff["entries"][number];

/** What a version changed, beside what it was made from or any other. */
export function ChangesPage() {
  const { id = "" } = useParams();
  const [search] = useSearchParams();
  const diff = useDiff(id, Number(search.get("version")) || undefined, search.get("from") ?? undefined);
  const { before, after } = diff.data ?? {};
  return (
    <Page
      title={after ? `What ${after} changed` : "What changed"}
      lead={diff.data && `Beside ${before ?? "the image"}. Times alone make no difference.`}
      actions={<ButtonLink to={`/workspaces/${id}`}>To the workspace</ButtonLink>}
    >
      <Loaded query={diff} what="what changed">
        {(found) => (
          <>
            <div className="figures">
              <Figure value={found.added} name="added" />
              <Figure value={found.modified} name="modified" />
              <Figure value={found.removed} name="removed" />
            </div>
            {found.entries.length === 0 ? <Empty title="Both have the same files" /> : <Entries found={found} />}
          </>
        )}
      </Loaded>
    </Page>
  );
}

const TONES: Record<Entry["change"], string> = { added: "good", modified: "warn", removed: "bad" };

function Entries({ found }: { found: WorkspaceDiff }) {
  return (
    <>
      <Table
        label="Changes"
        columns={["Path", "Change", "Before", "After"]}
        rows={found.entries}
        keyOf={({ path }) => path}
        cells={(entry) => [
          <code key="path">
            {entry.path}
            {entry.kind === "directory" && "/"}
          </code>,
          <span key="change" className={`status ${TONES[entry.change]}`}>
            {entry.change}
            {entry.changed.some((what) => what !== "content") && `: ${entry.changed.join(", ")}`}
          </span>,
          bytes(entry.bytes_before),
          bytes(entry.bytes_after),
        ]}
      />
      {found.truncated && <p className="hint">These are the first 10,000; the figures above count all.</p>}
    </>
  );
}
