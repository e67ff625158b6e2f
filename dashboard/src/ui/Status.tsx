import type { Job } from "@mags/protocol";

const LOOKS: Record<Job["status"], { text: string; tone: string }> = {
  accepted: { text: "Waiting", tone: "quiet" },
  starting: { text: "Starting", tone: "active" },
  running: { text: "Running", tone: "active" },
  sleeping: { text: "Sleeping", tone: "quiet" },
  completed: { text: "Completed", tone: "good" },
  error: { text: "Error", tone: "bad" },
  stopped: { text: "Stopped", tone: "quiet" },
};

/** Status of a job in words and colour; a script that failed by itself is not shown as good. */
export function Status({ job }: { job: Pick<Job, "status" | "exit_code"> }) {
  const failed = job.exit_code !== null && job.exit_code !== 0;
  const look = LOOKS[job.status];
  const tone = failed && look.tone === "good" ? "warn" : look.tone;
  return (
    <span className={`status ${tone}`}>
      {look.text}
      {failed && ` · exit ${job.exit_code}`}
    </span>
  );
}
