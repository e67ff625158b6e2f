import { allows, type Node } from "@mags/protocol";
import { useNodeAction, useNodes, useWhoami } from "../../api/operate.ts";
import { usePool } from "../../api/queries.ts";
import { Button } from "../../ui/Button.tsx";
import { Figure } from "../../ui/Figure.tsx";
import { ago, bytes } from "../../ui/format.ts";
import { Empty, Failure } from "../../ui/Notice.tsx";
import { Loaded, Page } from "../../ui/Page.tsx";
import { Table } from "../../ui/Table.tsx";

/** What the machines are doing; who runs the installation also sees the nodes and takes them out of service. */
export function SystemPage() {
  const operator = allows(useWhoami().data?.scopes ?? [], "operator");
  return (
    <Page title="System">
      <Loaded query={usePool()} what="the pool">
        {(pool) => (
          <div className="figures">
            <Figure value={pool.idle_vms} name="machines ready" />
            <Figure value={pool.busy_vms} name="machines in use" />
            <Figure value={`${pool.min_pool_size}–${pool.max_pool_size}`} name="kept ready" />
          </div>
        )}
      </Loaded>
      {operator && <Nodes />}
      <p className="more">
        <a href="/openapi.json">API description</a> · <a href="/healthz">Health</a>
      </p>
    </Page>
  );
}

function Nodes() {
  const nodes = useNodes(true);
  const action = useNodeAction();
  return (
    <section aria-labelledby="nodes">
      <h2 id="nodes">Nodes</h2>
      <p className="hint">
        A node that is drained gets no new work: scripts end, machines move when nobody is in them. Then it can be
        stopped.
      </p>
      <Failure error={action.error} />
      <Loaded query={nodes} what="nodes">
        {({ nodes: rows }) =>
          rows.length === 0 ? (
            <Empty title="No node has registered yet">
              <p>A node is a machine that runs sandboxes. Its agent registers by itself when it starts.</p>
            </Empty>
          ) : (
            <Table
              label="Nodes"
              columns={["Node", "State", "Jobs", "CPUs", "Memory", "Disk free", "Ready", "Seen", ""]}
              rows={rows}
              keyOf={({ name }) => name}
              cells={(node) => [
                <NodeName key="name" node={node} />,
                <NodeState key="state" node={node} />,
                node.jobs,
                `${node.used_vcpus} of ${node.vcpus}`,
                `${bytes(node.used_memory_mb * 2 ** 20)} of ${bytes(node.memory_mb * 2 ** 20)}`,
                node.disk ? `${bytes(node.disk.free_bytes)} of ${bytes(node.disk.total_bytes)}` : "–",
                node.pool?.idle_vms ?? "–",
                ago(node.seen_at),
                <Button
                  key="drain"
                  aria-label={`${node.draining_since ? "Put back" : "Drain"} ${node.name}`}
                  disabled={action.isPending}
                  onClick={() => action.mutate({ name: node.name, verb: node.draining_since ? "undrain" : "drain" })}
                >
                  {node.draining_since ? "Put back" : "Drain"}
                </Button>,
              ]}
            />
          )
        }
      </Loaded>
    </section>
  );
}

/** With what it offers, and what would be lost with it now. */
function NodeName({ node }: { node: Node }) {
  const labels = Object.entries(node.labels).map(([name, value]) => `${name}=${value}`);
  const { dirty_workspaces: dirty, runtimes } = node;
  const unsafe = dirty > 0 && `${dirty} ${dirty === 1 ? "workspace is" : "workspaces are"} not durable`;
  const notes = [runtimes?.because ?? node.isolation.join(", "), ...labels, unsafe];
  return (
    <span>
      <strong>{node.name}</strong>
      <small className="below">{notes.filter(Boolean).join(" · ")}</small>
    </span>
  );
}

const STATES: Record<Node["state"], [text: string, tone: string]> = {
  ready: ["Ready", "good"],
  draining: ["Draining", "warn"],
  drained: ["Drained", "quiet"],
  away: ["Away", "bad"],
};

function NodeState({ node }: { node: Node }) {
  const [text, tone] = STATES[node.state];
  return <span className={`status ${tone}`}>{text}</span>;
}
