import type { Mags } from "@mags/sdk";
import { z } from "zod";

export interface Tool {
  name: string;
  description: string;
  input: z.ZodRawShape;
  /** what a person may want to be asked about before */
  effect: "reads" | "changes" | "destroys";
  run(mags: Mags, args: never, signal: AbortSignal): Promise<unknown>;
}

/** Output is cut to its end at this length, so that it fits into a model's context, `characters` */
const MOST_TEXT = 60_000;
const machine = z.string().describe("Id, name or workspace of a live machine");
const workspace = z.string().describe("Name of a workspace");

/** Everything that `mags mcp` offers to an agent. */
export const tools: readonly Tool[] = [
  tool({
    name: "run",
    description:
      "Run a shell script as root in a fresh isolated Linux machine (Debian with python3, pip, node, npm, git, curl, jq) and wait for its end. " +
      "With `workspace` its files are kept under that name; with `persistent` the machine stays and can be used with the other tools.",
    input: {
      script: z.string().describe("Run by /bin/sh in /root"),
      name: z.string().optional().describe("Label, by which the machine can be addressed"),
      workspace: workspace.optional(),
      base_workspace: z.string().optional().describe("Workspace to start from; name or name@version"),
      persistent: z.boolean().optional().describe("Keep the machine after the script"),
      environment: z.record(z.string(), z.string()).optional(),
      timeout: z.number().positive().optional().describe("Seconds that the script may run; 300 by default"),
    },
    effect: "changes",
    async run(mags, { script, workspace, base_workspace, ...same }, signal) {
      const options = { ...same, workspaceId: workspace, baseWorkspaceId: base_workspace, signal };
      const { requestId, name } = await mags.run(script, options);
      try {
        const job = await mags.wait(requestId, { signal });
        const logs = await mags.logs(requestId, { signal });
        const { status, exit_code, error, script_duration_ms } = job;
        return { request_id: requestId, name, status, exit_code, error, script_duration_ms, output: textOf(logs) };
      } catch (error) {
        // Nobody waits for it any more, and nobody knows its name.
        if (signal.aborted) await mags.stop(requestId).catch(() => undefined);
        throw error;
      }
    },
  }),
  tool({
    name: "exec",
    description: "Run a command in a live machine; a sleeping one is woken. Answers exit_code, stdout and stderr.",
    input: {
      machine,
      command: z.string().describe("Run by /bin/sh"),
      cwd: z.string().optional().describe("Directory; /root by default"),
      stdin: z.string().optional(),
      timeout: z.number().positive().optional().describe("Seconds; 300 by default"),
    },
    effect: "changes",
    async run(mags, { machine, command, ...options }, signal) {
      const { exitCode, timedOut, stdout, stderr } = await mags.exec(machine, command, { ...options, signal });
      return { exit_code: exitCode, timed_out: timedOut, stdout: ending(stdout), stderr: ending(stderr) };
    },
  }),
  tool({
    name: "read_file",
    description: "Read a file of a live machine; one that is no text comes as base64.",
    input: { machine, path: z.string().describe("Relative paths begin in /root") },
    effect: "reads",
    async run(mags, { machine, path }, signal) {
      const bytes = await mags.machineFiles(machine).read(path, { signal });
      const text = new TextDecoder().decode(bytes);
      if (text.includes("\uFFFD")) return { base64: Buffer.from(bytes).toString("base64") };
      return { text };
    },
  }),
  tool({
    name: "write_file",
    description: "Write a file of a live machine, in one step; missing directories are made.",
    input: {
      machine,
      path: z.string().describe("Relative paths begin in /root"),
      content: z.string(),
      encoding: z.enum(["utf8", "base64"]).optional().describe("How content is written; utf8 by default"),
      mode: z.string().optional().describe("Permissions in octal, such as 755"),
    },
    effect: "changes",
    async run(mags, { machine, path, content, encoding, mode }, signal) {
      const bytes = Buffer.from(content, encoding ?? "utf8");
      await mags.machineFiles(machine).write(path, bytes, { ...(mode && { mode }), parents: true, signal });
      return { path, bytes: bytes.length };
    },
  }),
  tool({
    name: "list_files",
    description: "List a directory of a live machine.",
    input: { machine, path: z.string().optional().describe("/root by default") },
    effect: "reads",
    run: async (mags, { machine, path = "." }, signal) => ({
      entries: await mags.machineFiles(machine).list(path, { signal }),
    }),
  }),
  tool({
    name: "expose_port",
    description: "Get the URL of a port of a live persistent machine. By default everybody who has the URL may use it.",
    input: {
      machine,
      port: z.number().int().min(1).max(65535),
      access: z.enum(["public", "token", "password"]).optional().describe("Who may use it"),
    },
    effect: "changes",
    run: (mags, { machine, port, access }, signal) => mags.url(machine, port, { ...(access && { access }), signal }),
  }),
  tool({
    name: "list_jobs",
    description: "List jobs and machines, newest first.",
    input: {
      status: z
        .enum(["accepted", "starting", "running", "sleeping", "completed", "error", "stopped"])
        .optional()
        .describe("Only these"),
      page: z.number().int().positive().optional(),
    },
    effect: "reads",
    async run(mags, options, signal) {
      const { jobs, total } = await mags.list({ ...options, signal });
      const short = jobs.map(({ request_id, name, status, workspace_id, exit_code, created_at }) => ({
        ...{ request_id, name, status, workspace_id, exit_code, created_at },
      }));
      return { jobs: short, total };
    },
  }),
  tool({
    name: "logs",
    description: "What a job has printed so far.",
    input: { job: z.string().describe("Id of a job, or name of a live one") },
    effect: "reads",
    run: async (mags, { job }, signal) => ({ output: textOf(await mags.logs(job, { signal })) }),
  }),
  tool({
    name: "stop",
    description: "Stop a job and its machine; what it wrote to a workspace is kept.",
    input: { job: z.string().describe("Id of a job, or name of a live one") },
    effect: "destroys",
    run: async (mags, { job }, signal) => {
      await mags.stop(job, { signal });
      return { stopping: job };
    },
  }),
  tool({
    name: "list_workspaces",
    description: "List workspaces: disks that are kept, with their versions.",
    input: {},
    effect: "reads",
    run: (mags, _, signal) => mags.workspaces.list({ signal }),
  }),
  tool({
    name: "fork_workspace",
    description: "Make a new workspace from one, or from an old version of it, without copying.",
    input: {
      workspace,
      to: z.string().describe("Name of the new one"),
      version: z.number().int().positive().optional(),
    },
    effect: "changes",
    run: (mags, { workspace, to, version }, signal) => mags.workspaces.fork(workspace, to, { version, signal }),
  }),
  tool({
    name: "sync_workspace",
    description: "Make everything that was written to a workspace durable now.",
    input: { workspace },
    effect: "changes",
    run: (mags, { workspace }, signal) => mags.workspaces.sync(workspace, { signal }),
  }),
  tool({
    name: "delete_workspace",
    description: "Delete a workspace with all its versions. It cannot be undone.",
    input: { workspace, force: z.boolean().optional().describe("Also while jobs use it: they are stopped") },
    effect: "destroys",
    run: (mags, { workspace, force }, signal) => mags.workspaces.delete(workspace, { force, signal }),
  }),
];

/** Ties the arguments' types to the schema that checks them. */
function tool<Shape extends z.ZodRawShape>(
  described: Omit<Tool, "input" | "run"> & {
    input: Shape;
    run(mags: Mags, args: z.infer<z.ZodObject<Shape>>, signal: AbortSignal): Promise<unknown>;
  },
): Tool {
  return described as Tool;
}

/** Both outputs as one text, each entry as it was written. */
function textOf(logs: Awaited<ReturnType<Mags["logs"]>>): string {
  const printed = logs.filter(({ source }) => source !== "system");
  return ending(printed.map(({ message, newline }) => message + (newline ? "\n" : "")).join(""));
}

const ending = (text: string): string =>
  text.length <= MOST_TEXT ? text : `[${text.length - MOST_TEXT} characters before this]\n${text.slice(-MOST_TEXT)}`;
