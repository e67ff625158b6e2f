// Before x509, which asks it for its metadata.
import "reflect-metadata";
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, webcrypto } from "node:crypto";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  PublicKey,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

const SIGNS = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
/** A certificate opens nothing once its machine is removed, so it may be valid long; `years`. */
const YEARS = 10;
/** Clocks of machines may differ a little, `ms`. */
const CLOCK_SLACK_MS = 3600_000;

/** Who is certified: `member` is the name that others ask for, `id` what a removed one is known by. */
export interface Subject {
  id: string;
  member: string;
  /** may call agents; else it can only be called */
  calls: boolean;
}

/** Signs what the members of a cluster know each other by. */
export class Authority {
  readonly certificate: string;
  readonly #issuer: X509Certificate;
  readonly #key: webcrypto.CryptoKey;

  private constructor(certificate: string, key: webcrypto.CryptoKey) {
    this.certificate = certificate;
    this.#issuer = new X509Certificate(certificate);
    this.#key = key;
  }

  /** Makes a new one; `sealedKey` can be opened with `secret` alone. */
  static async make(secret: string): Promise<{ certificate: string; sealedKey: string }> {
    const keys = await webcrypto.subtle.generateKey(SIGNS, true, ["sign", "verify"]);
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: "CN=Mags cluster",
      ...validity(),
      keys,
      signingAlgorithm: SIGNS,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    });
    const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
    return { certificate: certificate.toString("pem"), sealedKey: seal(key, secret) };
  }

  /** Throws Error when `secret` is not the one it was sealed with. */
  static async open(stored: { certificate: string; sealedKey: string }, secret: string): Promise<Authority> {
    const key = unseal(stored.sealedKey, secret);
    return new Authority(stored.certificate, await webcrypto.subtle.importKey("pkcs8", key, SIGNS, false, ["sign"]));
  }

  /** A certificate for the holder of the public key (SubjectPublicKeyInfo as PEM). Throws Error for what is no such key. */
  async certify({ id, member, calls }: Subject, publicKey: string): Promise<string> {
    const usages = [ExtendedKeyUsage.serverAuth, ...(calls ? [ExtendedKeyUsage.clientAuth] : [])];
    const made = await X509CertificateGenerator.create({
      subject: `CN=${id}`,
      issuer: this.#issuer.subject,
      ...validity(),
      publicKey: new PublicKey(PemConverter.decodeFirst(publicKey)),
      signingKey: this.#key,
      signingAlgorithm: SIGNS,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension(usages),
        new SubjectAlternativeNameExtension([{ type: "dns", value: member }]),
      ],
    });
    return made.toString("pem");
  }
}

function validity() {
  const now = Date.now();
  return { notBefore: new Date(now - CLOCK_SLACK_MS), notAfter: new Date(now + YEARS * 365.25 * 24 * 3600_000) };
}

const sealingKey = (secret: string, salt: Buffer) => Buffer.from(hkdfSync("sha256", secret, salt, "mags cluster", 32));

/** AES-256-GCM: salt, nonce, tag and what is sealed, as base64. */
function seal(plain: Buffer, secret: string): string {
  const [salt, nonce] = [randomBytes(16), randomBytes(12)];
  const cipher = createCipheriv("aes-256-gcm", sealingKey(secret, salt), nonce);
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([salt, nonce, cipher.getAuthTag(), sealed]).toString("base64");
}

function unseal(text: string, secret: string): Buffer {
  const bytes = Buffer.from(text, "base64");
  const decipher = createDecipheriv("aes-256-gcm", sealingKey(secret, bytes.subarray(0, 16)), bytes.subarray(16, 28));
  decipher.setAuthTag(bytes.subarray(28, 44));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(44)), decipher.final()]);
  } catch (cause) {
    throw new Error("the cluster's secret is not the one that its authority was made with", { cause });
  }
}
