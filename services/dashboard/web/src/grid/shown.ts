// What is shown of a session: the moment that is seen, and what is known of its environments.

import type { Scene } from "../generated/messages";
import type { FiguresFrame } from "../live/frames";
import type { BandPicture } from "./draw";
import { figureOf, type Figure } from "./figure";
import { ordered, type Filter, type Sort } from "./order";
import type { Moment } from "./playback";

export class Shown implements BandPicture {
  order: Uint32Array = new Uint32Array();
  readonly figure: Figure;
  readonly endedAt: Float64Array;
  /** When the last one was. */
  lastEndedAt = -Infinity;

  constructor(readonly session: number, public label: string, scene: Scene, public moment: Moment) {
    this.figure = figureOf(scene);
    this.endedAt = new Float64Array(moment.frame.n).fill(-Infinity);
  }

  get frame(): FiguresFrame {
    return this.moment.frame;
  }

  /** Whether its environments are as many, and have as many points, as a frame's. */
  fits({ n, k }: FiguresFrame): boolean {
    return this.frame.n === n && this.frame.k === k;
  }

  isAt({ frame, part }: Moment): boolean {
    return this.frame === frame && this.moment.part === part;
  }

  /** Notes which episodes have ended since the moment that is shown. */
  noteEnds({ frame: { n, episodeLength } }: Moment, now: number): void {
    for (let env = 0; env < n; env++) {
      if (episodeLength[env]! < this.frame.episodeLength[env]!) this.endedAt[env] = this.lastEndedAt = now;
    }
  }

  sort(sort: Sort, filter: Filter): void {
    this.order = ordered(this.frame, sort, filter);
  }}
