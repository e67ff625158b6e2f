import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";

const ALGORITHM = "aes-256-gcm";
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface Sealed {
  keyId: string;
  bytes: Buffer;
}

/** The keys that secrets are encrypted with: the first is used, the others still open what was sealed with them. */
export class SecretKeys {
  readonly #keys: Map<string, Buffer>;
  readonly currentId: string;

  /** `keys`: base64 of 32 bytes each. Throws Error for one that is none. */
  constructor(keys: string[]) {
    const decoded = keys.map((text) => {
      const key = Buffer.from(text, "base64");
      if (key.length !== KEY_BYTES)
        throw new Error("a key of secrets must be 32 bytes in base64 (openssl rand -base64 32)");
      return [idOf(key), key] as const;
    });
    this.#keys = new Map(decoded);
    this.currentId = decoded[0]?.[0] ?? "";
    if (!this.currentId) throw new Error("there is no key for secrets");
  }

  /** `bound` is what the value belongs to: it opens nowhere else. */
  seal(value: string, bound: string): Sealed {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#key(this.currentId), nonce).setAAD(Buffer.from(bound));
    const text = Buffer.concat([cipher.update(value, "utf8"), cipher.final()]);
    return { keyId: this.currentId, bytes: Buffer.concat([nonce, text, cipher.getAuthTag()]) };
  }

  /** Throws Error when the key is not there, or the bytes are not those that were sealed for this. */
  open({ keyId, bytes }: Sealed, bound: string): string {
    const decipher = createDecipheriv(ALGORITHM, this.#key(keyId), bytes.subarray(0, NONCE_BYTES)).setAAD(
      Buffer.from(bound),
    );
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]).toString("utf8");
  }

  #key(id: string): Buffer {
    const key = this.#keys.get(id);
    if (!key) throw new Error(`the key ${id} that it was encrypted with is not among the keys of this server`);
    return key;
  }
}

const idOf = (key: Buffer): string => createHash("sha256").update(key).digest("hex").slice(0, 16);
