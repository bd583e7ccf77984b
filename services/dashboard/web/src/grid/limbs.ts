// Draws figures: lines in small tiles, limbs of their thickness in large ones.

import { BUCKETS, type ColourRange } from "./colour";
import type { BandPicture, Context, Palette, Sheet, Tiles } from "./draw";
import { fit, isSmall, type Fit, type Limbs } from "./figure";
import { originOf } from "./layout";
import { partOf } from "./playback";
import type { Ink } from "./raster";

/** Of a bone, as a share of its tile. */
const MAX_THICKNESS = 0.6;
/** Tiles by colour. Kept: frames come thirty times a second. */
const buckets: number[][] = Array.from({ length: BUCKETS }, () => []);
/** Where the points of one figure are on the canvas, x and y of each. */
let placed = new Float32Array(0);

/** Returns how many environments were drawn. */
export function drawFigures(
  sheet: Sheet,
  picture: BandPicture,
  tiles: Tiles,
  palette: Palette,
  range: ColourRange,
): number {
  const { frame, order, figure } = picture;
  const { tileW, tileH } = tiles.layout;
  const at = fit(figure, tileW, tileH);
  for (const bucket of buckets) bucket.length = 0;
  let drawn = 0;
  for (let index = tiles.from; index < tiles.to; index++) {
    const env = order[index]!;
    if (env >= frame.n || Number.isNaN(frame.rootX[env])) continue;
    buckets[range.bucket(frame.episodeReturn[env]!)]!.push(index);
    drawn += 1;
  }
  if (placed.length < 2 * frame.k) placed = new Float32Array(2 * frame.k);
  buckets.forEach((indexes, bucket) => {
    if (indexes.length === 0) return;
    const ink = palette.ramp[bucket]!;
    if (isSmall(tileW)) drawLines(sheet, picture, tiles, indexes, at, ink);
    else for (const limbs of figure.limbs) drawLimbs(sheet.context, picture, tiles, indexes, limbs, at, ink);
  });
  return drawn;
}

/** Lines as wide as suits a tile. */
function drawLines(
  { raster, ratio }: Sheet,
  picture: BandPicture,
  tiles: Tiles,
  indexes: readonly number[],
  at: Fit,
  ink: Ink,
): void {
  const { pairs } = picture.figure;
  const width = Math.max(1, Math.round(tiles.layout.tileW * 0.075 * ratio));
  for (const index of indexes) {
    place(picture, tiles, index, at, 1);
    for (let i = 0; i < pairs.length; i += 2) {
      const a = 2 * pairs[i]!;
      const b = 2 * pairs[i + 1]!;
      // A bone of one point is a square.
      const half = a === b ? (width - 1) / 2 : 0;
      raster.line(placed[a]! * ratio - half, placed[a + 1]! * ratio, placed[b]! * ratio + half, placed[b + 1]! * ratio, width, ink);
    }
  }
}

/** One path for all figures of a colour. */
function drawLimbs(
  context: Context,
  picture: BandPicture,
  tiles: Tiles,
  indexes: readonly number[],
  { pairs, radiusM }: Limbs,
  at: Fit,
  ink: Ink,
): void {
  context.strokeStyle = context.fillStyle = ink.css;
  const { tileW, tileH } = tiles.layout;
  const width = Math.min(Math.max(1.1, 2 * radiusM * at.scale), MAX_THICKNESS * Math.min(tileW, tileH));
  const radius = Math.max(1, width / 2);
  const dots: number[] = [];
  context.lineWidth = width;
  context.lineCap = "round";
  context.beginPath();
  for (const index of indexes) {
    place(picture, tiles, index, at, radius);
    for (let i = 0; i < pairs.length; i += 2) {
      const a = 2 * pairs[i]!;
      const b = 2 * pairs[i + 1]!;
      if (a === b) {
        dots.push(placed[a]!, placed[a + 1]!);
        continue;
      }
      context.moveTo(placed[a]!, placed[a + 1]!);
      context.lineTo(placed[b]!, placed[b + 1]!);
    }
  }
  context.stroke();
  if (dots.length === 0) return;
  context.beginPath();
  for (let i = 0; i < dots.length; i += 2) {
    context.moveTo(dots[i]! + radius, dots[i + 1]!);
    context.arc(dots[i]!, dots[i + 1]!, radius, 0, 2 * Math.PI);
  }
  context.fill();
}

/** Puts the points of a tile's figure into `placed`; what leaves its tile is kept so far from the edge. */
function place({ moment, order }: BandPicture, tiles: Tiles, index: number, at: Fit, margin: number): void {
  const { layout, band, offset } = tiles;
  const { x, y } = originOf(layout, { band, index });
  const top = y - offset;
  const right = x + layout.tileW - margin;
  const bottom = top + layout.tileH - margin;
  const { before, frame } = moment;
  const part = partOf(moment, order[index]!);
  const unit = part * frame.scaleM * at.scale;
  const unitBefore = (1 - part) * before.scaleM * at.scale;
  const first = order[index]! * frame.k * 2;
  for (let i = 0; i < 2 * frame.k; i += 2) {
    const across = frame.points[first + i]! * unit + before.points[first + i]! * unitBefore;
    const up = frame.points[first + i + 1]! * unit + before.points[first + i + 1]! * unitBefore;
    placed[i] = clamp(x + at.x + across, x + margin, right);
    placed[i + 1] = clamp(top + at.y - up, top + margin, bottom);
  }
}

function clamp(value: number, low: number, high: number): number {
  return value < low ? low : value > high ? high : value;
}
