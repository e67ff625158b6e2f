import type { AuditEntry } from "@mags/protocol";
import { useSearchParams } from "react-router";
import { useAudit } from "../../api/operate.ts";
import { Button } from "../../ui/Button.tsx";
import { when } from "../../ui/format.ts";
import { Empty } from "../../ui/Notice.tsx";
import { Loaded, Page } from "../../ui/Page.tsx";
import { Table } from "../../ui/Table.tsx";

/** Who did what. The filter is in the address, so that it can be shared and gone back to. */
export function AuditPage() {
  const [search, setSearch] = useSearchParams();
  const filter = (name: string) => search.get(name) || undefined;
  const change = (values: Record<string, string>) => {
    const next = new URLSearchParams(search);
    for (const [key, value] of Object.entries(values)) value ? next.set(key, value) : next.delete(key);
    setSearch(next, { replace: true });
  };
  const before = Number(search.get("before")) || undefined;
  const audit = useAudit({
    action: filter("action"),
    actor: filter("actor"),
    target: filter("target"),
    beforeSeq: before,
  });
  return (
    <Page
      title="Audit log"
      lead={
        <>
          Every change, run, command, shell and address that was opened. Each entry holds the hash of the one before, so
          that none can be taken away unseen: <code>mags audit verify</code>.
        </>
      }
    >
      <div className="filters">
        {(["actor", "action", "target"] as const).map((name) => (
          <input
            key={name}
            type="search"
            aria-label={NAMES[name]}
            placeholder={NAMES[name]}
            defaultValue={search.get(name) ?? ""}
            onChange={(event) => change({ [name]: event.target.value.trim(), before: "" })}
          />
        ))}
      </div>
      <Loaded query={audit} what="the audit log">
        {({ entries, next }) => (
          <>
            {entries.length === 0 ? <Empty title="No entry is like that" /> : <Entries entries={entries} />}
            <nav className="pager" aria-label="Pages">
              {before && <Button onClick={() => change({ before: "" })}>Newest</Button>}
              {next !== null && <Button onClick={() => change({ before: String(next) })}>Older</Button>}
            </nav>
          </>
        )}
      </Loaded>
    </Page>
  );
}

const NAMES = { actor: "Who", action: "What", target: "To what" };
const TONES: Record<AuditEntry["outcome"], string> = { done: "good", refused: "bad", failed: "warn" };

function Entries({ entries }: { entries: AuditEntry[] }) {
  return (
    <Table
      label="Audit log"
      columns={["No.", "When", "Who", "What", "To what", "Outcome", "From"]}
      rows={entries}
      keyOf={({ seq }) => seq}
      cells={(entry) => [
        entry.seq,
        when(entry.at),
        <span key="who" title={entry.actor.kind}>
          {entry.actor.name}
        </span>,
        <code key="what">{entry.action}</code>,
        entry.target,
        <span key="outcome" className={`status ${TONES[entry.outcome]}`}>
          {entry.outcome}
        </span>,
        entry.address,
      ]}
    />
  );
}
