import { Button } from "./Button.tsx";

interface PagerProps {
  page: number;
  /** rows on a page */
  size: number;
  total: number;
  turn: (page: number) => void;
}

/** The way through a list that is longer than a page; newest first. */
export function Pager({ page, size, total, turn }: PagerProps) {
  const pages = Math.max(1, Math.ceil(total / size));
  if (pages === 1) return null;
  return (
    <nav className="pager" aria-label="Pages">
      <Button disabled={page <= 1} onClick={() => turn(page - 1)}>
        Newer
      </Button>
      <span>
        Page {page} of {pages}
      </span>
      <Button disabled={page >= pages} onClick={() => turn(page + 1)}>
        Older
      </Button>
    </nav>
  );
}
