import { request } from "node:http";
import { text } from "node:stream/consumers";
import type { Mags } from "@mags/sdk";
import { summarise } from "./stats.ts";
import { inTurns, timed } from "./turns.ts";
import type { Report } from "./workspaces.ts";

const PORT = 8080;
const SERVE = `mkdir -p /srv/www && echo page > /srv/www/index.html && exec python3 -m http.server ${PORT} -d /srv/www`;

/**
 * From a visitor's request to the first byte of the page: of a machine that sleeps, and of a job that is made at that moment
 * and runs the same command, in turns.
 */
export async function benchWake(mags: Mags, runs: number): Promise<Report> {
  const { requestId: sleeper } = await mags.run(SERVE, { persistent: true, startupCommand: SERVE, idleMinutes: 60 });
  const { url } = await mags.url(sleeper, PORT);
  await firstByte(url);
  const wake = async () => {
    await mags.sleep(sleeper);
    return timed(() => firstByte(url));
  };
  const fresh = async () => {
    let made = "";
    const time = await timed(async () => {
      made = (await mags.run(SERVE, { persistent: true })).requestId;
      await firstByte((await mags.url(made, PORT)).url);
    });
    await mags.stop(made);
    await mags.wait(made);
    return time;
  };
  try {
    const contender = (name: string, once: () => Promise<number>) => ({ name, once, close: async () => undefined });
    const times = await inTurns([contender("wake to first byte", wake), contender("run to first byte", fresh)], runs);
    const results = Object.fromEntries([...times].map(([name, list]) => [name, summarise(list)]));
    const ratio =
      (results["wake to first byte"]?.p50 ?? Number.NaN) / (results["run to first byte"]?.p50 ?? Number.NaN);
    return { results, ratios: { "wake / run, to first byte": ratio }, aims: { "wake / run, to first byte": 1.3 } };
  } finally {
    await mags.stop(sleeper);
  }
}

async function firstByte(url: string): Promise<void> {
  const { host, port } = new URL(url);
  const status = await new Promise<number>((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port, agent: false, headers: { host, connection: "close" } });
    call.once("response", (answer) => text(answer).then(() => resolve(answer.statusCode ?? 0), reject));
    call.once("error", reject).end();
  });
  if (status !== 200) throw new Error(`${url} answers with status ${status}`);
}
