import { useFile } from "../../api/workspaces.ts";
import { Loaded } from "../../ui/Page.tsx";

/** A file as text, where it is text. */
export function FileView({ id, path, version }: { id: string; path: string; version: number | undefined }) {
  const file = useFile(id, path, version);
  return (
    <section aria-labelledby="file">
      <h2 id="file">{path}</h2>
      <Loaded query={file} what="the file">
        {(content) => {
          const text = textOf(content);
          if (text === undefined) return <p className="hint">This is no text. Download it to see what it is.</p>;
          // biome-ignore lint/a11y/noNoninteractiveTabindex: keyboards have to reach what scrolls
          return <pre tabIndex={0}>{text}</pre>;
        }}
      </Loaded>
    </section>
  );
}

function textOf(content: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(content);
    return text.includes("\0") ? undefined : text;
  } catch {
    return undefined;
  }
}
