// The moving picture: plays frames, keeps order and layout, and draws where there is something new to see.

// It draws by a timer on a canvas that was taken out of the page: a browser shows such a canvas by itself, where it
// would go through the whole page for an animation frame. Without a GPU that costs as much as drawing does.

import { effect } from "@preact/signals";

import type { Scene } from "../generated/messages";
import { get } from "../live/api";
import type { FiguresPart } from "../live/frames";
import { noteDrawn } from "../live/stats";
import { socket } from "../live/store";
import { dark, filter, flashes, reducedMotion, sort } from "../ui/settings";
import { ColourRange } from "./colour";
import { drawGrid, drawMark, FLASH_MS, readPalette, type Context, type Mark, type Palette } from "./draw";
import { layOut, originOf, tileAt, type Layout } from "./layout";
import { countOutcomes } from "./order";
import { CALM_HZ, Playback, timeOf, type Moment } from "./playback";
import { Raster } from "./raster";
import { Shown } from "./shown";

/** A scene that is not there yet is asked for again after this. */
const RETRY_MS = 1000;
const SUMMARY_MS = 500;
/** Order and colours are looked at this often. */
const LOOK_MS = 1000;
const MAX_PIXEL_RATIO = 2;
/** Between two pictures at least: marks follow the pointer so soon. */
const DRAW_MS = 33;

const NOTHING: Layout = layOut([], 1, 1, 1, 1);

export interface EnvKey {
  session: number;
  envId: number;
}

/** What a tile says when it is pointed at. */
export interface EnvGlance extends EnvKey {
  episodeReturn: number;
  episodeLength: number;
  outcome: number;
}

export interface Summary {
  envs: number;
  /** Those that the filter lets pass. */
  shown: number;
  counts: number[];
  low: number;
  high: number;
}

export class Picture {
  zoom = 1;
  onSummary: (summary: Summary) => void = () => {};
  onHeight: (height: number) => void = () => {};
  hovered: EnvKey | null = null;
  chosen: EnvKey | null = null;

  private readonly shown = new Map<number, Shown>();
  private readonly playbacks = new Map<number, Playback>();
  private readonly scenes = new Map<string, Scene | null>();
  private sessions: { session: number; task: string; label: string }[] = [];
  private range = new ColourRange();
  private palette: Palette;
  private layout: Layout = NOTHING;
  private size = { width: 1, height: 1 };
  private scrollTop = 0;
  private ratio = 1;
  private dirty = true;
  private isEven = false;
  private intervalMs = DRAW_MS;
  private timer = 0;
  private dueAt = 0;
  private lookedAt = -Infinity;
  private raster = new Raster(1, 1);
  private readonly summaries: number;
  private readonly context: Context;
  private readonly stopTheme: () => void;

  constructor(canvas: HTMLCanvasElement) {
    // An old browser draws on the page's own.
    const target = "transferControlToOffscreen" in canvas ? canvas.transferControlToOffscreen() : canvas;
    const context = target.getContext("2d", { alpha: false }) as Context | null;
    if (context === null) throw new Error("this browser draws no canvas");
    this.context = context;
    this.palette = readPalette(dark.value);
    this.stopTheme = effect(() => {
      this.palette = readPalette(dark.value);
      // These change what is shown at once, not at the next look: in a pause none comes.
      void [sort.value, filter.value];
      for (const each of this.shown.values()) each.sort(sort.value, filter.value);
      this.relayout();
      this.summarise();
    });
    socket.onFigures = (part) => this.hear(part);
    this.summaries = window.setInterval(() => this.summarise(), SUMMARY_MS);
  }

  stop(): void {
    socket.onFigures = () => {};
    window.clearTimeout(this.timer);
    this.sessions = [];
    window.clearInterval(this.summaries);
    this.stopTheme();
  }

  show(sessions: { session: number; task: string; label: string }[]): void {
    this.sessions = sessions;
    for (const [session, picture] of [...this.shown]) {
      const still = sessions.find((each) => each.session === session);
      if (still === undefined) this.shown.delete(session);
      else picture.label = still.label;
    }
    // Returns of another task are of another size.
    if (this.shown.size === 0) this.range = new ColourRange();
    for (const session of [...this.playbacks.keys()]) {
      if (!sessions.some((each) => each.session === session)) this.playbacks.delete(session);
    }
    // Every trial opens sessions: what was shown is not kept.
    const wanted = sessions.map((each) => sceneKey(each.session, each.task));
    for (const key of [...this.scenes.keys()]) if (!wanted.includes(key)) this.scenes.delete(key);
    for (const each of sessions) void this.loadScene(each.session, each.task);
    this.relayout();
  }

  resize(width: number, height: number): void {
    this.size = { width, height };
    this.ratio = Math.min(MAX_PIXEL_RATIO, window.devicePixelRatio || 1);
    this.raster = new Raster(Math.max(1, Math.round(width * this.ratio)), Math.max(1, Math.round(height * this.ratio)));
    this.context.canvas.width = this.raster.width;
    this.context.canvas.height = this.raster.height;
    this.context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.relayout();
  }

  /** So many frames a second are asked for, and so many pictures drawn of what lies between them. */
  setRate(maxHz: number): void {
    this.isEven = maxHz > CALM_HZ;
    this.intervalMs = this.isEven ? 1000 / maxHz : DRAW_MS;
  }

  scroll(top: number): void {
    this.scrollTop = top;
    this.redraw();
  }

  setZoom(zoom: number): void {
    this.zoom = zoom;
    this.relayout();
  }

  redraw(): void {
    this.dirty = true;
    this.wake();
  }

  /** The environment at x, y of the canvas. */
  at(x: number, y: number): EnvKey | null {
    const place = tileAt(this.layout, x, y + this.scrollTop);
    if (place === null) return null;
    const picture = this.bands()[place.band];
    const envId = picture?.order[place.index];
    return picture === undefined || envId === undefined ? null : { session: picture.session, envId };
  }

  glance(key: EnvKey): EnvGlance | null {
    const frame = this.shown.get(key.session)?.frame;
    if (frame === undefined || key.envId >= frame.n) return null;
    return {
      ...key,
      episodeReturn: frame.episodeReturn[key.envId]!,
      episodeLength: frame.episodeLength[key.envId]!,
      outcome: frame.outcome[key.envId]!,
    };
  }

  /** The neighbour of `key`, dx tiles to the right and dy rows down; the first one for null. */
  neighbour(key: EnvKey | null, dx: number, dy: number): EnvKey | null {
    const bands = this.bands();
    const flat = bands.flatMap((picture) => [...picture.order].map((envId) => ({ session: picture.session, envId })));
    const at = key === null ? -1 : flat.findIndex((each) => same(each, key));
    if (at < 0) return flat[0] ?? null;
    const to = Math.min(flat.length - 1, Math.max(0, at + dx + dy * this.layout.columns));
    return flat[to] ?? null;
  }

  /** Top and bottom of an environment's tile in the whole picture. */
  extentOf(key: EnvKey): { left: number; top: number; bottom: number } | null {
    const mark = this.markOf(key);
    if (mark === null) return null;
    const { x, y } = originOf(this.layout, mark);
    return { left: x, top: y, bottom: y + this.layout.tileH };
  }

  private bands(): Shown[] {
    return this.sessions.map((each) => this.shown.get(each.session)).filter((each) => each !== undefined);
  }

  private markOf(key: EnvKey): Mark | null {
    const bands = this.bands();
    const band = bands.findIndex((each) => each.session === key.session);
    const index = bands[band]?.order.indexOf(key.envId) ?? -1;
    return index < 0 ? null : { band, index };
  }

  private relayout(): void {
    const counts = this.bands().map((each) => ({ session: each.session, count: each.order.length }));
    this.layout = layOut(counts, this.size.width, this.size.height, this.zoom, this.bands()[0]?.figure.aspect ?? 1);
    this.onHeight(this.layout.height);
    this.redraw();
  }

  private wake(): void {
    if (this.timer === 0) this.timer = window.setTimeout(this.tick, Math.max(0, this.dueAt - performance.now()));
  }

  private hear(part: FiguresPart): void {
    const playback = this.playbacks.get(part.session) ?? new Playback();
    this.playbacks.set(part.session, playback);
    playback.push(part, performance.now(), this.isEven);
    this.wake();
  }

  private async loadScene(session: number, task: string): Promise<void> {
    const key = sceneKey(session, task);
    if (this.scenes.has(key)) return;
    this.scenes.set(key, null);
    try {
      const scene = await get<Scene>(`sessions/${session}/scene`);
      // Meanwhile another may be shown.
      if (this.scenes.has(key)) this.scenes.set(key, scene);
      this.wake();
    } catch {
      // The session may not be placed yet: ask again when it is shown again.
      this.scenes.delete(key);
      window.setTimeout(() => {
        if (this.sessions.some((each) => each.session === session)) void this.loadScene(session, task);
      }, RETRY_MS);
    }
  }

  private readonly tick = (): void => {
    this.timer = 0;
    const now = performance.now();
    this.dueAt = Math.max(this.dueAt + this.intervalMs, now);
    let newest: Moment | null = null;
    for (const { session, task, label } of this.sessions) {
      const playback = this.playbacks.get(session);
      const moment = playback?.at(now) ?? null;
      const scene = this.scenes.get(sceneKey(session, task));
      if (playback === undefined || moment === null || !scene) continue;
      // A frame of another model than the scene's: the task is changing.
      if (moment.frame.k !== scene.k) {
        this.scenes.delete(sceneKey(session, task));
        void this.loadScene(session, task);
        this.playbacks.delete(session);
        continue;
      }
      if (this.take(moment, scene, label, now)) newest = moment;
      if (playback.goesOn) this.wake();
    }
    if (now - this.lookedAt > LOOK_MS) this.look(now);
    if (newest !== null || this.dirty) {
      this.draw(newest, now);
      this.dirty = false;
    }
    // In a pause no frame comes to let a flash fade.
    if (this.bands().some((each) => now - each.lastEndedAt < FLASH_MS)) this.redraw();
    socket.acknowledge();
  };

  /** Returns whether there is something new to see. */
  private take(moment: Moment, scene: Scene, label: string, now: number): boolean {
    const { frame } = moment;
    const known = this.shown.get(frame.session);
    const picture = known?.fits(frame) ? known : new Shown(frame.session, label, scene, moment);
    if (picture === known && picture.isAt(moment)) return false;
    if (flashes.value && !reducedMotion.value) picture.noteEnds(moment, now);
    picture.moment = moment;
    this.shown.set(frame.session, picture);
    if (picture !== known) {
      this.layout = NOTHING;
      this.lookedAt = -Infinity;
    }
    return true;
  }

  /** Sorts anew, and lets colours follow the returns. */
  private look(now: number): void {
    this.lookedAt = now;
    const bands = this.bands();
    if (bands.length === 0) return;
    this.range.follow(Float32Array.from(bands.flatMap((each) => [...each.frame.episodeReturn])));
    for (const each of bands) each.sort(sort.value, filter.value);
    const counts = bands.map((each) => each.order.length);
    const laidOut = this.layout.bands.map((each) => each.count);
    if (counts.length !== laidOut.length || counts.some((count, i) => count !== laidOut[i])) {
      this.relayout();
      this.summarise();
    }
  }

  private draw(newest: Moment | null, now: number): void {
    const scroll = { top: this.scrollTop, ...this.size };
    const sheet = { context: this.context, raster: this.raster, ratio: this.ratio };
    const drawn = drawGrid(sheet, this.layout, this.bands(), this.palette, this.range, scroll, now);
    for (const [key, colour, width] of [
      [this.hovered, this.palette.text, 1],
      [this.chosen, this.palette.accent, 2],
    ] as const) {
      const mark = key === null ? null : this.markOf(key);
      if (mark !== null) drawMark(this.context, this.layout, mark, this.scrollTop, colour, width);
    }
    if (newest !== null) noteDrawn(drawn, newest.frame.seq, timeOf(newest));
  }

  private summarise(): void {
    const bands = this.bands();
    const frames = bands.map((each) => each.frame);
    const [low, high] = this.range.ends;
    this.onSummary({
      envs: frames.reduce((sum, frame) => sum + frame.n, 0),
      shown: bands.reduce((sum, each) => sum + each.order.length, 0),
      counts: countOutcomes(frames),
      low,
      high,
    });
  }
}

function sceneKey(session: number, task: string): string {
  return `${session} ${task}`;
}

function same(a: EnvKey, b: EnvKey): boolean {
  return a.session === b.session && a.envId === b.envId;
}
