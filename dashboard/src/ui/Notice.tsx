import type { ReactNode } from "react";
import { explain } from "../api/client.ts";

/** What went wrong and what to do about it; read out by screen readers as it appears. */
export function Failure({ error, children }: { error: unknown; children?: ReactNode }) {
  if (!error) return null;
  return (
    <div className="notice failure" role="alert">
      <p>{explain(error)}</p>
      {children}
    </div>
  );
}

/** An empty place that says what would be here and how it comes here. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <p className="loading" role="status">
      Loading {what}…
    </p>
  );
}
