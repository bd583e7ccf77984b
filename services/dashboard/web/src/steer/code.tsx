// Programs as coloured text, and the difference of two.

import { diffLines } from "./diff";
import { highlightLines, type Piece } from "./highlight";

export function Pieces({ pieces }: { pieces: readonly Piece[] }) {
  return (
    <>
      {pieces.map((piece, i) => (piece.kind === "" ? piece.text : <span key={i} class={`tok-${piece.kind}`}>{piece.text}</span>))}
    </>
  );
}

/** A line that does not fit goes on below, further in than it begins. */
function indentOf(pieces: readonly Piece[]): Record<string, string> {
  const [first] = pieces;
  const spaces = first?.kind === "" ? first.text.search(/\S|$/) : 0;
  return { "--indent": `${spaces}ch` };
}

export function Code({ source, label }: { source: string; label: string }) {
  return (
    <pre class="code" tabIndex={0} role="region" aria-label={label}>
      <code>
        {highlightLines(source.trimEnd()).map((pieces, i) => (
          <span key={i} class="code-line" style={indentOf(pieces)}>
            <Pieces pieces={pieces} />
            {"\n"}
          </span>
        ))}
      </code>
    </pre>
  );
}

const SIGNS = { same: " ", added: "+", removed: "−" } as const;
const WORDS = { same: "", added: "added: ", removed: "removed: " } as const;

/** What is different from another program; `to` says which that is. */
export function Diff({ before, after, label, to = "the reward in force" }: { before: string; after: string; label: string; to?: string }) {
  const lines = diffLines(before, after);
  if (lines.every((line) => line.kind === "same")) return <p class="empty">No difference to {to}.</p>;
  return (
    <pre class="code diff" tabIndex={0} role="region" aria-label={label}>
      {lines.map((line, i) => {
        const [pieces = []] = highlightLines(line.text);
        return (
          <span key={i} class={`code-line diff-line ${line.kind}`} style={indentOf(pieces)}>
            <span class="sign" aria-hidden="true">{SIGNS[line.kind]}</span>
            <span class="sr-only">{WORDS[line.kind]}</span>
            <Pieces pieces={pieces} />
            {"\n"}
          </span>
        );
      })}
    </pre>
  );
}
