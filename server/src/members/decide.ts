import { allows, type MemberRole, type TokenScope } from "@mags/protocol";

interface MemberFacts {
  id: string;
  role: MemberRole;
  disabled: boolean;
}

/** Null: deleted. */
type After = Pick<MemberFacts, "role" | "disabled"> | null;

type Refusal = { code: "forbidden" | "conflict"; message: string };

/**
 * Whether a caller may make a member what `after` says; the refusal where not. Owners are changed and made by owners alone, so
 * that an admin does not take an organisation over, also not by a token; where there is no owner yet anyone who administrates
 * makes the first one. One active owner stays.
 */
export function refuseChange(
  caller: { scopes: readonly TokenScope[]; member: { role: MemberRole } | null },
  members: readonly MemberFacts[],
  before: MemberFacts | undefined,
  after: After,
): Refusal | undefined {
  const owners = members.filter(({ role, disabled }) => role === "owner" && !disabled);
  const touchesOwner = before?.role === "owner" || after?.role === "owner";
  const mayTouchOwners = caller.member?.role === "owner" || allows(caller.scopes, "operator") || owners.length === 0;
  if (touchesOwner && !mayTouchOwners) return { code: "forbidden", message: "only an owner makes or changes owners" };
  const isLast = owners.length === 1 && owners[0]?.id === before?.id;
  if (isLast && (after === null || after.role !== "owner" || after.disabled))
    return { code: "conflict", message: "this is the last owner of the organisation: make another one first" };
  return undefined;
}
