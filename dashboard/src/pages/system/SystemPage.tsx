import { usePool } from "../../api/queries.ts";
import { Failure, Loading } from "../../ui/Notice.tsx";

/** What the machines are doing. */
export function SystemPage() {
  const pool = usePool();
  return (
    <>
      <h1>System</h1>
      <Failure error={pool.error} />
      {pool.isPending && <Loading what="the pool" />}
      {pool.data && (
        <div className="figures">
          <Figure value={pool.data.idle_vms} name="machines ready" />
          <Figure value={pool.data.busy_vms} name="machines in use" />
          <Figure value={`${pool.data.min_pool_size}–${pool.data.max_pool_size}`} name="kept ready" />
        </div>
      )}
      <p className="more">
        <a href="/openapi.json">API description</a> · <a href="/healthz">Health</a>
      </p>
    </>
  );
}

function Figure({ value, name }: { value: number | string; name: string }) {
  return (
    <div className="figure">
      <strong>{value}</strong>
      <span>{name}</span>
    </div>
  );
}
