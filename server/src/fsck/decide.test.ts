import { randomUUID } from "node:crypto";
import type { NodeAudit } from "@mags/protocol";
import { expect, it } from "vitest";
import { inBoth, inLedger, inStore, isGone, mends, onNodes } from "./decide.ts";
import type { LedgerFacts } from "./store.ts";

const nothing: LedgerFacts = {
  held: [],
  workspaces: [],
  holdersGone: [],
  latestMissing: [],
  abandoned: [],
  twice: [],
  overdueCrons: [],
  nodes: [{ name: "n1", silentSeconds: 0, jobs: 0, dirty: 0 }],
};
const empty: NodeAudit = { jobs: [], traces: [], copies: [], missing_rules: [] };
const [id, other] = [randomUUID(), randomUUID()];
const kinds = (found: { kind: string }[]) => found.map(({ kind }) => kind);
const seen = (ledger: Partial<LedgerFacts>, audit: Partial<NodeAudit>, known: string[] = []) =>
  onNodes({ ...nothing, ...ledger }, [{ name: "n1", audit: { ...empty, ...audit } }], new Set(known));

it("finds nothing where ledger and machine agree", () => {
  const held = [{ id, name: "j", node: "n1", attempt: 2, overdueSeconds: -5 }];
  const workspaces = [{ id: other, org: "o", name: "w", node: "n1", fence: 3, dirty: true, held: false }];
  const audit: Partial<NodeAudit> = {
    jobs: [{ id, attempt: 2, ended: false }],
    copies: [{ id: other, name: "w", fence: 3 }],
    traces: [
      { kind: "cgroup", name: "m1", held: true },
      { kind: "job_directory", name: id, held: null },
    ],
  };
  expect(seen({ held, workspaces }, audit, [id])).toEqual([]);
  expect(inLedger({ ...nothing, held, workspaces })).toEqual([]);
});

it("tells a job that only one of both knows, and lets one be that has ended there", () => {
  const held = [{ id, name: "j", node: "n1", attempt: 2, overdueSeconds: -5 }];
  expect(kinds(seen({ held }, {}))).toEqual(["job_missing"]);
  expect(kinds(seen({ held }, { jobs: [{ id, attempt: 1, ended: false }] }))).toEqual(["job_missing", "job_unknown"]);
  expect(seen({}, { jobs: [{ id, attempt: 1, ended: true }] })).toEqual([]);
});

it("offers to remove what nothing has that lives, and nothing else", () => {
  const traces: NodeAudit["traces"] = [
    { kind: "cgroup", name: "m1", held: true },
    { kind: "cgroup", name: "m2", held: false },
    { kind: "job_directory", name: id, held: null },
    { kind: "job_directory", name: other, held: null },
  ];
  const found = seen({}, { traces }, [id]);
  expect(found.map(({ kind, what }) => [kind, what])).toEqual([
    ["leftover", "cgroup m2"],
    ["job_directory_unknown", `job_directory ${other}`],
  ]);
  expect(mends(found)).toEqual([
    { do: "remove_trace", node: "n1", trace: { kind: "cgroup", name: "m2" } },
    { do: "remove_trace", node: "n1", trace: { kind: "job_directory", name: other } },
  ]);
});

it("tells a copy under a fence that is over, and one of a deleted workspace", () => {
  const workspaces = [{ id, org: "o", name: "w", node: "n1", fence: 4, dirty: false, held: false }];
  const copies = [
    { id, name: "w", fence: 3 },
    { id: other, name: "gone", fence: 1 },
  ];
  const found = seen({ workspaces }, { copies });
  expect(kinds(found)).toEqual(["copy_unknown", "copy_unknown"]);
  expect(mends(found)).toEqual([{ do: "report_copies", node: "n1" }]);
});

it("tells changes that the ledger counts on a node which has none, unless a job is about to make some", () => {
  const workspace = { id, org: "o", name: "w", node: "n1", fence: 4, dirty: true, held: false };
  const found = seen({ workspaces: [workspace] }, {});
  expect(kinds(found)).toEqual(["changes_gone"]);
  expect(mends(found)).toEqual([{ do: "report_copies", node: "n1" }]);
  expect(seen({ workspaces: [{ ...workspace, held: true }] }, {})).toEqual([]);
  expect(seen({ workspaces: [workspace] }, { copies: [{ id, name: "w", fence: 4 }] })).toEqual([]);
});

it("tells of a silent node only where something may be on it", () => {
  const look = [{ name: "n1", silent: "nothing was heard of it for 90 s" }];
  const silent = (jobs: number) => ({ ...nothing, nodes: [{ name: "n1", silentSeconds: 90, jobs, dirty: 0 }] });
  expect(onNodes(silent(0), look, new Set())).toEqual([]);
  expect(kinds(onNodes(silent(2), look, new Set()))).toEqual(["node_silent"]);
});

it("tells objects that are missing or known to nobody, and lets young ones be", () => {
  const [a, b, c] = ["a", "b", "c"].map((digit) => digit.repeat(64)) as [string, string, string];
  const facts = {
    stored: new Map([
      [`orgs/o/chunks/aa/${a}.1`, { hash: a, epoch: 1 }],
      [`orgs/o/manifests/${b}.1`, { hash: b, epoch: 1 }],
    ]),
    known: new Set([`orgs/o/chunks/aa/${a}.1`, `orgs/o/manifests/${b}.1`]),
  };
  const cutoff = new Date(1000);
  const listed = new Map([
    [`orgs/o/chunks/cc/${c}.1`, new Date(500)],
    [`orgs/o/chunks/cc/${c}.2`, new Date(400)],
    [`orgs/o/chunks/cc/${c}.3`, new Date(2000)],
  ]);
  const found = inStore("o", facts, listed, cutoff);
  expect(kinds(found)).toEqual(["object_missing", "object_missing", "object_unreferenced", "object_unreferenced"]);
  expect(mends(found)).toEqual([
    { do: "upload_again", org: "o", object: { hash: a, epoch: 1 } },
    { do: "put_manifest", org: "o", name: `${b}.1` },
    {
      do: "condemn",
      org: "o",
      objects: [
        { hash: c, epoch: 1 },
        { hash: c, epoch: 2 },
      ],
    },
  ]);
});

it("counts only what two looks have seen, and nothing as gone that a look could not see", () => {
  const leftover = seen({}, { traces: [{ kind: "cgroup", name: "m2", held: false }] });
  const silence = (why: string) =>
    onNodes(
      { ...nothing, nodes: [{ name: "n1", silentSeconds: 0, jobs: 0, dirty: 0 }] },
      [{ name: "n1", silent: why }],
      new Set(),
    );
  expect(inBoth(leftover, [])).toEqual([]);
  expect(inBoth([], leftover)).toEqual([]);
  expect(inBoth(leftover, leftover)).toEqual(leftover);
  const silentOnce: [typeof leftover, typeof leftover][] = [
    [silence("it hung"), leftover],
    [leftover, silence("it hung")],
    [silence("it hung"), []],
    [silence("it hung"), silence("it answered 500")],
  ];
  for (const [first, second] of silentOnce) expect(kinds(inBoth(first, second))).toEqual(["node_silent"]);
  const [difference] = leftover as [(typeof leftover)[number]];
  expect([isGone(difference, []), isGone(difference, leftover), isGone(difference, silence("it hung"))]).toEqual([
    true,
    false,
    false,
  ]);
});
