import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { spawn } from "@mags/kit";
import { expect, test } from "vitest";

const MAGS = new URL("../bin/mags", import.meta.url).pathname;
/** Sets the title, clears the screen, moves the cursor, hides what follows; C1 as well. */
const EVIL = "bad\u001b]0;title\u0007 \u001b[2J\u001b[1;1H\u009b8m\rfirst\nsecond";

// The server repeats what sandboxes and other users have said: names, reasons, last words of a machine.
test("an error of the server's steers no terminal, whatever is in it, and keeps its lines", async () => {
  const server = createServer((_request, response) => {
    response.writeHead(409, { "content-type": "application/json" });
    response.end(JSON.stringify({ message: EVIL, error: { code: "conflict", message: EVIL, hint: EVIL } }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const env = {
      MAGS_API_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      MAGS_API_TOKEN: "t",
      NO_COLOR: "1",
    };
    for (const args of [["status", "x"], ["stop", "x"], ["logs", "x"], ["exec", "x", "true"], ["list"]]) {
      const { stderr, exitCode } = await spawn(MAGS, args, { env, reject: false, input: "" });
      expect(exitCode).not.toBe(0);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
      expect(stderr, args[0]).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
      expect(stderr).toMatch(/first\nsecond/);
    }
  } finally {
    server.close();
  }
});
