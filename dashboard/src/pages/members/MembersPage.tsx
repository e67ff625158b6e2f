import { type Member, type MemberMade, memberRoles } from "@mags/protocol";
import type { FormEvent } from "react";
import { useMemberAction, useMembers } from "../../api/operate.ts";
import { Button } from "../../ui/Button.tsx";
import { Confirm } from "../../ui/Confirm.tsx";
import { Copy } from "../../ui/Copy.tsx";
import { Field, Input } from "../../ui/Field.tsx";
import { ago, when } from "../../ui/format.ts";
import { Empty, Failure } from "../../ui/Notice.tsx";
import { Loaded, Page } from "../../ui/Page.tsx";
import { Table } from "../../ui/Table.tsx";

type Role = Member["role"];

const ROLES: Record<Role, string> = {
  owner: "Owner: and make owners",
  admin: "Admin: members, tokens, the audit log",
  member: "Member: run things",
  viewer: "Viewer: see things",
};

/** The people of the organisation. */
export function MembersPage() {
  const members = useMembers();
  return (
    <Page title="Members" lead="People sign in as members; programs have tokens. A role says what somebody may do.">
      <Invite />
      <Loaded query={members} what="members">
        {({ members: rows }) =>
          rows.length === 0 ? (
            <Empty title="Nobody is a member yet">
              <p>Invite somebody by e-mail above. You get a link to hand on; Mags sends no mail itself.</p>
            </Empty>
          ) : (
            <Members members={rows} />
          )
        }
      </Loaded>
    </Page>
  );
}

function Invite() {
  const add = useMemberAction();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const text = (name: string) => String(new FormData(form).get(name) ?? "").trim();
    add.mutate((all) => all.add(text("email"), { role: text("role") as Role }), { onSuccess: () => form.reset() });
  };
  return (
    <>
      <form className="inline" onSubmit={submit}>
        <Input label="E-mail" name="email" type="email" required placeholder="ann@example.org" />
        <Field label="Role">
          {(id) => (
            <select id={id} name="role" defaultValue="member">
              {memberRoles.map((role) => (
                <option key={role} value={role}>
                  {ROLES[role]}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Button type="submit" look="primary" disabled={add.isPending}>
          Invite
        </Button>
      </form>
      <Failure error={add.error} />
      <Link made={add.data as MemberMade | undefined} />
    </>
  );
}

/** The link of an invitation, which is shown once. */
function Link({ made }: { made: MemberMade | undefined }) {
  if (!made?.invite) return null;
  return (
    <div className="notice good" role="status">
      <p>
        Hand this link to <strong>{made.email}</strong>. It is shown this once, works once, and ends{" "}
        {when(made.invite.expires_at)}.
      </p>
      <Copy value={made.invite.url} label="the link" block />
    </div>
  );
}

function Members({ members }: { members: Member[] }) {
  const action = useMemberAction();
  const made = action.data as MemberMade | undefined;
  return (
    <>
      <Failure error={action.error} />
      <Link made={made && "invite" in made ? made : undefined} />
      <Table
        label="Members"
        columns={["Who", "Role", "State", "Signed in", ""]}
        rows={members}
        keyOf={({ id }) => id}
        cells={(member) => [
          <span key="who">
            <strong>{member.email}</strong> {member.name && <small>{member.name}</small>}
          </span>,
          <select
            key="role"
            aria-label={`Role of ${member.email}`}
            value={member.role}
            disabled={action.isPending}
            onChange={(event) => action.mutate((all) => all.update(member.id, { role: event.target.value as Role }))}
          >
            {memberRoles.map((role) => (
              <option key={role}>{role}</option>
            ))}
          </select>,
          <State key="state" member={member} />,
          member.last_sign_in_at ? ago(member.last_sign_in_at) : "never",
          <span key="actions" className="row-actions">
            <Button
              aria-label={`New link for ${member.email}`}
              onClick={() => action.mutate((all) => all.invite(member.id))}
            >
              New link
            </Button>
            <Button
              aria-label={`${member.state === "disabled" ? "Enable" : "Disable"} ${member.email}`}
              onClick={() => action.mutate((all) => all.update(member.id, { disabled: member.state !== "disabled" }))}
            >
              {member.state === "disabled" ? "Enable" : "Disable"}
            </Button>
            <Confirm
              label={`Remove ${member.email}`}
              sure="Remove for good"
              act={() => action.mutate((all) => all.delete(member.id))}
            >
              Remove
            </Confirm>
          </span>,
        ]}
      />
    </>
  );
}

const TONES: Record<Member["state"], [text: string, tone: string]> = {
  active: ["Active", "good"],
  invited: ["Invited", "active"],
  disabled: ["Disabled", "bad"],
};

function State({ member }: { member: Member }) {
  const [text, tone] = TONES[member.state];
  return <span className={`status ${tone}`}>{text}</span>;
}
