import type { CronRun } from "@mags/protocol";

const LOOKS: Record<CronRun["state"], [text: string, tone: string]> = {
  queued: ["Queued", "quiet"],
  started: ["Running", "active"],
  succeeded: ["Succeeded", "good"],
  failed: ["Failed", "bad"],
  skipped: ["Skipped", "quiet"],
};

/** What became of a firing. */
export function RunState({ state, exitCode }: { state: CronRun["state"]; exitCode: number | null }) {
  const [text, tone] = LOOKS[state];
  return (
    <span className={`status ${tone}`}>
      {text}
      {state === "failed" && exitCode !== null && ` · exit ${exitCode}`}
    </span>
  );
}
