import type { Job } from "@mags/protocol";
import type { ReactNode } from "react";
import { Link } from "react-router";
import { duration } from "../../ui/format.ts";

type Fact = readonly [name: string, value: ReactNode];

/** What is known of a job beside its state: the request that made it, its files, and what ran it. */
export function Facts({ job }: { job: Job }) {
  return (
    <div className="cards facts-of-job">
      <List title="Request" facts={requestOf(job)} />
      <List title="Files" facts={filesOf(job)} />
      <List title="Ran on" facts={placeOf(job)} />
    </div>
  );
}

function List({ title, facts }: { title: string; facts: Fact[] }) {
  return (
    <section className="card" aria-label={title}>
      <h2>{title}</h2>
      <dl className="pairs">
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

function requestOf(job: Job): Fact[] {
  const secrets = Object.entries(job.secrets).map(([name, secret]) => `${name} from ${secret}`);
  const facts: Fact[] = [["Job", <code key="id">{job.request_id}</code>]];
  if (job.created_by) facts.push(["Made by", <Maker key="by" job={job} />]);
  if (job.http_request_id) facts.push(["HTTP request", <code key="http">{job.http_request_id}</code>]);
  if (job.rerun_of) facts.push(["Repeats", <JobLink key="of" id={job.rerun_of} />]);
  if (job.attempt > 1) facts.push(["Attempt", job.attempt]);
  facts.push(["Time limit", job.timeout === null ? "none" : duration(job.timeout * 1000)]);
  if (secrets.length > 0) facts.push(["Secrets", secrets.join(", ")]);
  if (job.startup_command) facts.push(["On waking", <code key="startup">{job.startup_command}</code>]);
  return facts;
}

function Maker({ job }: { job: Job }) {
  return job.cron_id ? <Link to={`/cron/${job.cron_id}`}>{job.created_by}</Link> : job.created_by;
}

function filesOf(job: Job): Fact[] {
  const facts: Fact[] = [
    [
      "Kept in",
      job.workspace_id ? (
        <Link key="workspace" to={`/workspaces/${job.workspace_id}`}>
          {job.workspace_id}
        </Link>
      ) : (
        "nothing: they go with the machine"
      ),
    ],
  ];
  if (job.base_workspace_id) facts.push(["Base", job.base_workspace_id]);
  if (job.started_from) facts.push(["Disk began as", <VersionLink key="from" version={job.started_from} />]);
  if (job.host_job) facts.push(["In the machine of", <JobLink key="host" id={job.host_job} />]);
  facts.push(["After the script", job.persistent ? "the machine stays" : "the machine goes"]);
  if (job.persistent) facts.push(["Sleeps", sleepOf(job)]);
  return facts;
}

function sleepOf({ no_sleep, idle_minutes }: Job): string {
  if (no_sleep) return "never";
  return idle_minutes === null ? "when idle" : `after ${duration(idle_minutes * 60_000)} without use`;
}

function placeOf({ ran_by: ran, vm_id, network }: Job): Fact[] {
  const reach: Fact = ["Network", typeof network === "string" ? NETWORKS[network] : network.allow.join(", ")];
  if (!ran) return [["Machine", "none yet"], reach];
  const { level, emulated } = ran.isolation;
  return [
    ["Machine", <code key="machine">{vm_id ?? ran.machine}</code>],
    ["Node", ran.node],
    [
      "Isolation",
      `${level === "vm" ? "virtual machine" : level}, ${ran.driver_version}${emulated ? ", emulated" : ""}`,
    ],
    ["Image", <ImageName key="image" name={ran.image} digest={ran.image_digest} />],
    ["Limits", `${ran.limits.vcpus} CPU, ${ran.limits.memory_mb} MiB memory, ${ran.limits.disk_gb} GiB disk`],
    reach,
  ];
}

const NETWORKS = { default: "the internet", none: "nothing" };

function ImageName({ name, digest }: { name: string; digest: string }) {
  return (
    <span title={digest}>
      {name} <code>{digest.replace("sha256:", "").slice(0, 12)}</code>
    </span>
  );
}

const JobLink = ({ id }: { id: string }) => <Link to={`/jobs/${id}`}>{id}</Link>;

function VersionLink({ version }: { version: string }) {
  const [name = "", number = ""] = version.split("@");
  return (
    <Link to={`/workspaces/${name}`}>
      {name}, version {number}
    </Link>
  );
}
