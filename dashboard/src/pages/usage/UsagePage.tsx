import type { UsageReport } from "@mags/protocol";
import { useSearchParams } from "react-router";
import { type UsageRange, usageAddress, useUsage } from "../../api/usage.ts";
import { Bars } from "../../ui/Bars.tsx";
import { day } from "../../ui/format.ts";
import { Empty } from "../../ui/Notice.tsx";
import { Loaded, Page } from "../../ui/Page.tsx";
import { Table } from "../../ui/Table.tsx";
import { lastDays } from "./days.ts";
import { MEASURES } from "./measures.ts";
import { RangePicker } from "./RangePicker.tsx";
import { Shares } from "./Shares.tsx";

/** What the organisation has used, by day, and who has. What is shown stands in the address. */
export function UsagePage() {
  const [search, setSearch] = useSearchParams();
  const usual = lastDays();
  const range = { from: search.get("from") || usual.from, to: search.get("to") || usual.to };
  const report = useUsage(range, "day");
  const change = (values: Partial<UsageRange>) =>
    setSearch((old) => ({ ...Object.fromEntries(old), ...values }), { replace: true });
  return (
    <Page
      title="Usage"
      lead="What machines, workspaces and the network took. Days are those of UTC; a machine that sleeps counts for nothing."
      actions={
        <a className="button" href={usageAddress(range, "day")} download={`usage-${range.from}-${range.to}.csv`}>
          Download CSV
        </a>
      }
    >
      <RangePicker range={range} onChange={change} />
      <Loaded query={report} what="usage">
        {(shown) => (
          <>
            {shown.total.jobs === 0 && shown.total.vcpu_seconds === 0 && <Nothing />}
            <Days report={shown} />
            <Shares range={range} />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Nothing() {
  return (
    <Empty title="Nothing was used in these days">
      <p>Figures come as jobs run:</p>
      <pre>mags run 'echo hello'</pre>
    </Empty>
  );
}

function Days({ report }: { report: UsageReport }) {
  const days = report.rows.map((row) => ({ ...row, day: row.day ?? "" }));
  return (
    <section aria-labelledby="days">
      <h2 id="days">By day</h2>
      <div className="charts">
        {MEASURES.map(({ key, name, show }) => (
          <Bars
            key={key}
            title={name}
            total={show(report.total[key])}
            bars={days.map((row) => ({ name: day(row.day), value: row[key] }))}
            show={show}
          />
        ))}
      </div>
      <details className="as-table">
        <summary>The same as a table</summary>
        <Table
          label="Usage by day"
          columns={["Day", ...MEASURES.map(({ name }) => name)]}
          rows={[...days].reverse()}
          keyOf={(row) => row.day}
          cells={(row) => [day(row.day), ...MEASURES.map(({ key, show }) => show(row[key]))]}
        />
      </details>
    </section>
  );
}
