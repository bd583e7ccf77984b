// Draws figures: lines in small tiles, limbs of their thickness in large ones; a path for each colour.

import { BUCKETS, type ColourRange } from "./colour";
import type { BandPicture, Palette, Tiles } from "./draw";
import { fit, type Fit, type Limbs } from "./figure";
import { originOf } from "./layout";

/** Of a bone, as a share of its tile. */
const MAX_THICKNESS = 0.6;
/** Tiles by colour. Kept: frames come thirty times a second. */
const buckets: number[][] = Array.from({ length: BUCKETS }, () => []);
/** Where the points of one figure are on the canvas, x and y of each. */
let placed = new Float32Array(0);

/** Returns how many environments were drawn. */
export function drawFigures(
  context: CanvasRenderingContext2D,
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
  const thin = at.limbs === figure.thin;
  buckets.forEach((indexes, bucket) => {
    if (indexes.length === 0) return;
    context.strokeStyle = context.fillStyle = palette.ramp[bucket]!;
    for (const limbs of at.limbs) {
      if (thin) drawLines(context, picture, tiles, indexes, limbs, at);
      else drawLimbs(context, picture, tiles, indexes, limbs, at);
    }
  });
  return drawn;
}

/**
 * Lines as wide as suits a tile, each of several that are one device pixel wide and lie side by side: without
 * a GPU a browser fills wider ones as polygons, which takes five times as long.
 */
function drawLines(
  context: CanvasRenderingContext2D,
  picture: BandPicture,
  tiles: Tiles,
  indexes: readonly number[],
  { pairs }: Limbs,
  at: Fit,
): void {
  const pixel = 1 / context.getTransform().a;
  const width = Math.max(1, Math.round((tiles.layout.tileW * 0.075) / pixel));
  const first = ((1 - width) / 2) * pixel;
  context.lineWidth = pixel;
  context.lineCap = "butt";
  context.beginPath();
  for (const index of indexes) {
    place(picture, tiles, index, at, 1);
    for (let i = 0; i < pairs.length; i += 2) {
      const a = 2 * pairs[i]!;
      const b = 2 * pairs[i + 1]!;
      // A bone of one point is a square.
      const half = a === b ? (width / 2) * pixel : 0;
      const ax = placed[a]! - half;
      const ay = placed[a + 1]!;
      const bx = placed[b]! + half;
      const by = placed[b + 1]!;
      const flat = Math.abs(bx - ax) > Math.abs(by - ay);
      for (let line = 0; line < width; line++) {
        const aside = first + line * pixel;
        const x = flat ? 0 : aside;
        const y = flat ? aside : 0;
        context.moveTo(ax + x, ay + y);
        context.lineTo(bx + x, by + y);
      }
    }
  }
  context.stroke();
}

function drawLimbs(
  context: CanvasRenderingContext2D,
  picture: BandPicture,
  tiles: Tiles,
  indexes: readonly number[],
  { pairs, radiusM }: Limbs,
  at: Fit,
): void {
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
function place({ frame, order }: BandPicture, tiles: Tiles, index: number, at: Fit, margin: number): void {
  const { layout, band, offset } = tiles;
  const { x, y } = originOf(layout, { band, index });
  const top = y - offset;
  const right = x + layout.tileW - margin;
  const bottom = top + layout.tileH - margin;
  const unit = frame.scaleM * at.scale;
  const first = order[index]! * frame.k * 2;
  for (let i = 0; i < 2 * frame.k; i += 2) {
    placed[i] = clamp(x + at.x + frame.points[first + i]! * unit, x + margin, right);
    placed[i + 1] = clamp(top + at.y - frame.points[first + i + 1]! * unit, top + margin, bottom);
  }
}

function clamp(value: number, low: number, high: number): number {
  return value < low ? low : value > high ? high : value;
}
