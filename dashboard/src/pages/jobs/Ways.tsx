import { can, type Job } from "@mags/protocol";
import { type FormEvent, useId } from "react";
import { useOpenUrl, useSshKey } from "../../api/queries.ts";
import { Button } from "../../ui/Button.tsx";
import { Copy } from "../../ui/Copy.tsx";
import { Failure } from "../../ui/Notice.tsx";

/** Ways into the machine of a live job: a URL for a port, and SSH. */
export function Ways({ job }: { job: Job }) {
  if (!can("access", job.status)) return null;
  return (
    <section aria-labelledby="ways">
      <h2 id="ways">Access</h2>
      <div className="cards">
        <Urls job={job} />
        <Ssh job={job} />
      </div>
    </section>
  );
}

function Urls({ job }: { job: Job }) {
  const [port, access] = [useId(), useId()];
  const open = useOpenUrl(job.request_id);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    open.mutate({ port: Number(form.get("port")), access: form.get("access") as "public" | "token" });
  };
  const url = open.data?.url ?? job.url;
  return (
    <div className="card">
      <h3>URL</h3>
      {url ? (
        <p className="way">
          <a href={url} target="_blank" rel="noreferrer">
            {url}
          </a>
          <Copy value={url} label="the URL" />
        </p>
      ) : (
        <p className="hint">Give a server in this machine an address. It may listen on 127.0.0.1.</p>
      )}
      {open.data?.token && (
        <div>
          <p className="hint">Shown once. Visitors add it to the URL the first time:</p>
          <Copy value={`${open.data.url}/?mags_token=${open.data.token}`} label="the URL with its token" block />
        </div>
      )}
      <form className="inline" onSubmit={submit}>
        <div className="field">
          <label htmlFor={port}>Port</label>
          <input id={port} name="port" type="number" min={1} max={65535} defaultValue={8080} required />
        </div>
        <div className="field">
          <label htmlFor={access}>Who may visit</label>
          <select id={access} name="access" defaultValue="public">
            <option value="public">Everybody</option>
            <option value="token">Who has the token</option>
          </select>
        </div>
        <Button type="submit" disabled={open.isPending}>
          {open.isPending ? "Opening…" : "Open port"}
        </Button>
      </form>
      <Failure error={open.error} />
    </div>
  );
}

function Ssh({ job }: { job: Job }) {
  const key = useSshKey(job.request_id);
  const made = key.data;
  return (
    <div className="card">
      <h3>SSH</h3>
      <p className="hint">From a terminal with the command line client:</p>
      <Copy value={`mags ssh ${job.request_id}`} label="the SSH command" />
      <p className="hint">For other programs, a key that is good for a day:</p>
      {made ? (
        <>
          <Copy
            value={`ssh -i key -p ${made.ssh_port} ${made.ssh_user}@${made.ssh_host}`}
            label="the command for the key"
          />
          <p className="hint">The key, to be saved as “key” with mode 600. It is shown once.</p>
          <Copy value={made.ssh_private_key} label="the private key" block />
        </>
      ) : (
        <Button disabled={key.isPending} onClick={() => key.mutate()}>
          {key.isPending ? "Making…" : "Make a key"}
        </Button>
      )}
      <Failure error={key.error} />
    </div>
  );
}
