import type { Job } from "@mags/protocol";
import { useMetrics } from "../../api/queries.ts";
import { Chart } from "../../ui/Chart.tsx";
import { bytes } from "../../ui/format.ts";
import { Failure } from "../../ui/Notice.tsx";

const MIB = 1024 * 1024;

/** What the machine of a job uses, over the last half hour at most. */
export function Machine({ job }: { job: Job }) {
  const up = job.status === "running";
  const { data, error } = useMetrics(job.request_id, up);
  if (!up) return null;
  const samples = data?.samples ?? [];
  const series = (value: (sample: (typeof samples)[number]) => number) =>
    samples.map((sample) => ({ at: Date.parse(sample.at), value: value(sample) }));
  return (
    <section aria-labelledby="machine">
      <h2 id="machine">Machine</h2>
      <Failure error={error} />
      {data && (
        <div className="charts">
          <Chart
            title="CPU"
            points={series(({ cpus }) => cpus)}
            most={data.vcpus}
            show={(value) => `${value < 10 ? Math.round(value * 100) / 100 : Math.round(value)} CPU`}
          />
          <Chart
            title="Memory"
            points={series(({ memory_bytes }) => memory_bytes)}
            most={data.memory_mb * MIB}
            show={bytes}
          />
          <Chart
            title="Written to disk"
            points={series(({ written_bytes }) => written_bytes / data.interval_seconds)}
            show={(value) => `${bytes(Math.round(value))}/s`}
          />
        </div>
      )}
      {data && samples.length < 2 && <p className="hint">The first measurements come within ten seconds.</p>}
    </section>
  );
}
