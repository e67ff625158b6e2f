import ssh2 from "ssh2";

const { generateKeyPairSync, parseKey } = ssh2.utils;

export interface SshKey {
  /** in OpenSSH's format, with the newline at its end that OpenSSH wants */
  privateKey: string;
  /** `ssh-ed25519 AAAA… comment` */
  publicKey: string;
}

/** A new ed25519 key. */
export function makeSshKey(comment: string): SshKey {
  for (;;) {
    const made = generateKeyPairSync("ed25519", { comment });
    // ssh2 1.17 writes about one in 200 that neither it nor OpenSSH can read.
    if (parseKey(made.private) instanceof Error) continue;
    return { privateKey: `${made.private.trim()}\n`, publicKey: made.public.trim() };
  }
}
