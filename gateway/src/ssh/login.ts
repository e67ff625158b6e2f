import { createHash } from "node:crypto";
import ssh2, { type AuthContext, type PublicKeyAuthContext } from "ssh2";
import type { Attempts } from "../attempts.ts";
import type { Wake } from "../wake.ts";

const { parseKey } = ssh2.utils;
/** Most requests of one connection before it is logged in: each key may be asked for before it is used. */
const QUESTIONS = 20;

export type Verdict = { job: string } | "again" | "disconnect";

/** Judges the keys that a connection shows; the first that opens a sandbox logs in. */
export class Login {
  readonly #wake: Wake;
  readonly #failed: Attempts;
  readonly #address: string;
  #asked = 0;

  constructor(wake: Wake, failed: Attempts, address: string) {
    this.#wake = wake;
    this.#failed = failed;
    this.#address = address;
  }

  /** Answers the job that the key opens once the client has proven to have it. Throws NoDoor when nobody can say. */
  async judge(context: AuthContext): Promise<Verdict> {
    if (++this.#asked > QUESTIONS || this.#failed.waitFor(this.#address) > 0) return "disconnect";
    if (context.method !== "publickey") return refuse(context);
    const fingerprint = createHash("sha256").update(context.key.data).digest("base64").replace(/=+$/, "");
    const job = await this.#wake.jobOfKey(`SHA256:${fingerprint}`, context.username.slice(0, 256));
    // Without a signature the client only asks whether the key would do.
    const proven = context.signature !== undefined;
    if (!job || (proven && !isSigned(context))) {
      this.#failed.fail(this.#address);
      return refuse(context);
    }
    if (proven) await this.#wake.noteLogin({ job, fingerprint: `SHA256:${fingerprint}`, address: this.#address });
    context.accept();
    return proven ? { job } : "again";
  }
}

function refuse(context: AuthContext): "again" {
  context.reject(["publickey"]);
  return "again";
}

function isSigned({ key, blob, signature, hashAlgo }: PublicKeyAuthContext): boolean {
  // RSA with SHA-1 has been broken; clients that can do better say so in hashAlgo.
  if (!signature || !blob || (key.algo === "ssh-rsa" && hashAlgo === undefined)) return false;
  const parsed = parseKey(`${key.algo} ${key.data.toString("base64")}`);
  return !(parsed instanceof Error) && !Array.isArray(parsed) && parsed.verify(blob, signature, hashAlgo) === true;
}
