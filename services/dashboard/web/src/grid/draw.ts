// Draws all environments on one canvas: ground, flashes and small figures as pixels, then what a canvas does better:
// text, and the thick limbs of large figures.

import { OUTCOMES, type FiguresFrame } from "../live/frames";
import { ramp, type ColourRange } from "./colour";
import { fit, isSmall, type Figure } from "./figure";
import { HEADING_PX, originOf, type Layout } from "./layout";
import { drawFigures } from "./limbs";
import { commonOutcome, INVALID } from "./order";
import { rootOf, type Moment } from "./playback";
import { inkOf, type Ink, type Raster } from "./raster";

export type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

/** Colours that the page's theme decides. */
export interface Palette {
  isDark: boolean;
  ramp: Ink[];
  background: Ink;
  line: Ink;
  ground: Ink;
  text: Ink;
  accent: Ink;
  outcome: readonly Ink[];
}

export function readPalette(isDark: boolean): Palette {
  const styles = getComputedStyle(document.documentElement);
  const of = (name: string) => inkOf(styles.getPropertyValue(name).trim());
  return {
    isDark,
    ramp: ramp(isDark).map(inkOf),
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
  moment: Moment;
  /** The moment's. */
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
export const FLASH_MS = 700;
/** Ticks of the ground are a metre apart, or as many metres as this share of a tile. */
const MIN_GAP = 0.45;

/** What a picture is drawn on. */
export interface Sheet {
  /** In CSS pixels. */
  context: Context;
  /** In device pixels; as large as the canvas. */
  raster: Raster;
  /** Device pixels in one CSS pixel. */
  ratio: number;
}

/** Returns how many environments were drawn. */
export function drawGrid(
  sheet: Sheet,
  layout: Layout,
  bands: readonly BandPicture[],
  palette: Palette,
  range: ColourRange,
  scroll: { top: number; height: number; width: number },
  now: number,
): number {
  const { context, raster } = sheet;
  const shown = bands.flatMap((picture, band) => {
    const tiles = tilesInSight(layout, band, picture.order.length, scroll);
    return tiles === null ? [] : [{ picture, tiles }];
  });
  raster.clear(palette.background);
  for (const { picture, tiles } of shown) {
    drawGround(sheet, picture, tiles, palette);
    drawFlashes(sheet, picture, tiles, palette, now);
  }
  let drawn = 0;
  const figures = () => {
    for (const { picture, tiles } of shown) drawn += drawFigures(sheet, picture, tiles, palette, range);
  };
  const areSmall = isSmall(layout.tileW);
  if (areSmall) figures();
  context.putImageData(raster.image, 0, 0);
  if (!areSmall) figures();
  for (const { picture, tiles } of shown) {
    if (layout.bands.length > 1) drawHeading(context, picture, tiles, scroll.width, palette);
    if (layout.tileW >= MARKED_PX) drawMarks(context, picture, tiles, palette);
  }
  return drawn;
}

function tilesInSight(layout: Layout, band: number, count: number, scroll: { top: number; height: number }): Tiles | null {
  const place = layout.bands[band];
  if (place === undefined) return null;
  const firstRow = Math.max(0, Math.floor((scroll.top - place.top) / layout.tileH));
  const lastRow = Math.min(place.rows - 1, Math.floor((scroll.top + scroll.height - place.top) / layout.tileH));
  const from = firstRow * layout.columns;
  const to = Math.min(count, (lastRow + 1) * layout.columns);
  return { layout, band, from, to: Math.max(from, to), offset: scroll.top };
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

export function drawGround({ raster, ratio }: Sheet, picture: BandPicture, tiles: Tiles, palette: Palette): void {
  const { tileW, tileH } = tiles.layout;
  const { groundM } = picture.figure;
  const pixel = 1 / ratio;
  const fill = (x: number, y: number, width: number, height: number) =>
    raster.fill(x * ratio, y * ratio, width * ratio, height * ratio, palette.ground);
  if (groundM === null) {
    for (let index = tiles.from; index < tiles.to; index++) {
      const { x, y } = origin(tiles, index);
      fill(x, y + tileH - pixel, tileW, pixel);
      fill(x + tileW - pixel, y, pixel, tileH);
    }
    return;
  }
  const { scale, x: left, y: up } = fit(picture.figure, tileW, tileH);
  const height = Math.min(tileH - 2, up - groundM * scale);
  const gap = scale * Math.max(1, Math.ceil((MIN_GAP * tileW) / scale));
  const tick = Math.min(6, Math.max(2, tileH * 0.09));
  const columns = tiles.layout.columns;
  for (let first = tiles.from; first < tiles.to; first += columns) {
    const { x, y } = origin(tiles, first);
    const ground = y + height;
    const last = Math.min(tiles.to, first + columns);
    fill(x, ground, (last - first) * tileW, 1);
    for (let index = first; index < last; index++) {
      const root = rootOf(picture.moment, picture.order[index]!);
      if (Number.isNaN(root)) continue;
      // Ticks stand still in the world: they pass by as the figure runs.
      const tile = x + (index - first) * tileW;
      for (let at = mod(left - root * scale, gap); at < tileW - 1; at += gap) fill(tile + at, ground + 1, 1, tick);
    }
  }
}

/** An episode that has just ended lights its tile up for a moment. */
function drawFlashes({ raster, ratio }: Sheet, picture: BandPicture, tiles: Tiles, palette: Palette, now: number): void {
  const { tileW, tileH } = tiles.layout;
  for (let index = tiles.from; index < tiles.to; index++) {
    const env = picture.order[index]!;
    const age = now - (picture.endedAt[env] ?? -Infinity);
    if (age >= FLASH_MS) continue;
    const { x, y } = origin(tiles, index);
    const ink = palette.outcome[picture.frame.outcome[env] ?? 0] ?? palette.line;
    raster.fill(x * ratio, y * ratio, tileW * ratio, tileH * ratio, ink, 0.35 * (1 - age / FLASH_MS));
  }
}

function drawMarks(context: Context, picture: BandPicture, tiles: Tiles, palette: Palette): void {
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
      context.fillStyle = (palette.outcome[outcome] ?? palette.text).css;
      context.fillText(OUTCOMES[outcome]?.glyph ?? "", x + tileW - 3, y + 2);
    }
    if (numbered) {
      context.textAlign = "left";
      // Around it as the background: a figure may be behind.
      context.strokeStyle = palette.background.css;
      context.lineWidth = 4;
      context.lineJoin = "round";
      context.strokeText(String(env), x + 4, y + 2);
      context.fillStyle = palette.text.css;
      context.fillText(String(env), x + 4, y + 2);
    }
  }
}

function drawHeading(context: Context, picture: BandPicture, tiles: Tiles, width: number, palette: Palette): void {
  const { band } = tiles;
  const top = tiles.layout.bands[band]!.top - tiles.offset;
  context.fillStyle = palette.line.css;
  context.fillRect(0, top - HEADING_PX, width, HEADING_PX - 2);
  context.fillStyle = bandColour(band, palette.isDark);
  context.fillRect(0, top - HEADING_PX, 4, HEADING_PX - 2);
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillStyle = palette.text.css;
  context.fillText(picture.label, 12, top - HEADING_PX / 2 - 1);
}

/** The same hues on both grounds, darker on the light one: lines and dots need a contrast of 3. */
const DARK_BANDS = ["#8b97a8", "#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#b8a900"];
const LIGHT_BANDS = ["#66738a", "#b87a00", "#2b8cc9", "#00805d", "#b3568a", "#b84a00", "#005a94", "#6e6700"];

/** Of branches, here and in the charts of trials. */
export function bandColour(band: number, isDark: boolean): string {
  const colours = isDark ? DARK_BANDS : LIGHT_BANDS;
  return colours[band % colours.length]!;
}

/** A frame around a tile: the one pointed at, the one chosen. */
export function drawMark(
  context: Context,
  layout: Layout,
  mark: Mark,
  scrollTop: number,
  ink: Ink,
  width: number,
): void {
  const { x, y } = originOf(layout, mark);
  context.strokeStyle = ink.css;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.strokeRect(x + 0.5, y - scrollTop + 0.5, layout.tileW - 1, layout.tileH - 1);
}

function mod(value: number, by: number): number {
  return ((value % by) + by) % by;
}
