import { useLatestJobs } from "../api/queries.ts";
import { useWorkspaces } from "../api/workspaces.ts";
import { usePlaces } from "./places.ts";

export interface Goal {
  to: string;
  text: string;
  kind: string;
}

const MOST = 6;
const NEW: Goal[] = [
  { to: "/jobs/new", text: "New run", kind: "" },
  { to: "/cron/new", text: "New schedule", kind: "" },
];

/** Where one may want to go, by letters of its name: pages first, then jobs and workspaces. */
export function useGoals(text: string): Goal[] {
  const places = usePlaces();
  const jobs = useLatestJobs().data?.jobs ?? [];
  const workspaces = useWorkspaces().data?.workspaces ?? [];
  const like = (name: string) => name.toLowerCase().includes(text.toLowerCase());
  const pages = [
    ...NEW,
    ...places.flatMap(({ group, places: all }) => all.map((place) => ({ ...place, kind: group }))),
  ];
  return [
    ...pages.filter((goal) => like(goal.text)),
    ...(text ? jobs : [])
      .filter(({ name }) => like(name))
      .slice(0, MOST)
      .map((job) => ({ to: `/jobs/${job.request_id}`, text: job.name, kind: "Job" })),
    ...(text ? workspaces : [])
      .filter(({ workspace_id }) => like(workspace_id))
      .slice(0, MOST)
      .map(({ workspace_id }) => ({ to: `/workspaces/${workspace_id}`, text: workspace_id, kind: "Workspace" })),
  ];
}
