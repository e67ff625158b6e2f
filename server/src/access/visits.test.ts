import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ADMIN, startWorld, TestNode, type World } from "../testing.ts";

let world: World;
let agent: Server;
let node: TestNode;

beforeAll(async () => {
  world = await startWorld();
  // Takes what is written, and never says that it is done.
  agent = createServer((_request, response) => void response.writeHead(202).end("{}")).listen(0, "127.0.0.1");
  agent.on("upgrade", (_request, socket: Socket) => {
    socket.on("error", () => undefined);
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: session\r\n\r\n");
    socket.resume();
  });
  await once(agent, "listening");
  node = new TestNode(world, "a");
  node.address = `http://127.0.0.1:${(agent.address() as AddressInfo).port}`;
  await node.register();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  agent.close();
});

/** A write whose body has only begun, in the machine that it has been given. */
async function begin(name: string) {
  const writing = request(`${world.server.url}/api/v1/mags-workspaces/${name}/import?create=1`, {
    method: "POST",
    headers: { authorization: `Bearer ${ADMIN}`, "transfer-encoding": "chunked" },
  });
  writing.on("error", () => undefined);
  writing.write("half a tar");
  const entered = once(agent, "upgrade");
  const [job] = await node.claim({ waitMs: 20_000 });
  if (!job) throw new Error("the write has got no machine");
  await node.started(job);
  await entered;
  return { writing, job };
}

interface Looked {
  stopping: boolean;
  fence: number;
  visited: boolean;
}

async function look(job: string): Promise<Looked> {
  const { rows } = await world.sql.query<Looked>(
    `SELECT stop_requested_at IS NOT NULL AS stopping, w.fence::int AS fence, EXISTS (SELECT FROM visits WHERE job = j.id) AS visited
     FROM jobs j JOIN workspaces w ON w.id = j.workspace WHERE j.id = $1`,
    [job],
  );
  return rows[0] as Looked;
}

async function ended(job: string): Promise<Looked> {
  for (;;) {
    const seen = await look(job);
    // As its node does that lives.
    await node.renew([{ id: job, attempt: 1 }]);
    if (!seen.visited) return seen;
    await delay(200);
  }
}

test("a write that is cut off is given up and its machine stopped in one step", async () => {
  const { writing, job } = await begin("cut");
  const before = await look(job.id);
  expect(before).toMatchObject({ stopping: false, visited: true });
  writing.destroy();
  expect(await ended(job.id)).toEqual({ stopping: true, fence: before.fence + 1, visited: false });
  await node.finished(job);
});

test("a write that could not be given up at once is so later, and until then its machine is not stopped, which would keep it", async () => {
  const { writing, job } = await begin("later");
  const before = await look(job.id);
  await world.sql.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE OF fence ON workspaces FOR EACH ROW EXECUTE FUNCTION refuse()`);
  writing.destroy();
  for (let second = 0; second < 4; second++) {
    await node.renew([job]);
    await delay(1000);
    expect(await look(job.id)).toEqual(before);
  }
  await world.sql.query("DROP TRIGGER refuse ON workspaces; DROP FUNCTION refuse");
  expect(await ended(job.id)).toEqual({ stopping: true, fence: before.fence + 1, visited: false });
  await node.finished(job);
});
