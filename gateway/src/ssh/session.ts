import type { Socket } from "node:net";
import type { SessionOptions } from "@mags/protocol";
import type { ServerChannel, Session } from "ssh2";
import type { Dialer } from "../dial.ts";
import type { Door } from "../wake.ts";
import { pump } from "./pump.ts";

const VARIABLES = 256;
const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,255}$/;
/** What ssh answers when the command could not be started. */
const NOT_STARTED = 255;

/** The shell that sshd would take; images without bash have another one. */
const SHELL = "shell=/bin/sh; [ ! -x /bin/bash ] || shell=/bin/bash; export SHELL=$shell; exec $shell";
const SFTP_SERVERS = "/usr/lib/openssh/sftp-server /usr/lib/ssh/sftp-server /usr/libexec/openssh/sftp-server";
const SFTP = `for server in ${SFTP_SERVERS}; do [ ! -x $server ] || exec $server; done; echo 'the image has no sftp-server' >&2; exit 127`;

export interface SessionNeeds {
  /** goes into the sandbox as soon as it is up; throws NoDoor, ApiError */
  reach<T>(go: (door: Door) => Promise<T>): Promise<T>;
  dialer: Dialer;
  connection: Socket;
}

/** Answers one session channel: a shell, a command or SFTP, with a terminal where the client asks for one. */
export function serveSession(session: Session, needs: SessionNeeds): void {
  const env: Record<string, string> = {};
  let tty: SessionOptions["tty"];
  let resize: ((cols: number, rows: number) => void) | undefined;
  session.on("env", (accept, reject, { key, val }) => {
    const fits = VARIABLE_NAME.test(key) && !val.includes("\0") && Object.keys(env).length < VARIABLES;
    if (!fits) return reject?.();
    env[key] = val;
    accept?.();
  });
  session.on("pty", (accept, _reject, { cols, rows, term }) => {
    tty = { ...size(cols, rows), term: term?.slice(0, 64) || "xterm" };
    accept?.();
  });
  session.on("window-change", (accept, _reject, { cols, rows }) => {
    const { cols: width, rows: height } = size(cols, rows);
    if (tty) Object.assign(tty, { cols: width, rows: height });
    resize?.(width, height);
    accept?.();
  });
  const start = (channel: ServerChannel, argv: string[]) => {
    const running = run(channel, { argv, env, tty }, needs, (remote) => {
      resize = (cols, rows) => remote.resize(cols, rows);
      session.on("signal", (accept, _reject, { name }) => {
        remote.kill(`SIG${name.replace(/^SIG/, "")}`);
        accept?.();
      });
    });
    running.catch(() => channel.destroy());
  };
  session.on("shell", (accept) => start(accept(), ["/bin/sh", "-c", `${SHELL} -l`]));
  session.on("exec", (accept, _reject, { command }) => start(accept(), ["/bin/sh", "-c", `${SHELL} -c "$0"`, command]));
  session.on("subsystem", (accept, reject, { name }) => {
    if (name !== "sftp") return reject?.();
    tty = undefined;
    start(accept(), ["/bin/sh", "-c", SFTP]);
  });
}

type Remote = Awaited<ReturnType<Dialer["session"]>>;

async function run(
  channel: ServerChannel,
  options: SessionOptions,
  { reach, dialer, connection }: SessionNeeds,
  started: (remote: Remote) => void,
): Promise<void> {
  channel.on("error", () => undefined);
  const remote = await reach((door) => dialer.session(door, options)).catch((error: Error) => error);
  if (remote instanceof Error) return finish(channel, { code: NOT_STARTED, said: remote.message });
  const hangUp = () => remote.hangUp();
  if (channel.destroyed || connection.destroyed) return hangUp();
  channel.once("close", hangUp);
  connection.once("close", hangUp);
  started(remote);
  channel.pipe(remote.stdin);
  await Promise.all([pump(remote.stdout, channel, connection), pump(remote.stderr, channel.stderr, connection)]);
  const exit = await remote.exit.catch((error: Error) => error);
  connection.off("close", hangUp);
  if (exit instanceof Error) return finish(channel, { code: NOT_STARTED, said: exit.message });
  if (exit.error !== null) return finish(channel, { code: NOT_STARTED, said: exit.error });
  if (exit.signal !== null) channel.exit(exit.signal.replace(/^SIG/, ""), false, "");
  else channel.exit(exit.exit_code ?? NOT_STARTED);
  channel.end();
}

/** Ends a session that did not run, or not to its end, with a sentence for the person at the other end. */
function finish(channel: ServerChannel, { code, said }: { code: number; said: string }): void {
  if (channel.destroyed) return;
  channel.stderr.write(`mags: ${said}\r\n`, () => {
    channel.exit(code);
    channel.end();
  });
}

/** Clients without a terminal of their own send zeros. */
const size = (cols: number, rows: number) => ({ cols: within(cols, 80), rows: within(rows, 24) });

const within = (cells: number, fallback: number) => (cells >= 1 ? Math.min(cells, 10_000) : fallback);
