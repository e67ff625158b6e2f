import { type Job, jobStatuses } from "@mags/protocol";
import { Link, useSearchParams } from "react-router";
import { useJobs } from "../../api/queries.ts";
import { ButtonLink } from "../../ui/Button.tsx";
import { ago, duration } from "../../ui/format.ts";
import { Empty, Failure, Loading } from "../../ui/Notice.tsx";
import { Pager } from "../../ui/Pager.tsx";
import { Status } from "../../ui/Status.tsx";
import { Table } from "../../ui/Table.tsx";

/** All jobs, newest first. The filter is in the address, so that it can be shared and gone back to. */
export function JobsPage() {
  const [search, setSearch] = useSearchParams();
  const page = Math.max(1, Number(search.get("page")) || 1);
  const status = jobStatuses.find((known) => known === search.get("status"));
  const name = search.get("name") || undefined;
  const jobs = useJobs({ page, status, name });
  const change = (values: Record<string, string>) => {
    const next = new URLSearchParams(search);
    for (const [key, value] of Object.entries(values)) value ? next.set(key, value) : next.delete(key);
    setSearch(next);
  };
  return (
    <>
      <div className="heading">
        <h1>Jobs</h1>
        <ButtonLink to="/jobs/new" look="primary">
          New run
        </ButtonLink>
      </div>
      <div className="filters">
        <select
          aria-label="Status"
          value={status ?? ""}
          onChange={(event) => change({ status: event.target.value, page: "" })}
        >
          <option value="">Every status</option>
          {jobStatuses.map((known) => (
            <option key={known}>{known}</option>
          ))}
        </select>
        <input
          type="search"
          aria-label="Name"
          placeholder="Name, in full"
          defaultValue={name ?? ""}
          onChange={(event) => change({ name: event.target.value, page: "" })}
        />
      </div>
      <Failure error={jobs.error} />
      {jobs.isPending && <Loading what="jobs" />}
      {jobs.data && jobs.data.jobs.length === 0 && <NoJobs filtered={Boolean(status || name)} />}
      {jobs.data && jobs.data.jobs.length > 0 && <JobTable jobs={jobs.data.jobs} />}
      {jobs.data && (
        <Pager
          page={page}
          size={jobs.data.page_size}
          total={jobs.data.total}
          turn={(to) => change({ page: String(to) })}
        />
      )}
    </>
  );
}

function JobTable({ jobs }: { jobs: Job[] }) {
  return (
    <Table
      label="Jobs"
      columns={["Name", "Status", "Workspace", "Started", "Script took"]}
      rows={jobs}
      keyOf={({ request_id }) => request_id}
      cells={(job) => [
        <Link key="name" to={`/jobs/${job.request_id}`}>
          {job.name}
        </Link>,
        <Status key="status" job={job} />,
        job.workspace_id && <Link to={`/workspaces/${job.workspace_id}`}>{job.workspace_id}</Link>,
        <time key="started" dateTime={job.created_at} title={job.created_at}>
          {ago(job.started_at ?? job.created_at)}
        </time>,
        duration(job.script_duration_ms),
      ]}
    />
  );
}

function NoJobs({ filtered }: { filtered: boolean }) {
  if (filtered) return <Empty title="No job is like that" />;
  return (
    <Empty title="No job has run yet">
      <p>A job is a shell script in a machine of its own. Start one here, or from a terminal:</p>
      <pre>mags run 'echo hello'</pre>
      <ButtonLink to="/jobs/new" look="primary">
        New run
      </ButtonLink>
    </Empty>
  );
}
