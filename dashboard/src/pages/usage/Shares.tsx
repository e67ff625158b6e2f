import { allows, type UsageReport, type UsageRow } from "@mags/protocol";
import { useSearchParams } from "react-router";
import { useWhoami } from "../../api/operate.ts";
import { type UsageBy, type UsageRange, usageAddress, useUsage } from "../../api/usage.ts";
import { Loaded } from "../../ui/Page.tsx";
import { Table } from "../../ui/Table.tsx";
import { MEASURES, type Measure } from "./measures.ts";

const GROUPS = [
  ["workspace", "By workspace", "no workspace"],
  ["token", "By who ran it", "nobody: what is stored"],
  ["organisation", "By organisation", ""],
] as const;

/** Who has used how much of it, the most first. */
export function Shares({ range }: { range: UsageRange }) {
  const [search, setSearch] = useSearchParams();
  const operator = allows(useWhoami().data?.scopes ?? [], "operator");
  const groups = GROUPS.filter(([by]) => by !== "organisation" || operator);
  const [by, title, none] = groups.find(([known]) => known === search.get("by")) ?? GROUPS[0];
  const measure = MEASURES.find(({ key }) => key === search.get("measure")) ?? MEASURES[1] ?? MEASURES[0];
  const set = (values: Record<string, string>) =>
    setSearch((old) => ({ ...Object.fromEntries(old), ...values }), { replace: true, preventScrollReset: true });
  return (
    <section aria-labelledby="shares">
      <div className="heading">
        <h2 id="shares">{title}</h2>
        <div className="actions">
          <select aria-label="Share out" value={by} onChange={(event) => set({ by: event.target.value })}>
            {groups.map(([value, name]) => (
              <option key={value} value={value}>
                {name}
              </option>
            ))}
          </select>
          <select aria-label="By" value={measure.key} onChange={(event) => set({ measure: event.target.value })}>
            {MEASURES.map(({ key, name }) => (
              <option key={key} value={key}>
                {name}
              </option>
            ))}
          </select>
          <a
            className="button"
            href={usageAddress(range, by)}
            download={`usage-by-${by}-${range.from}-${range.to}.csv`}
          >
            CSV
          </a>
        </div>
      </div>
      <p className="hint">{measure.meaning}.</p>
      <Loaded query={useUsage(range, by)} what="shares">
        {(report) => <Rows report={report} by={by} none={none} measure={measure} />}
      </Loaded>
    </section>
  );
}

function Rows({ report, by, none, measure }: { report: UsageReport; by: UsageBy; none: string; measure: Measure }) {
  // While another division is fetched the rows of the one before are still here.
  if (!report.by.includes(by) || report.rows.length === 0) return <p className="hint">Nothing to share out.</p>;
  const rows = [...report.rows].sort((a, b) => b[measure.key] - a[measure.key]);
  const most = Math.max(0, ...rows.map((row) => row[measure.key]));
  const others = MEASURES.filter((other) => other !== measure);
  const nameOf = (row: UsageRow) => row[by] ?? none;
  return (
    <Table
      label={`Usage by ${by}`}
      columns={["Name", measure.name, ...others.map(({ name }) => name)]}
      rows={rows}
      keyOf={nameOf}
      cells={(row) => [
        row[by] ? <strong key="name">{nameOf(row)}</strong> : <span key="name">{none}</span>,
        <Share key="share" value={row[measure.key]} most={most} words={measure.show(row[measure.key])} />,
        ...others.map(({ key, show }) => (
          <span key={key} className="nowrap">
            {show(row[key])}
          </span>
        )),
      ]}
    />
  );
}

function Share({ value, most, words }: { value: number; most: number; words: string }) {
  return (
    <span className="share">
      <span className="bar" aria-hidden="true">
        <span style={{ width: `${most === 0 ? 0 : (value / most) * 100}%` }} />
      </span>
      {words}
    </span>
  );
}
