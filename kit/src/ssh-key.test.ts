import ssh2 from "ssh2";
import { expect, it } from "vitest";
import { makeSshKey } from "./ssh-key.ts";

it("makes keys that can always be read", () => {
  for (let made = 0; made < 2000; made++) {
    const { privateKey, publicKey } = makeSshKey("of the tests");
    const [ours, theirs] = [ssh2.utils.parseKey(privateKey), ssh2.utils.parseKey(publicKey)];
    if (ours instanceof Error || theirs instanceof Error) throw new Error(`unreadable: ${privateKey}`);
    expect(ours.getPublicSSH()).toEqual(theirs.getPublicSSH());
  }
});
