import type { LogEntry } from "@mags/protocol";
import { useEffect, useRef } from "react";
import { useLog } from "../api/use-log.ts";
import { bytes, clock } from "../ui/format.ts";
import { Failure } from "../ui/Notice.tsx";

/** Closer to the end than this, and the view follows it, `px`. */
const NEAR_END = 40;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what terminals act on, and a page must not
const CONTROL = /\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]/g;

/** The live log of a job. It follows the end until one scrolls up. */
export function LogView({ id }: { id: string }) {
  const log = useLog(id);
  const box = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  useEffect(() => {
    if (following.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [log.entries]);
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current as HTMLDivElement;
    following.current = scrollHeight - scrollTop - clientHeight < NEAR_END;
  };
  const dropped = log.end ? log.end.dropped.stdout + log.end.dropped.stderr : 0;
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: keyboards have to reach what scrolls */}
      <div className="log" ref={box} onScroll={onScroll} role="log" aria-label="Output" tabIndex={0}>
        {log.hidden > 0 && <p className="note">{log.hidden} earlier lines are not shown here.</p>}
        {log.entries.length === 0 && (
          <p className="note">{log.end ? "The script printed nothing." : "No output yet."}</p>
        )}
        {log.entries.map((entry) => (
          <Line key={`${entry.source}-${entry.offset}`} entry={entry} />
        ))}
        {dropped > 0 && <p className="note">{bytes(dropped)} of output were dropped at the limit.</p>}
      </div>
      <Failure error={log.problem && new Error(log.problem)} />
    </>
  );
}

function Line({ entry }: { entry: LogEntry }) {
  const text = entry.encoding === "base64" ? `(binary: ${bytes(entry.bytes)})` : entry.message.replace(CONTROL, "");
  return (
    <div className={`line ${entry.source}`}>
      <time dateTime={entry.timestamp}>{clock(entry.timestamp)}</time>
      <span>{text}</span>
    </div>
  );
}
