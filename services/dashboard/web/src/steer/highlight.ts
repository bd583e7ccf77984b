// Splits a reward program into coloured pieces of text. They are shown as text, never as HTML.

export interface Piece {
  text: string;
  /** CSS class; empty for plain text. */
  kind: "" | "comment" | "string" | "number" | "keyword" | "call" | "field" | "operator";
}

const KEYWORDS = new Set(["def", "return", "and", "or", "not", "in", "is", "if", "else", "True", "False", "None"]);
const TOKEN = /(#[^\n]*)|("""[\s\S]*?"""|"[^"\n]*"|'[^'\n]*')|(\b\d+\.?\d*(?:[eE][+-]?\d+)?\b|\.\d+\b)|(\bstate\.\w+|\bnp(?:\.\w+)+)|(\b[A-Za-z_]\w*\b)|([-+*/%<>=!&|^~]+)/g;

export function highlight(source: string): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of source.matchAll(TOKEN)) {
    if (match.index > end) pieces.push({ text: source.slice(end, match.index), kind: "" });
    const [text, comment, string, number, dotted, word] = match;
    let kind: Piece["kind"] = "operator";
    if (comment !== undefined) kind = "comment";
    else if (string !== undefined) kind = "string";
    else if (number !== undefined) kind = "number";
    else if (dotted !== undefined) kind = dotted.startsWith("np") ? "call" : "field";
    else if (word !== undefined) kind = KEYWORDS.has(word) ? "keyword" : "";
    pieces.push({ text, kind });
    end = match.index + text.length;
  }
  if (end < source.length) pieces.push({ text: source.slice(end), kind: "" });
  return pieces;
}

/** The pieces of each line. */
export function highlightLines(source: string): Piece[][] {
  const lines: Piece[][] = [[]];
  for (const piece of highlight(source)) {
    piece.text.split("\n").forEach((text, i) => {
      if (i > 0) lines.push([]);
      if (text !== "") lines.at(-1)!.push({ text, kind: piece.kind });
    });
  }
  return lines;
}
