// Draws figures on one canvas: a few large paths, whatever the number of environments.

import { OUTCOMES, type FiguresFrame } from "../live/frames";
import { ramp, type ColourRange } from "./colour";
import { fit, type Figure } from "./figure";
import { HEADING_PX, originOf, type Layout } from "./layout";
import { drawFigures } from "./limbs";
import { commonOutcome, INVALID } from "./order";

/** Colours that the page's theme decides. */
export interface Palette {
  ramp: string[];
  background: string;
  line: string;
  ground: string;
  text: string;
  accent: string;
  outcome: readonly string[];
}

export function readPalette(isDark: boolean): Palette {
  const styles = getComputedStyle(document.documentElement);
  const of = (name: string) => styles.getPropertyValue(name).trim();
  return {
    ramp: ramp(isDark),
    background: of("--canvas"),
    line: of("--raised"),
    ground: of("--ground"),
    text: of("--muted"),
    accent: of("--focus"),
    outcome: [of("--muted"), of("--bad"), of("--info"), of("--good"), of("--warn")],
  };
}

/** One band of tiles. */
export interface BandPicture {
  label: string;
  frame: FiguresFrame;
  /** Env ids in the order of tiles. */
  order: Uint32Array;
  figure: Figure;
  /** When each env's last episode was seen to end, ms; by env id. */
  endedAt: Float64Array;
  /** How most episodes ended: it is not marked. */
  common?: number;
}

export interface Mark {
  band: number;
  index: number;
}

/** Tiles smaller than this carry no marks of their own, CSS pixels. */
const MARKED_PX = 44;
const FLASH_MS = 700;
/** Ticks of the ground are a metre apart, or as many metres as this share of a tile. */
const MIN_GAP = 0.45;

/** Returns how many environments were drawn. */
export function drawGrid(
  context: CanvasRenderingContext2D,
  layout: Layout,
  bands: readonly BandPicture[],
  palette: Palette,
  range: ColourRange,
  scroll: { top: number; height: number; width: number },
  now: number,
): number {
  context.fillStyle = palette.background;
  context.fillRect(0, 0, scroll.width, scroll.height);
  let drawn = 0;
  bands.forEach((picture, band) => {
    const place = layout.bands[band];
    if (place === undefined) return;
    if (layout.bands.length > 1) drawHeading(context, picture, place.top - scroll.top, scroll.width, palette, band);
    const firstRow = Math.max(0, Math.floor((scroll.top - place.top) / layout.tileH));
    const lastRow = Math.min(place.rows - 1, Math.floor((scroll.top + scroll.height - place.top) / layout.tileH));
    const from = firstRow * layout.columns;
    const to = Math.min(picture.order.length, (lastRow + 1) * layout.columns);
    if (to <= from) return;
    const tiles = { layout, band, from, to, offset: scroll.top };
    drawGround(context, picture, tiles, palette);
    drawFlashes(context, picture, tiles, palette, now);
    drawn += drawFigures(context, picture, tiles, palette, range);
    if (layout.tileW >= MARKED_PX) drawMarks(context, picture, tiles, palette);
  });
  return drawn;
}

/** The tiles of one band that are in sight. */
export interface Tiles {
  layout: Layout;
  band: number;
  from: number;
  to: number;
  /** How far the picture is scrolled, CSS pixels. */
  offset: number;
}

function origin(tiles: Tiles, index: number): { x: number; y: number } {
  const at = originOf(tiles.layout, { band: tiles.band, index });
  at.y -= tiles.offset;
  return at;
}

function drawGround(context: CanvasRenderingContext2D, picture: BandPicture, tiles: Tiles, palette: Palette): void {
  const { tileW, tileH } = tiles.layout;
  const { groundM } = picture.figure;
  // Rectangles on whole pixels cost a fraction of what lines do.
  context.fillStyle = palette.ground;
  if (groundM === null) {
    for (let index = tiles.from; index < tiles.to; index++) {
      const { x, y } = origin(tiles, index);
      context.fillRect(Math.round(x), Math.round(y + tileH) - 1, Math.ceil(tileW), 1);
      context.fillRect(Math.round(x + tileW) - 1, Math.round(y), 1, Math.ceil(tileH));
    }
    return;
  }
  const { scale, x: left, y: up } = fit(picture.figure, tileW, tileH);
  const height = Math.min(tileH - 2, up - groundM * scale);
  const gap = scale * Math.max(1, Math.ceil((MIN_GAP * tileW) / scale));
  const tick = Math.round(Math.min(6, Math.max(2, tileH * 0.09)));
  const columns = tiles.layout.columns;
  for (let first = tiles.from; first < tiles.to; first += columns) {
    const { x, y } = origin(tiles, first);
    const ground = Math.round(y + height);
    const last = Math.min(tiles.to, first + columns);
    context.fillRect(x, ground, (last - first) * tileW, 1);
    for (let index = first; index < last; index++) {
      const root = picture.frame.rootX[picture.order[index]!]!;
      if (Number.isNaN(root)) continue;
      // Ticks stand still in the world: they pass by as the figure runs.
      const tile = x + (index - first) * tileW;
      for (let at = mod(left - root * scale, gap); at < tileW - 1; at += gap) {
        context.fillRect(Math.round(tile + at), ground + 1, 1, tick);
      }
    }
  }
}

/** An episode that has just ended lights its tile up for a moment. */
function drawFlashes(
  context: CanvasRenderingContext2D,
  picture: BandPicture,
  tiles: Tiles,
  palette: Palette,
  now: number,
): void {
  const { tileW, tileH } = tiles.layout;
  for (let index = tiles.from; index < tiles.to; index++) {
    const env = picture.order[index]!;
    const age = now - (picture.endedAt[env] ?? -Infinity);
    if (age >= FLASH_MS) continue;
    const { x, y } = origin(tiles, index);
    context.globalAlpha = 0.35 * (1 - age / FLASH_MS);
    context.fillStyle = palette.outcome[picture.frame.outcome[env] ?? 0] ?? palette.line;
    context.fillRect(x, y, tileW, tileH);
  }
  context.globalAlpha = 1;
}

function drawMarks(context: CanvasRenderingContext2D, picture: BandPicture, tiles: Tiles, palette: Palette): void {
  const { tileW } = tiles.layout;
  const size = Math.min(13, Math.max(8, tileW * 0.16));
  context.font = `${size}px system-ui, sans-serif`;
  context.textBaseline = "top";
  const numbered = tileW >= 64;
  const common = (picture.common = commonOutcome(picture.frame, picture.common ?? 0));
  for (let index = tiles.from; index < tiles.to; index++) {
    const env = picture.order[index]!;
    const { x, y } = origin(tiles, index);
    const outcome = picture.frame.outcome[env] ?? 0;
    if (outcome > 0 && (outcome !== common || outcome === INVALID)) {
      context.textAlign = "right";
      context.fillStyle = palette.outcome[outcome] ?? palette.text;
      context.fillText(OUTCOMES[outcome]?.glyph ?? "", x + tileW - 3, y + 2);
    }
    if (numbered) {
      context.textAlign = "left";
      context.fillStyle = palette.text;
      context.fillText(String(env), x + 4, y + 2);
    }
  }
}

function drawHeading(
  context: CanvasRenderingContext2D,
  picture: BandPicture,
  top: number,
  width: number,
  palette: Palette,
  band: number,
): void {
  context.fillStyle = palette.line;
  context.fillRect(0, top - HEADING_PX, width, HEADING_PX - 2);
  context.fillStyle = BAND_COLOURS[band % BAND_COLOURS.length]!;
  context.fillRect(0, top - HEADING_PX, 4, HEADING_PX - 2);
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillStyle = palette.text;
  context.fillText(picture.label, 12, top - HEADING_PX / 2 - 1);
}

/** Of branches, here and in the charts of trials. */
export const BAND_COLOURS = ["#8b97a8", "#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#b8a900"];

/** A frame around a tile: the one pointed at, the one chosen. */
export function drawMark(
  context: CanvasRenderingContext2D,
  layout: Layout,
  mark: Mark,
  scrollTop: number,
  colour: string,
  width: number,
): void {
  const { x, y } = originOf(layout, mark);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.strokeRect(x + 0.5, y - scrollTop + 0.5, layout.tileW - 1, layout.tileH - 1);
}

function mod(value: number, by: number): number {
  return ((value % by) + by) % by;
}
