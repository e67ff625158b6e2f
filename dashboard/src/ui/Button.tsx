import type { ButtonHTMLAttributes } from "react";
import { Link, type LinkProps } from "react-router";

type Look = "primary" | "plain" | "danger";

export function Button({ look = "plain", ...rest }: { look?: Look } & ButtonHTMLAttributes<HTMLButtonElement>) {
  return <button type="button" {...rest} className={`button ${look}`} />;
}

export function ButtonLink({ look = "plain", ...rest }: { look?: Look } & LinkProps) {
  return <Link {...rest} className={`button ${look}`} />;
}
