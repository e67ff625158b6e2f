import type { CronJob } from "@mags/protocol";
import { Link, useNavigate, useParams } from "react-router";
import { useCron, useCronAction, useCronRuns } from "../../api/operate.ts";
import { Button } from "../../ui/Button.tsx";
import { Confirm } from "../../ui/Confirm.tsx";
import { duration, when, whenIn } from "../../ui/format.ts";
import { Failure } from "../../ui/Notice.tsx";
import { Loaded, Page } from "../../ui/Page.tsx";
import { Table } from "../../ui/Table.tsx";
import { RunState } from "./RunState.tsx";

/** One schedule: when it fires, what it runs, and what became of its runs. */
export function CronPage() {
  const { id = "" } = useParams();
  const cron = useCron(id);
  return (
    <Loaded query={cron} what="the schedule">
      {(shown) => <Shown cron={shown} />}
    </Loaded>
  );
}

function Shown({ cron }: { cron: CronJob }) {
  const navigate = useNavigate();
  const action = useCronAction();
  const act = action.mutate;
  return (
    <Page
      title={cron.name}
      badge={<span className={`status ${cron.enabled ? "good" : "quiet"}`}>{cron.enabled ? "On" : "Off"}</span>}
      actions={
        <>
          <Button disabled={action.isPending} onClick={() => act((all) => all.run(cron.id))}>
            Run now
          </Button>
          <Button
            disabled={action.isPending}
            onClick={() => act((all) => all.update(cron.id, { enabled: !cron.enabled }))}
          >
            {cron.enabled ? "Turn off" : "Turn on"}
          </Button>
          <Confirm
            sure="Delete for good"
            disabled={action.isPending}
            act={() => act((all) => all.delete(cron.id).then(() => navigate("/cron")))}
          >
            Delete
          </Confirm>
        </>
      }
    >
      <Failure error={action.error} />
      <div className="cards">
        <div className="card">
          <h2>When</h2>
          <p>
            <code>{cron.cron_expression}</code> in {cron.time_zone}
          </p>
          {cron.enabled ? (
            <ol className="times">
              {cron.next_runs.map((run) => (
                <li key={run}>{whenIn(run, cron.time_zone)}</li>
              ))}
            </ol>
          ) : (
            <p className="hint">It is turned off: nothing will run by itself.</p>
          )}
        </div>
        <div className="card">
          <h2>What</h2>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: keyboards have to reach what may scroll */}
          <pre tabIndex={0}>{cron.script}</pre>
          {cron.workspace_id && (
            <p>
              in workspace <Link to={`/workspaces/${cron.workspace_id}`}>{cron.workspace_id}</Link>
            </p>
          )}
        </div>
      </div>
      <Runs id={cron.id} />
    </Page>
  );
}

function Runs({ id }: { id: string }) {
  return (
    <section aria-labelledby="runs">
      <h2 id="runs">Runs</h2>
      <Loaded query={useCronRuns(id)} what="its runs">
        {({ runs }) =>
          runs.length === 0 ? (
            <p className="hint">It has not run yet. “Run now” starts it without waiting for its time.</p>
          ) : (
            <Table
              label="Runs"
              columns={["Due", "Result", "Took", "Why", "Job"]}
              rows={runs}
              keyOf={(run) => run.id}
              cells={(run) => [
                when(run.scheduled_at),
                <RunState key="state" state={run.state} exitCode={run.exit_code} />,
                duration(run.duration_ms),
                run.reason ?? run.kind,
                run.request_id ? <Link to={`/jobs/${run.request_id}`}>Output</Link> : "none",
              ]}
            />
          )
        }
      </Loaded>
    </section>
  );
}
