import { allows, type OrganisationQuota } from "@mags/protocol";
import { useSearchParams } from "react-router";
import { useWhoami } from "../../api/operate.ts";
import { useOrganisations, useQuota } from "../../api/quota.ts";
import { Meter } from "../../ui/Meter.tsx";
import { Loaded, Page } from "../../ui/Page.tsx";
import { LIMITS } from "./limits.ts";
import { SetQuota } from "./SetQuota.tsx";

/** What the organisation may have and has; who runs the installation sees every one, and sets its limits. */
export function QuotaPage() {
  const [search, setSearch] = useSearchParams();
  const whoami = useWhoami().data;
  const operator = allows(whoami?.scopes ?? [], "operator");
  const chosen = (operator && search.get("organisation")) || undefined;
  const organisations = useOrganisations(operator).data?.organisations ?? [];
  return (
    <Page
      title="Limits"
      lead="What this organisation may have at a time. At a limit, new jobs are refused; what runs goes on."
      actions={
        organisations.length > 1 && (
          <select
            aria-label="Organisation"
            value={chosen ?? whoami?.organisation}
            onChange={(event) => setSearch({ organisation: event.target.value })}
          >
            {organisations.map(({ id }) => (
              <option key={id}>{id}</option>
            ))}
          </select>
        )
      }
    >
      <Loaded query={useQuota(chosen)} what="the limits">
        {(quota) => (
          <>
            <Used quota={quota} />
            {operator && <SetQuota key={quota.organisation} quota={quota} />}
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Used({ quota }: { quota: OrganisationQuota }) {
  return (
    <div className="meters">
      {LIMITS.map(({ key, name, show }) => (
        <Meter key={key} name={name} value={quota.used[key]} most={quota.limits[key]} show={show} />
      ))}
    </div>
  );
}
