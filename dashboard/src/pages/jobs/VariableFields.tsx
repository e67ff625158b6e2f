import { useSecrets } from "../../api/operate.ts";
import { Field } from "../../ui/Field.tsx";

/** Variables of the script; those of secrets are masked in its log. */
export function VariableFields() {
  const names = useSecrets().data?.secrets.map(({ name }) => name) ?? [];
  const known = names.length > 0 ? `There are ${names.join(", ")}.` : "There is none yet.";
  return (
    <details className="more-fields">
      <summary>Variables and secrets</summary>
      <div className="columns">
        <Lines name="environment" label="Variables" hint="A line each." placeholder="GREETING=hello" />
        <Lines
          name="secrets"
          label="Secrets"
          hint={`A line each, with the name of a secret. ${known}`}
          placeholder={`DB_PASSWORD=${names[0] ?? "db-password"}`}
        />
      </div>
    </details>
  );
}

function Lines({ name, label, hint, placeholder }: Record<"name" | "label" | "hint" | "placeholder", string>) {
  return (
    <Field label={label} hint={hint}>
      {(id, describedBy) => (
        <textarea
          id={id}
          name={name}
          aria-describedby={describedBy}
          rows={3}
          spellCheck={false}
          placeholder={placeholder}
        />
      )}
    </Field>
  );
}
