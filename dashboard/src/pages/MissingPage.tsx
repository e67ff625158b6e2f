import { ButtonLink } from "../ui/Button.tsx";
import { Empty } from "../ui/Notice.tsx";

export function MissingPage() {
  return (
    <Empty title="There is no such page">
      <ButtonLink to="/jobs">To the jobs</ButtonLink>
    </Empty>
  );
}
