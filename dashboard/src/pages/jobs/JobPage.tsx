import { can, type Job } from "@mags/protocol";
import { Link, useParams } from "react-router";
import { useJob, usePower, useStop } from "../../api/queries.ts";
import { LogView } from "../../components/LogView.tsx";
import { Button, ButtonLink } from "../../ui/Button.tsx";
import { duration, when } from "../../ui/format.ts";
import { Failure, Loading } from "../../ui/Notice.tsx";
import { Status } from "../../ui/Status.tsx";

/** One job: what it is now, how it came there, and its live output. */
export function JobPage() {
  const { id = "" } = useParams();
  const query = useJob(id);
  const stop = useStop();
  const job = query.data;
  if (query.error && !job) return <Failure error={query.error} />;
  if (!job) return <Loading what="the job" />;
  return (
    <>
      <div className="heading">
        <h1>{job.name}</h1>
        <Status job={job} />
        <div className="actions">
          {job.persistent && <Power job={job} />}
          {can("stop", job.status) && (
            <Button look="danger" disabled={stop.isPending} onClick={() => stop.mutate(job.request_id)}>
              Stop
            </Button>
          )}
          <ButtonLink to="/jobs/new">New run</ButtonLink>
        </div>
      </div>
      <Failure error={stop.error} />
      {job.error && (
        <div className="notice failure">
          <p>{job.error}</p>
        </div>
      )}
      {job.activity && (
        <p>
          {job.activity.state}: {job.activity.because}
        </p>
      )}
      <Timeline job={job} />
      <section aria-labelledby="output">
        <h2 id="output">Output</h2>
        <LogView id={job.request_id} />
      </section>
      <Facts job={job} />
    </>
  );
}

/** Puts the machine away, or fetches it back. */
function Power({ job }: { job: Job }) {
  const power = usePower();
  const verb = job.status === "sleeping" ? "wake" : "sleep";
  if (verb === "sleep" && job.status !== "running") return null;
  return (
    <>
      <Button disabled={power.isPending} onClick={() => power.mutate({ id: job.request_id, verb })}>
        {power.isPending ? "…" : verb === "wake" ? "Wake" : "Sleep"}
      </Button>
      <Failure error={power.error} />
    </>
  );
}

function Timeline({ job }: { job: Job }) {
  const steps: [string, string | null, string?][] = [
    ["Accepted", job.created_at],
    ["Started", job.started_at, waited(job)],
    [
      "Ended",
      job.completed_at,
      job.script_duration_ms === null ? undefined : `script ${duration(job.script_duration_ms)}`,
    ],
  ];
  return (
    <ol className="timeline">
      {steps.map(([name, at, note]) => (
        <li key={name} className={at ? "done" : ""}>
          <strong>{name}</strong>
          <span>{at ? when(at) : "not yet"}</span>
          {note && <small>{note}</small>}
        </li>
      ))}
    </ol>
  );
}

const waited = ({ created_at, started_at }: Job) =>
  started_at ? `after ${duration(Date.parse(started_at) - Date.parse(created_at))}` : undefined;

function Facts({ job }: { job: Job }) {
  const ran = job.ran_by;
  const facts: [string, string][] = [
    ["Id", job.request_id],
    ["Machine", job.vm_id ?? "–"],
    ["Kept after the script", job.persistent ? "yes" : "no"],
    ["Time limit", job.timeout === null ? "none" : duration(job.timeout * 1000)],
  ];
  if (ran) {
    facts.push(
      ["Node", ran.node],
      ["Isolation", `${ran.isolation.level} (${ran.driver_version})`],
      ["Image", `${ran.image}, ${ran.image_digest.slice(0, 19)}…`],
      ["Limits", `${ran.limits.vcpus} CPU, ${ran.limits.memory_mb} MiB memory, ${ran.limits.disk_gb} GiB disk`],
    );
  }
  return (
    <section aria-labelledby="facts">
      <h2 id="facts">Details</h2>
      <dl className="facts">
        {job.workspace_id && (
          <div>
            <dt>Workspace</dt>
            <dd>
              <Link to={`/workspaces/${job.workspace_id}`}>{job.workspace_id}</Link>
            </dd>
          </div>
        )}
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
