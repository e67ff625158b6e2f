import type { CronJob } from "@mags/protocol";
import { Link } from "react-router";
import { useCronAction, useCrons } from "../../api/operate.ts";
import { Button, ButtonLink } from "../../ui/Button.tsx";
import { ago } from "../../ui/format.ts";
import { Empty, Failure } from "../../ui/Notice.tsx";
import { Loaded, Page } from "../../ui/Page.tsx";
import { Table } from "../../ui/Table.tsx";
import { RunState } from "./RunState.tsx";

/** What runs by itself, and when. */
export function CronsPage() {
  const crons = useCrons();
  const create = (
    <ButtonLink to="/cron/new" look="primary">
      New schedule
    </ButtonLink>
  );
  return (
    <Page title="Schedules" actions={create}>
      <Loaded query={crons} what="schedules">
        {({ cron_jobs }) =>
          cron_jobs.length === 0 ? (
            <Empty title="Nothing runs by itself yet">
              <p>A schedule starts a job at given times, in any time zone. From a terminal:</p>
              <pre>{'mags cron add "0 3 * * *" --name nightly --zone Europe/Berlin "sh backup.sh"'}</pre>
              {create}
            </Empty>
          ) : (
            <Schedules crons={cron_jobs} />
          )
        }
      </Loaded>
    </Page>
  );
}

function Schedules({ crons }: { crons: CronJob[] }) {
  const action = useCronAction();
  return (
    <>
      <Failure error={action.error} />
      <Table
        label="Schedules"
        columns={["Name", "When", "Next", "Last run", ""]}
        rows={crons}
        keyOf={({ id }) => id}
        cells={(cron) => [
          <Link key="name" to={`/cron/${cron.id}`}>
            {cron.name}
          </Link>,
          <span key="when">
            <code>{cron.cron_expression}</code> <small>{cron.time_zone}</small>
          </span>,
          cron.enabled ? ago(cron.next_run_at) : <span className="status quiet">Off</span>,
          cron.last_status ? <RunState key="last" state={cron.last_status} exitCode={cron.last_exit_code} /> : "never",
          <Button
            key="run"
            aria-label={`Run now: ${cron.name}`}
            disabled={action.isPending}
            onClick={() => action.mutate((all) => all.run(cron.id))}
          >
            Run now
          </Button>,
        ]}
      />
    </>
  );
}
