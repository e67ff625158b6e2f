import { PassThrough, type Readable, Writable } from "node:stream";
import { drained } from "@mags/kit";
import type { ClientChannel } from "ssh2";
import type { Session, SessionEnd, SessionRequest } from "../../sandbox/driver.ts";
import { signalOf } from "../../sandbox/exit-code.ts";
import { environmentOf, findUser, ROOT, type User } from "../../sandbox/users.ts";
import type { Started } from "./connection.ts";
import { BOX, enterCommand, newId, whyNot } from "./enter.ts";
import type { Guest } from "./guest.ts";
import { quoted } from "./shell.ts";

/** Longest command that goes by itself: dropbear takes no more than 9000 bytes. */
const COMMAND_BYTES = 8000;
const END_OF_INPUT = "\x04";
const MOST_ANSWER = 1 << 20;

/** Starts a session in a machine's box. Throws SessionRefused or GuestError. */
export async function openSession(guest: Guest, request: SessionRequest): Promise<Session> {
  const user = await userOf(guest, request.user ?? "root");
  const id = newId("s");
  let command = enterCommand({
    id,
    user,
    // A home that is not there is no reason to refuse; a directory that was asked for is.
    cwd: request.cwd ?? `~:${user.home}`,
    terminal: request.tty !== undefined,
    env: environmentOf(user, request),
    argv: request.argv,
  });
  if (Buffer.byteLength(command) > COMMAND_BYTES) {
    await guest.run(`cat >/run/exec/${id}.command`, command);
    command = `. /run/exec/${id}.command`;
  }
  const { tty } = request;
  const pty = tty && { cols: tty.cols, rows: tty.rows, term: tty.term, width: 0, height: 0 };
  return new GuestSession(guest, await guest.exec(command, pty ? { pty } : {}), id, tty !== undefined);
}

/** Ends what an earlier agent process has left of its sessions, as a closed line does; what they left in the background stays. */
export async function hangUpSessions(guest: Guest): Promise<void> {
  const each = `cd ${BOX}; for id in s*; do [ ! -d "$id" ] || [ -e "/run/exec/$id.exit" ] || box signal "$id" HUP; done; true`;
  await guest.run(each).catch(() => undefined);
}

/** Root is root whatever the databases say, which spares the look at them. */
export async function userOf(guest: Guest, name: string): Promise<User> {
  if (name === "root") return ROOT;
  const files = (await guest.run("cd /box/etc; cat passwd 2>/dev/null; echo /; cat group 2>/dev/null; true")).split(
    "\n/\n",
  );
  return findUser((path) => files[path === "/etc/passwd" ? 0 : 1]?.slice(0, MOST_ANSWER) ?? "", name);
}

class GuestSession implements Session {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable | null;
  readonly exit: Promise<SessionEnd>;
  readonly #guest: Guest;
  readonly #channel: ClientChannel;
  readonly #id: string;
  #ended = false;

  constructor(guest: Guest, { channel, code }: Started, id: string, terminal: boolean) {
    [this.#guest, this.#channel, this.#id] = [guest, channel, id];
    channel.on("error", () => undefined);
    this.stdin = new Writable({
      write: (chunk, _encoding, done) => {
        // Whoever does not read their input any more is no error of the caller's.
        if (!channel.writable || channel.write(chunk)) done();
        else void drained(channel).then(() => done());
      },
      final: (done) => {
        if (terminal && channel.writable) channel.write(END_OF_INPUT);
        else channel.end();
        done();
      },
    });
    this.stdout = channel.pipe(new PassThrough());
    this.stderr = terminal ? null : channel.stderr.pipe(new PassThrough());
    this.exit = this.#end(code).finally(() => {
      this.#ended = true;
    });
  }

  resize(cols: number, rows: number): void {
    if (this.#channel.writable) this.#channel.setWindow(rows, cols, 0, 0);
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.#ended) return;
    await this.#guest.run(`box signal ${this.#id} ${quoted(signal.replace(/^SIG/, ""))}`).catch((error) => {
      if (!this.#ended && !this.#guest.closed) throw error;
    });
  }

  async hangUp(): Promise<void> {
    this.#channel.end();
    this.stdout.resume();
    this.stderr?.resume();
    await this.kill("SIGHUP").catch(() => undefined);
  }

  async #end(ended: Promise<number | null>): Promise<SessionEnd> {
    const code = await ended;
    if (code === null) return { exit_code: null, signal: null, error: "the machine is gone" };
    const error = code === 255 ? await whyNot(this.#guest, this.#id).catch(() => undefined) : undefined;
    if (error !== undefined) return { exit_code: null, signal: null, error };
    return { exit_code: code, signal: signalOf(code), error: null };
  }
}
