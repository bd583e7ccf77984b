// The moving picture: takes frames out of the inbox, keeps order and layout, draws on animation frames,
// and asks for one only when there is something new: a browser composes the page anew for each.

import { effect } from "@preact/signals";

import type { Scene } from "../generated/messages";
import { get } from "../live/api";
import type { FiguresFrame } from "../live/frames";
import { noteDrawn } from "../live/stats";
import { socket } from "../live/store";
import { dark, filter, flashes, reducedMotion, sort } from "../ui/settings";
import { ColourRange } from "./colour";
import { drawGrid, drawMark, readPalette, type BandPicture, type Mark, type Palette } from "./draw";
import { figureOf } from "./figure";
import { layOut, originOf, tileAt, type Layout } from "./layout";
import { countOutcomes, ordered } from "./order";

/** Order and range are looked at this often. */
const LOOK_MS = 1000;
const SUMMARY_MS = 500;
const MAX_PIXEL_RATIO = 2;

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

interface Shown extends BandPicture {
  session: number;
  lookedAt: number;
  lastLength: Uint32Array;
}

export interface Summary {
  envs: number;
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
  private readonly scenes = new Map<string, Scene | null>();
  private sessions: { session: number; task: string; label: string }[] = [];
  private readonly range = new ColourRange();
  private palette: Palette;
  private layout: Layout = layOut([], 1, 1, 1, 1);
  private size = { width: 1, height: 1 };
  private scrollTop = 0;
  private dirty = true;
  private animation = 0;
  private readonly summaries: number;
  private readonly canvas: HTMLCanvasElement;
  private readonly context: CanvasRenderingContext2D;
  private readonly stopTheme: () => void;

  constructor(canvas: HTMLCanvasElement) {
    this.canvas = canvas;
    const context = canvas.getContext("2d", { alpha: false });
    if (context === null) throw new Error("this browser draws no canvas");
    this.context = context;
    this.palette = readPalette(dark.value);
    this.stopTheme = effect(() => {
      this.palette = readPalette(dark.value);
      // These change what is shown at once, not at the next look: in a pause none comes.
      void [sort.value, filter.value];
      for (const each of this.shown.values()) each.order = ordered(each.frame, sort.value, filter.value);
      this.relayout();
    });
    socket.onFigures = () => this.wake();
    this.summaries = window.setInterval(() => this.summarise(), SUMMARY_MS);
  }

  stop(): void {
    socket.onFigures = () => {};
    cancelAnimationFrame(this.animation);
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
    // Every trial opens sessions: what was shown is not kept.
    const wanted = sessions.map((each) => sceneKey(each.session, each.task));
    for (const key of [...this.scenes.keys()]) if (!wanted.includes(key)) this.scenes.delete(key);
    for (const each of sessions) void this.loadScene(each.session, each.task);
    this.relayout();
  }

  resize(width: number, height: number): void {
    this.size = { width, height };
    const ratio = Math.min(MAX_PIXEL_RATIO, window.devicePixelRatio || 1);
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.max(1, Math.round(height * ratio));
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.relayout();
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
    if (this.animation === 0) this.animation = requestAnimationFrame(this.tick);
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
      }, LOOK_MS);
    }
  }

  private readonly tick = (): void => {
    this.animation = 0;
    const now = performance.now();
    let newest: FiguresFrame | null = null;
    for (const { session, task, label } of this.sessions) {
      const frame = socket.inbox.figures.get(session);
      const scene = this.scenes.get(sceneKey(session, task));
      if (frame === undefined || !scene) continue;
      // A frame of another model than the scene's: the task is changing.
      if (frame.k !== scene.k) {
        this.scenes.delete(sceneKey(session, task));
        void this.loadScene(session, task);
        socket.inbox.figures.delete(session);
        continue;
      }
      socket.inbox.figures.delete(session);
      this.take(frame, scene, label, now);
      newest = frame;
    }
    if (newest !== null || this.dirty) {
      this.draw(newest, now);
      this.dirty = false;
    }
    if (newest !== null) socket.acknowledge();
  };

  private take(frame: FiguresFrame, scene: Scene, label: string, now: number): void {
    let picture = this.shown.get(frame.session);
    const fresh = picture === undefined || picture.frame.n !== frame.n || picture.frame.k !== frame.k;
    if (picture === undefined || fresh) {
      picture = {
        session: frame.session,
        label,
        frame,
        order: new Uint32Array(),
        figure: figureOf(scene),
        endedAt: new Float64Array(frame.n).fill(-Infinity),
        lastLength: frame.episodeLength,
        lookedAt: -Infinity,
      };
      this.shown.set(frame.session, picture);
    }
    if (flashes.value && !reducedMotion.value) noteEnds(picture, frame, now);
    picture.lastLength = frame.episodeLength;
    picture.frame = frame;
    if (now - picture.lookedAt > LOOK_MS) {
      picture.lookedAt = now;
      this.range.follow(frame.episodeReturn);
      const before = picture.order.length;
      picture.order = ordered(frame, sort.value, filter.value);
      if (fresh || before !== picture.order.length) this.relayout();
      if (fresh) this.summarise();
    }
  }

  private draw(newest: FiguresFrame | null, now: number): void {
    const scroll = { top: this.scrollTop, ...this.size };
    const bands = this.bands();
    const drawn = drawGrid(this.context, this.layout, bands, this.palette, this.range, scroll, now);
    for (const [key, colour, width] of [
      [this.hovered, this.palette.text, 1],
      [this.chosen, this.palette.accent, 2],
    ] as const) {
      const mark = key === null ? null : this.markOf(key);
      if (mark !== null) drawMark(this.context, this.layout, mark, this.scrollTop, colour, width);
    }
    if (newest !== null) noteDrawn(drawn, newest.seq, newest.timeMs);
  }

  private summarise(): void {
    const bands = this.bands();
    const frames = bands.map((each) => each.frame);
    this.onSummary({
      envs: frames.reduce((sum, frame) => sum + frame.n, 0),
      counts: countOutcomes(frames),
      low: this.range.low,
      high: this.range.high,
    });
  }
}

function noteEnds(picture: Shown, frame: FiguresFrame, now: number): void {
  const { lastLength, endedAt } = picture;
  for (let env = 0; env < frame.n; env++) {
    if (frame.episodeLength[env]! < (lastLength[env] ?? 0)) endedAt[env] = now;
  }
}

function sceneKey(session: number, task: string): string {
  return `${session} ${task}`;
}

function same(a: EnvKey, b: EnvKey): boolean {
  return a.session === b.session && a.envId === b.envId;
}
