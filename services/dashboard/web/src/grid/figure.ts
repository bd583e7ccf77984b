// How a session's figures are fitted into tiles: chains of bones and the metres a tile shows.

import type { Scene } from "../generated/messages";
import type { FiguresFrame } from "../live/frames";

/** Figures looked at to find out how large figures are. */
const SAMPLE = 96;
/** Share by which the view follows the figures, per look. */
const PACE = 0.15;

/** Joins bones [a, b], [b, c] to lines [a, b, c]: fewer calls to draw. */
export function chainsOf(bones: readonly (readonly number[])[]): number[][] {
  const chains: number[][] = [];
  for (const [a, b] of bones) {
    if (a === undefined || b === undefined) continue;
    const open = chains.at(-1);
    if (open !== undefined && open.at(-1) === a) open.push(b);
    else chains.push([a, b]);
  }
  return chains;
}

/** What a tile shows of the plane, metres relative to the figure's root. */
export class View {
  left = -1;
  right = 1;
  bottom = -0.2;
  top = 1;
  private known = false;

  /** Follows the figures: calmly, and not for the sake of a few that fly off. */
  follow(frame: FiguresFrame, plane: Scene["plane"]): void {
    const { n, k, points, scaleM, rootX } = frame;
    const step = Math.max(1, Math.floor(n / SAMPLE));
    const lefts: number[] = [];
    const rights: number[] = [];
    const bottoms: number[] = [];
    const tops: number[] = [];
    for (let env = 0; env < n; env += step) {
      if (Number.isNaN(rootX[env])) continue;
      let left = Infinity, right = -Infinity, bottom = Infinity, top = -Infinity;
      for (let i = env * k * 2; i < (env + 1) * k * 2; i += 2) {
        left = Math.min(left, points[i]!);
        right = Math.max(right, points[i]!);
        bottom = Math.min(bottom, points[i + 1]!);
        top = Math.max(top, points[i + 1]!);
      }
      lefts.push(left);
      rights.push(right);
      bottoms.push(bottom);
      tops.push(top);
    }
    if (lefts.length === 0) return;
    const high = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(0.94 * (values.length - 1))]! * scaleM;
    const low = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(0.06 * (values.length - 1))]! * scaleM;
    const ground = plane === "xz";
    const target = {
      left: low(lefts),
      right: high(rights),
      bottom: ground ? Math.min(0, low(bottoms)) : low(bottoms),
      top: high(tops),
    };
    // The figure's root stays in the middle, whichever way it stretches.
    const half = Math.max(Math.abs(target.left), Math.abs(target.right), 0.05) * 1.1;
    const pace = this.known ? PACE : 1;
    this.left += pace * (-half - this.left);
    this.right += pace * (half - this.right);
    this.bottom += pace * (target.bottom - this.bottom);
    this.top += pace * (Math.max(target.top, target.bottom + 0.05) - this.top);
    this.known = true;
  }

  /** Pixels per metre that fit the view into a tile. */
  scale(tileW: number, tileH: number): number {
    return Math.min((0.9 * tileW) / (this.right - this.left), (0.8 * tileH) / (this.top - this.bottom));
  }
}
