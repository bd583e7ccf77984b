// A contender's clip: an episode's figures, decoded once, and drawn one at a time as the grid draws a large tile.

import type { Clip, Clips } from "../generated/messages";
import { ColourRange } from "../grid/colour";
import { drawGround, type BandPicture, type Palette, type Sheet } from "../grid/draw";
import { figureOf, type Figure } from "../grid/figure";
import { drawFigures } from "../grid/limbs";
import { rootOf, type Moment } from "../grid/playback";
import { inkOf, Raster } from "../grid/raster";
import type { FiguresFrame } from "../live/frames";

const MAX_PIXEL_RATIO = 2;
const ONE = Uint32Array.of(0);
const NEVER = Float64Array.of(-Infinity);
const RANGE = new ColourRange();

export interface Reel {
  name: string;
  /** Which episode of how many. */
  episode: string;
  /** How long the episode was, s; null where it went on beyond the clip. */
  endedAfterS: number | null;
  /** From frame to frame. */
  frameS: number;
  /** From the first frame to the last. */
  lengthS: number;
  /** Whether the robot can go somewhere. */
  goes: boolean;
  figure: Figure;
  frames: FiguresFrame[];
}

/** What can be drawn of the clips of a trial. */
export function reelsOf({ figure, clips }: Clips): Reel[] {
  if (figure === null) return [];
  return Object.entries(clips).flatMap(([name, clip]) => {
    const frames = framesOf(clip, figure.k, figure.scale_m);
    if (frames.length === 0) return [];
    const lengthS = (frames.length - 1) * clip.frame_s;
    return {
      name,
      episode: clip.episode,
      endedAfterS: clip.episode_s < lengthS + 2 * clip.frame_s ? clip.episode_s : null,
      frameS: clip.frame_s,
      lengthS,
      goes: frames.some((frame) => frame.rootX[0] !== 0),
      figure: whole(figureOf(figure)),
      frames,
    };
  });
}

/** A figure that no pose of it leaves its tile: what is at the edge of one would be bent there. */
function whole(figure: Figure): Figure {
  const [left, bottom, right, top] = figure.view;
  const more = figure.fill - 1;
  const beside = (more * (right - left)) / 2;
  return { ...figure, view: [left - beside, bottom, right + beside, top + more * (top - bottom)] };
}

function framesOf(clip: Clip, k: number, scaleM: number): FiguresFrame[] {
  const rootX = new Float32Array(bytesOf(clip.root_x));
  const points = new Int16Array(bytesOf(clip.points));
  if (points.length !== rootX.length * k * 2) return [];
  return Array.from(rootX, (_, at) => ({
    kind: "figures",
    seq: at,
    timeMs: 0,
    session: 0,
    n: 1,
    k,
    scaleM,
    rootX: rootX.subarray(at, at + 1),
    episodeReturn: new Float32Array(1),
    episodeLength: Uint32Array.of(at),
    points: points.subarray(at * k * 2, (at + 1) * k * 2),
    outcome: new Uint8Array(1),
  }));
}

function bytesOf(base64: string): ArrayBuffer {
  return Uint8Array.from(atob(base64), (each) => each.charCodeAt(0)).buffer;
}

/** What is to be seen so long after the clip's begin; after its end, its end. */
export function momentAt({ frames, frameS }: Reel, timeS: number): Moment {
  const at = Math.min(Math.max(0, timeS / frameS), frames.length - 1);
  const next = Math.min(Math.floor(at) + 1, frames.length - 1);
  const before = frames[Math.floor(at)]!;
  return { before, frame: frames[next]!, part: next === Math.floor(at) ? 1 : at - Math.floor(at), steps: 1 };
}

/** How far the robot has come by then, m. */
export function wayAt(reel: Reel, timeS: number): number {
  return rootOf(momentAt(reel, timeS), 0) - reel.frames[0]!.rootX[0]!;
}

/** Draws reels on a canvas, which is as large as the page makes it. */
export class Screen {
  private readonly sheet: Sheet;
  private width = 0;
  private height = 0;

  constructor(private readonly canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d", { alpha: false });
    if (context === null) throw new Error("this browser draws no canvas");
    this.sheet = { context, raster: new Raster(1, 1), ratio: 1 };
  }

  fit(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = Math.min(MAX_PIXEL_RATIO, window.devicePixelRatio || 1);
    const raster = new Raster(Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio)));
    this.canvas.width = raster.width;
    this.canvas.height = raster.height;
    this.sheet.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    Object.assign(this.sheet, { raster, ratio });
    Object.assign(this, { width, height });
  }

  /** `colour`: the contender's, #rrggbb; one whose episode is over stands there in the colour of text. */
  draw(reel: Reel, timeS: number, palette: Palette, colour: string): void {
    const moment = momentAt(reel, timeS);
    const isOver = reel.endedAfterS !== null && timeS > reel.lengthS;
    const ink = isOver ? palette.text : inkOf(colour);
    const own: Palette = { ...palette, ramp: palette.ramp.map(() => ink) };
    const picture: BandPicture = {
      label: "", moment, frame: moment.frame, order: ONE, figure: reel.figure, endedAt: NEVER,
    };
    const band = { session: 0, count: 1, top: 0, rows: 1 };
    const layout = { columns: 1, tileW: this.width, tileH: this.height, bands: [band], height: this.height };
    const tiles = { layout, band: 0, from: 0, to: 1, offset: 0 };
    this.sheet.raster.clear(own.background);
    drawGround(this.sheet, picture, tiles, own);
    this.sheet.context.putImageData(this.sheet.raster.image, 0, 0);
    drawFigures(this.sheet, picture, tiles, own, RANGE);
  }
}
