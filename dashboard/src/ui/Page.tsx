import type { ReactNode } from "react";
import { Failure, Loading } from "./Notice.tsx";

interface PageProps {
  title: ReactNode;
  /** beside the title */
  badge?: ReactNode;
  actions?: ReactNode;
  /** one sentence on what is here */
  lead?: ReactNode;
  children?: ReactNode;
}

/** A page with its heading, what can be done, and a sentence that says what it is for. */
export function Page({ title, badge, actions, lead, children }: PageProps) {
  return (
    <>
      <div className="heading">
        <h1>{title}</h1>
        {badge}
        {actions && <div className="actions">{actions}</div>}
      </div>
      {lead && <p className="lead">{lead}</p>}
      {children}
    </>
  );
}

interface LoadedProps<Data> {
  query: { data: Data | undefined; error: unknown; isPending: boolean };
  what: string;
  children: (data: Data) => ReactNode;
}

/** What a query has answered; until then, or instead, how it is with it. */
export function Loaded<Data>({ query: { data, error, isPending }, what, children }: LoadedProps<Data>) {
  return (
    <>
      <Failure error={error} />
      {isPending && <Loading what={what} />}
      {data !== undefined && children(data)}
    </>
  );
}
