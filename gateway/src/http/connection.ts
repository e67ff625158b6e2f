import type { Socket } from "node:net";
import { type ReplyEvents, type ReplyHead, ReplyParser } from "./reply-parser.ts";

/** Who makes a request, and is told of its answer. */
export interface Exchange extends ReplyEvents {
  /** Protocols were switched, and the bare connection is given away. */
  switched(head: ReplyHead, socket: Socket): void;
  /** more of the request may be written */
  drain(): void;
  /** Nothing more comes: the connection broke, or what came is no answer. */
  lost(cause: Error): void;
}

/** A connection to a server in a sandbox, on which one request after the other is made. */
export class SandboxConnection {
  readonly socket: Socket;
  /** requests begun on it so far */
  uses = 0;
  /** called when it is free again, or gone */
  onFree: () => void = () => undefined;
  #exchange: Exchange | undefined;
  #parser: ReplyParser | undefined;
  #head: ReplyHead | undefined;
  #answered = false;
  #sent = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (bytes: Buffer) => this.#take(bytes));
    socket.on("drain", () => this.#exchange?.drain());
    socket.on("end", () => this.#ended());
    socket.on("error", (error) => this.#lose(error));
    socket.once("close", () => this.#lose(new Error("the connection was closed")));
  }

  /** Nobody uses it, and it takes another request. */
  get isFree(): boolean {
    return this.#exchange === undefined && this.socket.writable && !this.socket.readableEnded;
  }

  /** Begins a request whose head is `head`; what follows is written to the socket. */
  begin(head: string, method: string, exchange: Exchange): void {
    this.uses++;
    this.#exchange = exchange;
    this.#head = undefined;
    this.#answered = this.#sent = false;
    this.#parser = new ReplyParser(
      {
        interim: (head) => exchange.interim(head),
        head: (head) => {
          this.#head = head;
          if (head.status !== 101) exchange.head(head);
        },
        body: (chunk) => exchange.body(chunk),
        end: (trailers) => {
          this.#answered = true;
          if (this.#head?.status !== 101) exchange.end(trailers);
        },
      },
      method === "HEAD",
    );
    this.socket.write(head, "latin1");
  }

  /** The whole request has been written. */
  sent(): void {
    this.#sent = true;
    if (this.#answered) this.#release();
  }

  /** Ends it; whoever uses it is not told. */
  destroy(): void {
    this.#exchange = this.#parser = undefined;
    this.socket.destroy();
  }

  #take(bytes: Buffer): void {
    // Bytes that nobody asked for would be taken for the answer to the next request.
    if (!this.#parser) {
      this.destroy();
      return;
    }
    try {
      const rest = this.#parser.push(bytes);
      if (!this.#answered) return;
      if (this.#head?.status === 101) this.#switch(this.#head, rest);
      else if (rest.length > 0) this.destroy();
      else this.#release();
    } catch (error) {
      this.#lose(error as Error);
      this.socket.destroy();
    }
  }

  #switch(head: ReplyHead, rest: Buffer): void {
    const exchange = this.#exchange;
    this.#exchange = this.#parser = undefined;
    for (const event of ["data", "drain", "end"]) this.socket.removeAllListeners(event);
    this.socket.pause();
    if (rest.length > 0) this.socket.unshift(rest);
    exchange?.switched(head, this.socket);
  }

  #ended(): void {
    try {
      this.#parser?.close();
    } catch (error) {
      this.#lose(error as Error);
    }
    this.destroy();
  }

  #lose(cause: Error): void {
    const exchange = this.#exchange;
    this.#exchange = this.#parser = undefined;
    if (!this.#answered) exchange?.lost(cause);
    this.onFree();
  }

  /** An answer that was there before all of the request was out ends the connection. */
  #release(): void {
    if (!this.#head?.keep || !this.#sent) {
      this.destroy();
      return;
    }
    this.#exchange = this.#parser = undefined;
    this.onFree();
  }
}
