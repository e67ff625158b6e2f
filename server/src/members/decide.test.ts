import type { MemberRole } from "@mags/protocol";
import { describe, expect, it } from "vitest";
import { refuseChange } from "./decide.ts";

const person = (id: string, role: MemberRole, disabled = false) => ({ id, role, disabled });
const ann = person("ann", "owner");
const bob = person("bob", "owner");
const eve = person("eve", "admin");
const as = (role: MemberRole | null, scope: "admin" | "operator" = "admin") => ({
  scopes: [scope] as const,
  member: role && { role },
});

describe("who may change whom", () => {
  it.each([
    ["an admin makes a member", as("admin"), [ann], undefined, person("x", "member"), undefined],
    ["an admin makes no owner", as("admin"), [ann], undefined, bob, "forbidden"],
    ["nor does a token of the organisation", as(null), [ann], undefined, bob, "forbidden"],
    ["who runs the server does", as(null, "operator"), [ann], undefined, bob, undefined],
    ["the first owner is made by anyone who administrates", as(null), [], undefined, ann, undefined],
    ["also where the only owner is disabled", as(null), [person("o", "owner", true)], undefined, ann, undefined],
    ["an admin does not demote an owner", as("admin"), [ann, bob], ann, person("ann", "member"), "forbidden"],
    ["an admin does not become one", as("admin"), [ann, eve], eve, person("eve", "owner"), "forbidden"],
    ["an owner demotes another", as("owner"), [ann, bob], ann, person("ann", "member"), undefined],
    ["the last one stays", as("owner"), [ann, eve], ann, null, "conflict"],
    ["is not demoted", as("owner"), [ann, eve], ann, person("ann", "admin"), "conflict"],
    ["nor disabled", as("owner"), [ann, person("o", "owner", true)], ann, person("ann", "owner", true), "conflict"],
    ["but may be renamed", as("owner"), [ann], ann, ann, undefined],
  ] as const)("%s", (_, caller, members, before, after, refusal) => {
    expect(refuseChange(caller, members, before, after)?.code).toBe(refusal);
  });
});
