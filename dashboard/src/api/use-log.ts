import type { LogEnd, LogEntry } from "@mags/protocol";
import { useEffect, useState } from "react";
import { explain, mags } from "./client.ts";

/** Lines kept in the page; older ones are in the log itself. */
const MOST_LINES = 5000;
/** Lines that came together are shown together, `ms`. */
const PAINT_MS = 50;

export interface LiveLog {
  entries: LogEntry[];
  /** lines at the start that are no longer shown here */
  hidden: number;
  end: LogEnd | undefined;
  problem: string | undefined;
}

const EMPTY: LiveLog = { entries: [], hidden: 0, end: undefined, problem: undefined };

/** Follows the log of a job until its end; goes on by itself where a connection was cut. */
export function useLog(id: string): LiveLog {
  const [log, setLog] = useState(EMPTY);
  useEffect(() => {
    const stop = new AbortController();
    setLog(EMPTY);
    void follow(id, stop.signal, setLog);
    return () => stop.abort();
  }, [id]);
  return log;
}

async function follow(id: string, signal: AbortSignal, show: (change: (log: LiveLog) => LiveLog) => void) {
  let fresh: LogEntry[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const paint = (rest: Partial<LiveLog> = {}) => {
    clearTimeout(timer);
    timer = undefined;
    const lines = fresh;
    fresh = [];
    if (!signal.aborted) show((log) => ({ ...append(log, lines), ...rest }));
  };
  try {
    for await (const item of mags.followLogs(id, { signal })) {
      if (item.type === "end") return paint({ end: item });
      fresh.push(item);
      timer ??= setTimeout(paint, PAINT_MS);
    }
  } catch (error) {
    paint({ problem: explain(error) });
  }
}

function append(log: LiveLog, lines: LogEntry[]): LiveLog {
  const all = [...log.entries, ...lines];
  const over = Math.max(0, all.length - MOST_LINES);
  return { ...log, entries: over > 0 ? all.slice(over) : all, hidden: log.hidden + over };
}
