import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { Qmp } from "./qmp.ts";

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

/** What QEMU says first, in pieces; then `go` has the connection. */
async function monitor(go: (socket: Socket) => void): Promise<Qmp> {
  const dir = await mkdtemp(join(tmpdir(), "mags-qmp-"));
  const path = join(dir, "qmp.sock");
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    cleanup.push(() => socket.destroy());
    socket.write('{"QMP": {"ver');
    socket.write('sion": {}}}\n');
    go(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  cleanup.push(() => server.close());
  cleanup.push(() => rm(dir, { recursive: true, force: true }));
  return new Qmp(path);
}

it("events between a command and its answer are passed over", async () => {
  const qmp = await monitor((socket) =>
    socket.on("data", () => socket.write('{"event": "STOP"}\n{"return": {"status": "paused"}}\n{"event": "RESUME"}\n')),
  );
  expect(await qmp.execute("query-status")).toEqual({ status: "paused" });
});

it("a monitor that says nothing more is given up in time, one that hangs up at once", async () => {
  const silent = await monitor(() => undefined);
  await expect(silent.execute("query-status", {}, 200)).rejects.toThrow("QEMU does not answer (query-status)");
  const gone = await monitor((socket) => socket.on("data", () => socket.end()));
  await expect(gone.execute("query-status")).rejects.toThrow("QEMU has closed its monitor");
  const reset = await monitor((socket) => setTimeout(() => socket.destroy(), 50));
  await expect(reset.execute("query-status", {}, 5000)).rejects.toThrow();
});
