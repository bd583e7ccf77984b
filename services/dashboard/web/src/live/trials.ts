// How contenders of trials do while they train: asked for once, then told point by point.

import { signal } from "@preact/signals";

import type { TrialPoint } from "../generated/messages";
import { ApiError, get } from "./api";

/** By adaptation, in the order in which it was told. */
export const trialCurves = signal<ReadonlyMap<number, readonly TrialPoint[]>>(new Map());

/** Newest adaptations whose curves are held. */
const MAX_CURVES = 50;

/** Counts the runs that the page has been about. */
let runs = 0;

/** Another run: nothing of the one before is true of it. */
export function forgetTrials(): void {
  runs += 1;
  trialCurves.value = new Map();
}

export function addTrialPoints(points: readonly TrialPoint[]): void {
  for (const point of points) set(point.adaptation, together(trialCurves.peek().get(point.adaptation) ?? [], [point]));
}

/** Gets the curves of an adaptation's trial; what is told meanwhile goes on from there. */
export async function loadTrial(adaptation: number): Promise<void> {
  const asked = runs;
  let answer: TrialPoint[];
  try {
    answer = await get<TrialPoint[]>(`adaptations/${adaptation}/curves`);
  } catch (error) {
    // The next connection asks again.
    if (error instanceof ApiError) return;
    throw error;
  }
  if (asked !== runs) return;
  const last = answer.at(-1)?.number ?? 0;
  const newer = (trialCurves.peek().get(adaptation) ?? []).filter((each) => each.number > last);
  set(adaptation, together(answer, newer));
}

/** A point takes back what was told of its contender and is not before it: a trial may be held anew. */
function together(known: readonly TrialPoint[], points: readonly TrialPoint[]): readonly TrialPoint[] {
  return points.reduce((kept, point) => {
    const stays = (each: TrialPoint) => each.contender !== point.contender || each.trial_env_steps < point.trial_env_steps;
    return [...kept.filter(stays), point];
  }, known);
}

function set(adaptation: number, points: readonly TrialPoint[]): void {
  const all = new Map(trialCurves.peek()).set(adaptation, points);
  if (all.size > MAX_CURVES) all.delete(Math.min(...all.keys()));
  trialCurves.value = all;
}
