import { type Delivery, type DeliveryList, deliveryStates } from "@mags/protocol";
import { Link, useSearchParams } from "react-router";
import { useDeliveries, useWebhookAction } from "../../api/webhooks.ts";
import { Button } from "../../ui/Button.tsx";
import { ago, when } from "../../ui/format.ts";
import { Failure } from "../../ui/Notice.tsx";
import { Loaded } from "../../ui/Page.tsx";
import { Pager } from "../../ui/Pager.tsx";
import { Table } from "../../ui/Table.tsx";

type State = Delivery["state"];

const LOOKS: Record<State, [text: string, tone: string]> = {
  pending: ["To be tried", "active"],
  delivered: ["Delivered", "good"],
  dead: ["Given up", "bad"],
};

/** What a webhook was told, newest first. What was given up waits here to be sent again. */
export function Deliveries({ id }: { id: string }) {
  const [search, setSearch] = useSearchParams();
  const state = deliveryStates.find((known) => known === search.get("state"));
  const page = Math.max(1, Number(search.get("page")) || 1);
  const change = (values: Record<string, string>) => {
    const next = Object.entries({ state: state ?? "", ...values });
    setSearch(Object.fromEntries(next.filter(([, value]) => value !== "")));
  };
  return (
    <section aria-labelledby="deliveries">
      <div className="heading">
        <h2 id="deliveries">Deliveries</h2>
        <select aria-label="State" value={state ?? ""} onChange={(event) => change({ state: event.target.value })}>
          <option value="">All</option>
          {deliveryStates.map((known) => (
            <option key={known} value={known}>
              {LOOKS[known][0]}
            </option>
          ))}
        </select>
      </div>
      <Loaded query={useDeliveries(id, { state, page })} what="deliveries">
        {(list) => (
          <>
            {list.total === 0 ? <Nothing filtered={state !== undefined} /> : <List id={id} list={list} />}
            <Pager page={page} size={list.page_size} total={list.total} turn={(to) => change({ page: String(to) })} />
          </>
        )}
      </Loaded>
    </section>
  );
}

function Nothing({ filtered }: { filtered: boolean }) {
  return <p className="hint">{filtered ? "None is like that." : "Nothing yet. “Send a test” sends one now."}</p>;
}

function List({ id, list }: { id: string; list: DeliveryList }) {
  const action = useWebhookAction<Delivery>();
  return (
    <>
      <Failure error={action.error} />
      <Table
        label="Deliveries"
        columns={["Event", "State", "Answer", "Tries", "When", ""]}
        rows={list.deliveries}
        keyOf={(delivery) => delivery.id}
        cells={(delivery) => [
          delivery.request_id ? <Link to={`/jobs/${delivery.request_id}`}>{delivery.event}</Link> : delivery.event,
          <DeliveryState key="state" delivery={delivery} />,
          delivery.error ?? delivery.status_code ?? "–",
          delivery.attempts,
          <time key="when" dateTime={delivery.created_at} title={when(delivery.created_at)}>
            {ago(delivery.created_at)}
          </time>,
          delivery.state !== "pending" && (
            <Button
              key="replay"
              disabled={action.isPending}
              aria-label={`Send again: ${delivery.event} of ${when(delivery.created_at)}`}
              onClick={() => action.mutate((all) => all.replay(id, delivery.id))}
            >
              Send again
            </Button>
          ),
        ]}
      />
    </>
  );
}

function DeliveryState({ delivery }: { delivery: Delivery }) {
  const [text, tone] = LOOKS[delivery.state];
  const next = delivery.state === "pending" && delivery.attempts > 0 && delivery.next_at;
  return (
    <span className={`status ${next ? "warn" : tone}`}>
      {text}
      {next && ` ${ago(next)}`}
    </span>
  );
}
