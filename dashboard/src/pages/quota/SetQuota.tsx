import type { OrganisationQuota } from "@mags/protocol";
import type { FormEvent } from "react";
import { useUpdateQuota } from "../../api/quota.ts";
import { Button } from "../../ui/Button.tsx";
import { Input } from "../../ui/Field.tsx";
import { Failure } from "../../ui/Notice.tsx";
import { LIMITS } from "./limits.ts";

/** Limits of an organisation, for who runs the installation. */
export function SetQuota({ quota }: { quota: OrganisationQuota }) {
  const update = useUpdateQuota(quota.organisation);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const asked = LIMITS.map(({ key, factor }): [string, number | null] => {
      const text = String(form.get(key) ?? "").trim();
      return [key, text === "" ? null : Math.round(Number(text) * factor * 100) / 100];
    });
    update.mutate(Object.fromEntries(asked.filter(([key, limit]) => limit !== quota.limits[key as "vcpus"])));
  };
  return (
    <section aria-labelledby="set">
      <h2 id="set">Set the limits of {quota.organisation}</h2>
      <form className="panel" onSubmit={submit}>
        <div className="columns">
          {LIMITS.map(({ key, name, unit, factor }) => (
            <Input
              key={key}
              label={unit === "GiB" ? `${name}, GiB` : name}
              name={key}
              type="number"
              min={0}
              step="any"
              defaultValue={inUnit(quota.limits[key], factor)}
              placeholder="the server's default"
            />
          ))}
        </div>
        <p className="hint">Empty is the server's default, 0 allows none.</p>
        <Failure error={update.error} />
        <Button type="submit" look="primary" disabled={update.isPending}>
          Set the limits
        </Button>
        {update.isSuccess && (
          <p className="hint" role="status">
            The limits are set.
          </p>
        )}
      </form>
    </section>
  );
}

const inUnit = (limit: number | null, factor: number) => (limit === null ? "" : limit / factor);
