/** Writes the generated parts of docs/: config.md from the daemon's options, errors.md from the table of errors. */
import { readFileSync, writeFileSync } from "node:fs";
import { optionTable } from "../magsd/src/config.ts";
import { errors } from "../protocol/src/errors.ts";

const CONFIG = `# Settings

All settings are environment variables of \`magsd\` (\`npm start\`). It refuses to start with a list of every one that cannot be used.

${optionTable()}
The CLI and the SDK read \`MAGS_API_URL\` and \`MAGS_API_TOKEN\` (or \`MAGS_TOKEN\`); on the server's machine the CLI finds \`admin.token\` in
\`MAGS_DATA_DIR\` by itself.
`;

const rows = Object.entries(errors).map(([code, { status, hint }]) => `| \`${code}\` | ${status} | ${hint} |`);
const ERRORS = `# Errors

Every error has this shape; \`field\` is there where one field of the request was wrong:

\`\`\`json
{ "message": "…", "error": { "code": "invalid_request", "message": "…", "hint": "…", "field": "timeout", "request_id": "…" } }
\`\`\`

| code | status | what to do |
| --- | --- | --- |
${rows.join("\n")}

A job that was accepted and could not do its work is no API error: its status is \`error\`, \`error\` says why in a sentence and
\`reason\` in a word (\`timeout\`, \`out_of_memory\`, \`node_lost\`, \`start_failed\`, \`supervisor_lost\`).
`;

const files = { "docs/config.md": CONFIG, "docs/errors.md": ERRORS };
const check = process.argv.includes("--check");
for (const [path, text] of Object.entries(files)) {
  const url = new URL(`../${path}`, import.meta.url);
  if (!check) writeFileSync(url, text);
  else if (readFileSync(url, "utf8") !== text) {
    process.stderr.write(`${path} is not what the code says: npm run gen\n`);
    process.exitCode = 1;
  }
}
