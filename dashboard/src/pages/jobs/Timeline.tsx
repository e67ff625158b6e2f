import { isFinal, type Job } from "@mags/protocol";
import { ago, clock, duration, when } from "../../ui/format.ts";

interface Step {
  name: string;
  at: string | null;
  note?: string | undefined;
}

/** How a job came to be what it is; of a persistent one why its machine is up or not. */
export function Timeline({ job }: { job: Job }) {
  return (
    <ol className="timeline">
      {stepsOf(job).map(({ name, at, note }) => (
        <li key={name} className={at ? "done" : ""}>
          <strong>{name}</strong>
          <span title={at ? when(at) : undefined}>{at ? when(at) : "not yet"}</span>
          {note && <small>{note}</small>}
        </li>
      ))}
    </ol>
  );
}

function stepsOf(job: Job): Step[] {
  const steps: Step[] = [
    { name: "Accepted", at: job.created_at, note: ago(job.created_at) },
    { name: "Started", at: job.started_at, note: waited(job) },
  ];
  const script = scriptEnd(job);
  if (job.persistent && script) steps.push({ name: "Script ended", ...script });
  if (job.activity)
    steps.push({
      name: { awake: "Awake", asleep: "Asleep", waking: "Waking" }[job.activity.state],
      at: job.activity.since,
      note: sentence(job.activity.because) + (job.activity.wakes > 0 ? ` Woken ${times(job.activity.wakes)}.` : ""),
    });
  if (!job.activity || isFinal(job.status))
    steps.push({
      name: "Ended",
      at: job.completed_at,
      note: job.persistent ? (job.reason ?? undefined) : script?.note,
    });
  return steps;
}

const waited = ({ created_at, started_at }: Job) =>
  started_at ? `after ${duration(Date.parse(started_at) - Date.parse(created_at))}` : undefined;

function scriptEnd({
  started_at,
  script_duration_ms,
  exit_code,
}: Job): { at: string | null; note: string } | undefined {
  if (script_duration_ms === null) return undefined;
  const at = started_at && new Date(Date.parse(started_at) + script_duration_ms).toISOString();
  return { at, note: `script took ${duration(script_duration_ms)}${exit_code === null ? "" : `, exit ${exit_code}`}` };
}

const ISO = /\d{4}-\d\d-\d\dT[\d:.]+Z/g;
const sentence = (text: string) =>
  `${text.charAt(0).toUpperCase()}${text.slice(1).replace(ISO, (time) => clock(time).slice(0, 8))}.`;
const times = (count: number) => (count === 1 ? "once" : `${count} times`);
