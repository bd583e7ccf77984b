// Colours of the return: ramps whose lightness grows (dark page) or falls (light page) steadily, so
// that they read without telling hues apart.

type Rgb = readonly [number, number, number];

/** Lines drawn in one call share a colour; so many colours are enough for the eye. */
export const BUCKETS = 24;

const ON_DARK: readonly Rgb[] = [[104, 115, 232], [58, 147, 208], [34, 179, 160], [122, 209, 81], [253, 231, 37]];
const ON_LIGHT: readonly Rgb[] = [[106, 150, 40], [31, 132, 116], [38, 104, 142], [58, 72, 138], [68, 1, 84]];

export function ramp(dark: boolean): string[] {
  const stops = dark ? ON_DARK : ON_LIGHT;
  return Array.from({ length: BUCKETS }, (_, i) => {
    const at = (i / (BUCKETS - 1)) * (stops.length - 1);
    const left = Math.min(Math.floor(at), stops.length - 2);
    const part = at - left;
    const mix = (channel: 0 | 1 | 2) =>
      Math.round(stops[left]![channel] * (1 - part) + stops[left + 1]![channel] * part);
    return `rgb(${mix(0)} ${mix(1)} ${mix(2)})`;
  });
}

/** Of the way to where the range should be, taken at each look (once a second): calm, and within an episode's growth. */
const PACE = 0.3;

/** Share of the range, or of the largest end there was, that nobody sees. */
const NOTHING = 0.005;

/** Range of values that the ramp spans; follows the data calmly. */
export class ColourRange {
  low = 0;
  high = 1;
  private known = false;
  /** Of the ends so far, the one farthest from 0. */
  private size = 0;

  /** Moves towards the 5th and 95th percentile of `values`. */
  follow(values: Float32Array): void {
    const finite = values.filter((value) => Number.isFinite(value)).sort();
    if (finite.length === 0) return;
    const low = finite[Math.floor(0.05 * (finite.length - 1))]!;
    const high = finite[Math.ceil(0.95 * (finite.length - 1))]!;
    const pace = this.known ? PACE : 1;
    this.size = Math.max(this.size, Math.abs(low), Math.abs(high));
    this.low = this.towards(this.low, low, pace);
    this.high = this.towards(this.high, high, pace);
    this.known = true;
  }

  /** The ends as people are told of them: what is nothing beside the range is 0. */
  get ends(): [number, number] {
    const least = NOTHING * (this.high - this.low);
    return [this.low, this.high].map((end) => (Math.abs(end) < least ? 0 : end)) as [number, number];
  }

  /** What is left of the way is gone at once where nobody sees it: it would never end. */
  private towards(from: number, to: number, pace: number): number {
    const next = from + pace * (to - from);
    return Math.abs(to - next) < NOTHING * this.size ? to : next;
  }

  bucket(value: number): number {
    const span = this.high - this.low;
    if (!(span > 0)) return BUCKETS >> 1;
    const at = Math.floor(((value - this.low) / span) * BUCKETS);
    return Math.min(BUCKETS - 1, Math.max(0, at));
  }
}
