import "@xterm/xterm/css/xterm.css";
import { can } from "@mags/protocol";
import { useEffect, useRef } from "react";
import { useParams } from "react-router";
import { useJob } from "../../api/queries.ts";
import { type TerminalState, useTerminal } from "../../api/use-terminal.ts";
import { Button, ButtonLink } from "../../ui/Button.tsx";
import { Failure, Loading } from "../../ui/Notice.tsx";

const TONES = { connecting: "quiet", open: "good", cut: "warn", ended: "quiet" };

/** A shell in a job's machine. It outlives a cut connection; closing the page leaves it for five minutes. */
export function TerminalPage() {
  const { id = "" } = useParams();
  const job = useJob(id);
  const box = useRef<HTMLDivElement>(null);
  const live = job.data !== undefined && can("access", job.data.status);
  const { state, problem, restart } = useTerminal(id, box, live);
  useEffect(() => {
    document.body.classList.add("full");
    return () => document.body.classList.remove("full");
  }, []);
  if (job.error && !job.data) return <Failure error={job.error} />;
  if (!job.data) return <Loading what="the job" />;
  return (
    <div className="terminal-page">
      <div className="heading">
        <h1>{job.data.name}</h1>
        <span className={`status ${TONES[state.kind]}`} role="status">
          {wordsOf(state, live)}
        </span>
        <div className="actions">
          {state.kind === "ended" && live && <Button onClick={restart}>New shell</Button>}
          <ButtonLink to={`/jobs/${id}`}>To the job</ButtonLink>
        </div>
      </div>
      <Failure error={problem} />
      {!live && state.kind === "connecting" && (
        <div className="notice">
          <p>The job has ended, so its machine is gone. Start a persistent one to keep a machine to work in.</p>
        </div>
      )}
      <div className="screen" ref={box} />
      <p className="hint">
        Ctrl+Shift+C copies, Ctrl+Shift+V pastes. A machine that sleeps is woken; leaving this page ends nothing for
        five minutes.
      </p>
    </div>
  );
}

function wordsOf(state: TerminalState, live: boolean): string {
  if (state.kind === "ended") return state.exitCode === null ? "Ended" : `Ended · exit ${state.exitCode}`;
  if (state.kind === "connecting") return live ? "Connecting…" : "No machine";
  return state.kind === "open" ? "Connected" : "Connection cut, trying again…";
}
