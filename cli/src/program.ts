import { Command } from "commander";
import { addAudit } from "./commands/audit.ts";
import { addBackup, addRestore } from "./commands/backup.ts";
import { addBench } from "./commands/bench.ts";
import { addBrowser } from "./commands/browser.ts";
import { addComplete, addCompletion } from "./commands/completion.ts";
import { addCp } from "./commands/cp.ts";
import { addCron } from "./commands/cron.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addExec } from "./commands/exec.ts";
import { addFile } from "./commands/file.ts";
import { addFsck } from "./commands/fsck.ts";
import { addImage } from "./commands/image.ts";
import { addList } from "./commands/list.ts";
import { addLogin, addLogout, addWhoami } from "./commands/login.ts";
import { addLogs } from "./commands/logs.ts";
import { addMcp } from "./commands/mcp.ts";
import { addMember } from "./commands/member.ts";
import { addNew } from "./commands/new.ts";
import { addNode } from "./commands/node.ts";
import { addOrg } from "./commands/org.ts";
import { addPool } from "./commands/pool.ts";
import { addQuota } from "./commands/quota.ts";
import { addRerun } from "./commands/rerun.ts";
import { addRun } from "./commands/run.ts";
import { addSecret } from "./commands/secret.ts";
import { addSet } from "./commands/set.ts";
import { addSleep, addWake } from "./commands/sleep.ts";
import { addSsh } from "./commands/ssh.ts";
import { addSshKey } from "./commands/ssh-key.ts";
import { addStatus } from "./commands/status.ts";
import { addStop } from "./commands/stop.ts";
import { addToken } from "./commands/token.ts";
import { addUrl } from "./commands/url.ts";
import { addUsage } from "./commands/usage.ts";
import { addWebhook } from "./commands/webhook.ts";
import { addResize, addSync, addWorkspace } from "./commands/workspace.ts";

/** Every command, in the order of `mags --help`. */
const commands = [
  addRun,
  addRerun,
  addNew,
  addList,
  addStatus,
  addLogs,
  addStop,
  addSleep,
  addWake,
  addExec,
  addCp,
  addSync,
  addResize,
  addWorkspace,
  addSsh,
  addUrl,
  addSet,
  addCron,
  addFile,
  addSshKey,
  addBrowser,
  addImage,
  addToken,
  addMember,
  addOrg,
  addQuota,
  addUsage,
  addSecret,
  addAudit,
  addWebhook,
  addLogin,
  addLogout,
  addWhoami,
  addCompletion,
  addComplete,
  addMcp,
  addPool,
  addNode,
  addBackup,
  addRestore,
  addFsck,
  addDoctor,
  addBench,
];

/** The `mags` command. */
export function program(): Command {
  const mags = new Command("mags")
    .description("run scripts in isolated Linux sandboxes")
    .version("0.1.0")
    .showHelpAfterError("(add --help for the options)")
    .addHelpText("after", "\nExample:\n  mags run 'echo hello'")
    .addHelpText("after", "\nSettings: MAGS_API_URL, MAGS_API_TOKEN; on the server's own machine root needs none.")
    // Commands inherit this when they are added, so it comes before them.
    .exitOverride()
    // What follows a command of `exec` is that command's own.
    .enablePositionalOptions();
  for (const add of commands) add(mags);
  return mags;
}
