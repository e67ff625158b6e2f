import { type InputHTMLAttributes, type ReactNode, useId } from "react";

interface FieldProps {
  label: string;
  hint?: ReactNode;
  children: (id: string, describedBy: string | undefined) => ReactNode;
}

/** A labelled control; the hint belongs to it for screen readers too. */
export function Field({ label, hint, children }: FieldProps) {
  const id = useId();
  const hintId = hint ? `${id}-hint` : undefined;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children(id, hintId)}
      {hint && (
        <p className="hint" id={hintId}>
          {hint}
        </p>
      )}
    </div>
  );
}

type InputProps = { label: string; hint?: ReactNode } & InputHTMLAttributes<HTMLInputElement>;

export function Input({ label, hint, ...rest }: InputProps) {
  return (
    <Field label={label} hint={hint}>
      {(id, describedBy) => <input id={id} aria-describedby={describedBy} {...rest} />}
    </Field>
  );
}
