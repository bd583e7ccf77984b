// Plays a session's frames a little later than they come, and what lies between them, so that the picture moves
// evenly: while the learner updates nothing is stepped, and no frame comes.

import { joined, type FiguresFrame, type FiguresPart } from "../live/frames";
import { noteDropped } from "../live/stats";

/** Pictures a second for those who ask for less motion: each is shown as it comes. */
export const CALM_HZ = 5;
/** A longer time without a frame is a stop (a pause, an evaluation, a slow network): it is shown as one. */
const MAX_DELAY_MS = 250;
/** By so much of the time that passes the delay shrinks again. */
const SHRINK = 0.02;
const MAX_FRAMES = 16;

/** What is to be seen: a way between two frames. */
export interface Moment {
  before: FiguresFrame;
  frame: FiguresFrame;
  /** 0: as before, 1: as in `frame`. */
  part: number;
  /** Env steps between them, of environments whose episode goes on. */
  steps: number;
}

export class Playback {
  private readonly frames: { frame: FiguresFrame; cameAt: number; steps: number }[] = [];
  private delayMs = 0;
  private playedTo = -Infinity;

  /** Whether there is more to see than the last moment. */
  get goesOn(): boolean {
    return this.frames.length > 1;
  }

  /** `isEven`: whether to play evenly, or each frame as it comes. */
  push(part: FiguresPart, now: number, isEven: boolean): void {
    const last = this.frames.at(-1);
    const frame = joined(last?.frame, part);
    if (last !== undefined && (last.frame.n !== frame.n || last.frame.k !== frame.k)) this.frames.length = 0;
    const gapMs = last === undefined ? 0 : now - last.cameAt;
    if (!isEven) this.delayMs = 0;
    else if (gapMs <= MAX_DELAY_MS) this.delayMs = Math.max(gapMs, this.delayMs - SHRINK * gapMs);
    this.frames.push({ frame, cameAt: now, steps: last === undefined ? 0 : stepsBetween(last.frame, frame) });
    if (this.frames.length > MAX_FRAMES) this.frames.shift();
  }

  /** What is to be seen now; null before the first frame. Time that was played does not come again. */
  at(now: number): Moment | null {
    this.playedTo = Math.max(this.playedTo, now - this.delayMs);
    const passed = this.frames.findLastIndex((each) => each.cameAt <= this.playedTo);
    if (passed > 0) {
      for (let i = 1; i < passed; i++) noteDropped();
      this.frames.splice(0, passed);
    }
    const [before, next] = this.frames;
    if (before === undefined) return null;
    if (next === undefined) return { before: before.frame, frame: before.frame, part: 1, steps: 0 };
    const part = (this.playedTo - before.cameAt) / (next.cameAt - before.cameAt);
    return { before: before.frame, frame: next.frame, part: Math.min(1, Math.max(0, part)), steps: next.steps };
  }
}

/** All environments step together: the most that an episode has grown by. */
function stepsBetween(before: FiguresFrame, frame: FiguresFrame): number {
  if (before.n !== frame.n) return 0;
  let most = 0;
  for (let env = 0; env < frame.n; env++) most = Math.max(most, frame.episodeLength[env]! - before.episodeLength[env]!);
  return most;
}

/** An episode that has grown by less than this share of the steps is another one. */
const SAME_EPISODE = 0.5;

/** How far an environment is between two frames: one that was not known, or has begun anew, does not move there. */
export function partOf({ before, frame, part, steps }: Moment, env: number): number {
  if (Number.isNaN(before.rootX[env])) return 1;
  const grown = frame.episodeLength[env]! - before.episodeLength[env]!;
  // One that a slower worker steps has not grown at all, and does not move.
  return grown < 0 || (grown > 0 && grown < SAME_EPISODE * steps) ? 1 : part;
}

/** Where a figure is along the ground, metres. */
export function rootOf(moment: Moment, env: number): number {
  const part = partOf(moment, env);
  const to = moment.frame.rootX[env]!;
  return part === 1 ? to : to + (1 - part) * (moment.before.rootX[env]! - to);
}

/** When what is seen was made, Unix time in ms. */
export function timeOf({ before, frame, part }: Moment): number {
  return before.timeMs + part * (frame.timeMs - before.timeMs);
}
