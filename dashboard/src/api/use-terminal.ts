import type { Session } from "@mags/sdk";
import { FitAddon } from "@xterm/addon-fit";
import { type ITheme, Terminal } from "@xterm/xterm";
import { type RefObject, useEffect, useState } from "react";
import { mags } from "./client.ts";

export type TerminalState = { kind: "connecting" | "open" | "cut" } | { kind: "ended"; exitCode: number | null };

const COLOURS: ITheme = {
  background: "#15151d",
  foreground: "#e8e8f0",
  cursor: "#9d92ff",
  cursorAccent: "#15151d",
  selectionBackground: "#4a4470",
};
const SCROLLBACK_LINES = 5000;

/** A login shell in the machine of a job, drawn in `box`; `ready` says when there is a machine to ask for. */
export function useTerminal(id: string, box: RefObject<HTMLDivElement | null>, ready: boolean) {
  const [state, setState] = useState<TerminalState>({ kind: "connecting" });
  const [problem, setProblem] = useState<unknown>();
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (!ready || !box.current) return;
    setState({ kind: "connecting" });
    setProblem(undefined);
    return openTerminal(id, box.current, setState, setProblem);
  }, [id, box, ready, round]);
  return { state, problem, restart: () => setRound((before) => before + 1) };
}

/** Returns what closes it. */
function openTerminal(
  id: string,
  box: HTMLElement,
  tell: (state: TerminalState) => void,
  fail: (problem: unknown) => void,
): () => void {
  const terminal = new Terminal({
    fontFamily: '"DejaVu Sans Mono", ui-monospace, Menlo, Consolas, monospace',
    fontSize: 14,
    cursorBlink: true,
    scrollback: SCROLLBACK_LINES,
    theme: COLOURS,
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(box);
  terminal.attachCustomKeyEventHandler((event) => copyOrPaste(event, terminal));
  fit.fit();
  terminal.focus();
  let session: Session | undefined;
  let closed = false;
  const work = async () => {
    const { cols, rows } = terminal;
    session = await mags.session(id, {
      tty: { cols, rows, term: "xterm-256color" },
      onOutput: (_, data) => new Promise<void>((resolve) => terminal.write(data, resolve)),
      onConnection: (up) => !closed && tell({ kind: up ? "open" : "cut" }),
    });
    if (closed) return session.close();
    if (terminal.cols !== cols || terminal.rows !== rows) session.resize(terminal.cols, terminal.rows);
    tell({ kind: "open" });
    const { exit_code } = await session.exit;
    tell({ kind: "ended", exitCode: exit_code });
  };
  const utf8 = new TextEncoder();
  terminal.onData((text) => void session?.write(utf8.encode(text)));
  terminal.onBinary((text) => void session?.write(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
  terminal.onResize(({ cols, rows }) => session?.resize(cols, rows));
  const sizes = new ResizeObserver(() => fit.fit());
  sizes.observe(box);
  work().catch((error) => {
    if (closed) return;
    fail(error);
    tell({ kind: "ended", exitCode: null });
  });
  return () => {
    closed = true;
    sizes.disconnect();
    session?.close();
    terminal.dispose();
  };
}

/** Ctrl+C and Ctrl+V belong to the shell, so with Shift they are what they are elsewhere. */
function copyOrPaste(event: KeyboardEvent, terminal: Terminal): boolean {
  if (!event.ctrlKey || !event.shiftKey || event.type !== "keydown") return true;
  if (event.code === "KeyC") {
    void navigator.clipboard?.writeText(terminal.getSelection());
    event.preventDefault();
    return false;
  }
  return event.code !== "KeyV";
}
