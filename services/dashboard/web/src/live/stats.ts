// What the page measures of itself; `window.__websim.stats()` tells it to tests and curious people.

/** Frames drawn in the last second are counted as the frame rate. */
const WINDOW_MS = 1000;

export interface Stats {
  drawnEnvs: number;
  fps: number;
  /** Pictures drawn so far that differ from the one before. */
  pictures: number;
  /** Of the newest binary frame drawn. */
  seq: number;
  /** From the service's making of what is drawn to its drawing. */
  frameAgeMs: number;
  /** Frames that are neither drawn nor on the way between two that are. */
  dropped: number;
  jsErrors: number;
}

const drawnAt: number[] = [];
const current: Stats = { drawnEnvs: 0, fps: 0, pictures: 0, seq: 0, frameAgeMs: 0, dropped: 0, jsErrors: 0 };

export function noteDrawn(envs: number, seq: number, timeMs: number): void {
  const now = performance.now();
  drawnAt.push(now);
  while (drawnAt.length > 0 && drawnAt[0]! < now - WINDOW_MS) drawnAt.shift();
  current.drawnEnvs = envs;
  current.pictures += 1;
  current.seq = seq;
  current.frameAgeMs = Math.max(0, Date.now() - timeMs);
}

export function noteDropped(): void {
  current.dropped += 1;
}

export function stats(): Stats {
  const now = performance.now();
  return { ...current, fps: drawnAt.filter((at) => at >= now - WINDOW_MS).length };
}

export function measureErrors(): void {
  const count = () => {
    current.jsErrors += 1;
  };
  window.addEventListener("error", count);
  window.addEventListener("unhandledrejection", count);
}

declare global {
  interface Window {
    __websim: { stats: () => Stats };
  }
}
