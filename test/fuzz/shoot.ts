import { connect, type Socket } from "node:net";

/** How a server answered, or that it did not. */
export interface Reply {
  /** 0: the line was closed without an answer */
  status: number;
  type: string;
  body: string;
  ms: number;
}

/** Longest time for an answer on a machine that has much else to do, `ms` */
const PATIENCE_MS = 60_000;
/** A body that goes on and on (logs that are followed, a backup) has been answered. */
const BODY_MS = 2000;
const BODY_BYTES = 1 << 20;

/**
 * Sends bytes and reads the head of the answer and, up to a limit, its body. `more` is sent a moment later. HTTP by hand, because
 * no client sends what is not HTTP. Throws when no answer comes.
 */
export async function shoot(
  port: number,
  bytes: Buffer,
  more: Buffer | "close" | undefined = undefined,
): Promise<Reply> {
  const since = performance.now();
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write(bytes);
  if (more === "close") setTimeout(() => socket.end(), 20);
  else if (more) setTimeout(() => socket.write(more), 20);
  try {
    const text = await answerOf(socket);
    const ms = performance.now() - since;
    const [, status = "0"] = /^HTTP\/1\.1 (\d{3})/.exec(text) ?? [];
    const [head = "", ...rest] = text.split("\r\n\r\n");
    const [, type = ""] = /^content-type: *(.*)$/im.exec(head) ?? [];
    const body = rest.join("\r\n\r\n");
    const length = /^content-length: *(\d+)/im.exec(head)?.[1];
    // What may come after it is the answer to the rest of the line.
    const own = /^transfer-encoding: *chunked/im.test(head)
      ? joined(body)
      : body.slice(0, Number(length ?? body.length));
    return { status: Number(status), type, body: own, ms };
  } finally {
    socket.destroy();
  }
}

function answerOf(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const patience = setTimeout(() => reject(new Error(`no answer within ${PATIENCE_MS} ms`)), PATIENCE_MS);
    let enough: NodeJS.Timeout | undefined;
    const done = () => {
      clearTimeout(patience);
      clearTimeout(enough);
      resolve(text);
    };
    socket.on("data", (data) => {
      text += data.toString("latin1");
      if (/^HTTP\/1\.1 100 [^\r]*\r\n\r\n/.test(text)) text = text.replace(/^[\s\S]*?\r\n\r\n/, "");
      if (text.includes("\r\n\r\n")) enough ??= setTimeout(done, BODY_MS);
      if (isWhole(text) || text.length > BODY_BYTES) done();
    });
    socket.on("close", done);
  });
}

function isWhole(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const head = text.slice(0, end);
  if (/^HTTP\/1\.1 (101|204|304)/.test(head) || /^content-type: *text\/event-stream/im.test(head)) return true;
  const length = /^content-length: *(\d+)/im.exec(head)?.[1];
  return length === undefined ? text.endsWith("0\r\n\r\n") : text.length - end - 4 >= Number(length);
}

/** Without the lengths of chunks. */
function joined(body: string): string {
  let text = "";
  for (let rest = body; rest !== ""; ) {
    const [line = "0"] = rest.split("\r\n", 1);
    const length = Number.parseInt(line, 16) || 0;
    text += rest.slice(line.length + 2, line.length + 2 + length);
    rest = length === 0 ? "" : rest.slice(line.length + 4 + length);
  }
  return text;
}
