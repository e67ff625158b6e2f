import { can, type Job } from "@mags/protocol";
import { useParams } from "react-router";
import { useJob, usePower, useRerun, useStop } from "../../api/queries.ts";
import { LogView } from "../../components/LogView.tsx";
import { Button, ButtonLink } from "../../ui/Button.tsx";
import { Failure, Loading } from "../../ui/Notice.tsx";
import { Status } from "../../ui/Status.tsx";
import { Facts } from "./Facts.tsx";
import { Machine } from "./Machine.tsx";
import { Timeline } from "./Timeline.tsx";
import { Ways } from "./Ways.tsx";

/** One job: what it is now, how it came there, and its live output. */
export function JobPage() {
  const { id = "" } = useParams();
  const query = useJob(id);
  const stop = useStop();
  const rerun = useRerun();
  const job = query.data;
  if (query.error && !job) return <Failure error={query.error} />;
  if (!job) return <Loading what="the job" />;
  return (
    <>
      <div className="heading">
        <h1>{job.name}</h1>
        <Status job={job} />
        <div className="actions">
          {can("access", job.status) && <ButtonLink to={`/jobs/${job.request_id}/terminal`}>Terminal</ButtonLink>}
          {job.persistent && <Power job={job} />}
          {job.ran_by && (
            <Button disabled={rerun.isPending} onClick={() => rerun.mutate(job.request_id)}>
              Rerun
            </Button>
          )}
          {can("stop", job.status) && (
            <Button look="danger" disabled={stop.isPending} onClick={() => stop.mutate(job.request_id)}>
              Stop
            </Button>
          )}
        </div>
      </div>
      <Failure error={stop.error ?? rerun.error} />
      {job.error && (
        <div className="notice failure">
          <p>{job.error}</p>
        </div>
      )}
      {job.waiting_for && <p className="notice">{job.waiting_for}</p>}
      <Timeline job={job} />
      <section aria-labelledby="output">
        <h2 id="output">Output</h2>
        <LogView id={job.request_id} />
      </section>
      <Machine job={job} />
      <Ways job={job} />
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
