// Plays a session's frames a little later than they come, and what lies between them, so that the picture moves
// evenly: while the learner updates nothing is stepped, and no frame comes.

import type { FiguresFrame } from "../live/frames";
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
}

export class Playback {
  private readonly frames: { frame: FiguresFrame; cameAt: number }[] = [];
  private delayMs = 0;
  private playedTo = -Infinity;

  /** Whether there is more to see than the last moment. */
  get goesOn(): boolean {
    return this.frames.length > 1;
  }

  /** `isEven`: whether to play evenly, or each frame as it comes. */
  push(frame: FiguresFrame, now: number, isEven: boolean): void {
    const last = this.frames.at(-1);
    if (last !== undefined && (last.frame.n !== frame.n || last.frame.k !== frame.k)) this.frames.length = 0;
    const gapMs = last === undefined ? 0 : now - last.cameAt;
    if (!isEven) this.delayMs = 0;
    else if (gapMs <= MAX_DELAY_MS) this.delayMs = Math.max(gapMs, this.delayMs - SHRINK * gapMs);
    this.frames.push({ frame, cameAt: now });
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
    if (next === undefined) return { before: before.frame, frame: before.frame, part: 1 };
    const part = (this.playedTo - before.cameAt) / (next.cameAt - before.cameAt);
    return { before: before.frame, frame: next.frame, part: Math.min(1, Math.max(0, part)) };
  }
}

/** How far an environment is between two frames: one that has begun anew does not move to where it begins. */
export function partOf({ before, frame, part }: Moment, env: number): number {
  return frame.episodeLength[env]! < before.episodeLength[env]! ? 1 : part;
}

/** Where a figure is along the ground, metres. */
export function rootOf(moment: Moment, env: number): number {
  const part = partOf(moment, env);
  const from = moment.before.rootX[env]!;
  const to = moment.frame.rootX[env]!;
  return Number.isNaN(from) ? to : from + part * (to - from);
}

/** When what is seen was made, Unix time in ms. */
export function timeOf({ before, frame, part }: Moment): number {
  return before.timeMs + part * (frame.timeMs - before.timeMs);
}
