// Which environments are shown, in which order.

import type { FiguresFrame } from "../live/frames";

export const SORTS = [
  ["id", "by number"],
  ["best", "best first"],
  ["worst", "worst first"],
  ["newest", "newest episode first"],
  ["oldest", "longest episode first"],
] as const;
export type Sort = (typeof SORTS)[number][0];

export const FILTERS = [
  ["all", "all"],
  ["best", "best tenth"],
  ["worst", "worst tenth"],
  ["newest", "began just now"],
  ["terminated", "terminated before"],
  ["truncated", "truncated before"],
  ["success", "succeeded before"],
  ["invalid", "invalid before"],
] as const;
export type Filter = (typeof FILTERS)[number][0];

/** Env steps within which an episode is new. */
const NEW_STEPS = 50;
const OUTCOME: Partial<Record<Filter, number>> = { terminated: 1, truncated: 2, success: 3, invalid: 4 };

/** Env ids of the frame that pass the filter, in order. */
export function ordered(frame: FiguresFrame, sort: Sort, filter: Filter): Uint32Array {
  let ids = Uint32Array.from({ length: frame.n }, (_, i) => i);
  const { episodeReturn, episodeLength, outcome } = frame;
  const byReturn = (a: number, b: number) => episodeReturn[b]! - episodeReturn[a]! || a - b;
  const wanted = OUTCOME[filter];
  if (wanted !== undefined) ids = ids.filter((id) => outcome[id] === wanted);
  else if (filter === "newest") ids = ids.filter((id) => episodeLength[id]! < NEW_STEPS);
  else if (filter !== "all") {
    const count = Math.max(1, Math.round(frame.n / 10));
    ids.sort(filter === "best" ? byReturn : (a, b) => byReturn(b, a));
    ids = ids.slice(0, count).sort();
  }
  switch (sort) {
    case "id":
      return ids;
    case "best":
      return ids.sort(byReturn);
    case "worst":
      return ids.sort((a, b) => byReturn(b, a));
    case "newest":
      return ids.sort((a, b) => episodeLength[a]! - episodeLength[b]! || a - b);
    case "oldest":
      return ids.sort((a, b) => episodeLength[b]! - episodeLength[a]! || a - b);
  }
}

/** An outcome that is a fault, however many there are. */
export const INVALID = 4;
/** Share of the environments by which another outcome has to be ahead to be the common one. */
const CLEARLY = 0.1;

/**
 * How most of the last episodes ended, 0 before any did: what says nothing of one environment. Where
 * two are about as frequent it stays what it was, so that marks do not come and go.
 */
export function commonOutcome(frame: FiguresFrame, before: number): number {
  const counts = countOutcomes([frame]);
  counts[0] = 0;
  const most = counts.indexOf(Math.max(...counts));
  const clearly = counts[most]! - counts[before]! > CLEARLY * frame.n;
  if (counts[most] === 0) return 0;
  return before === 0 || clearly ? most : before;
}

/** How many environments' last episodes ended in each way; index as in OUTCOMES. */
export function countOutcomes(frames: Iterable<FiguresFrame>): number[] {
  const counts = [0, 0, 0, 0, 0];
  for (const frame of frames) {
    for (const outcome of frame.outcome) counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
  return counts;
}
