// How far apart the labels of a horizontal axis are.

const STEPS = [1, 2, 2.5, 5];
/** Steps of a clock, s: beyond, those of numbers. */
export const CLOCK_STEPS: readonly number[] = [
  ...[1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map((minutes) => 60 * minutes),
  ...[1, 2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 72, 96, 144, 192, 288, 480, 720, 960, 1440, 2160].map((hours) => 3600 * hours),
];

/** Steps of whole numbers, smallest first. */
export const WHOLE_STEPS: readonly number[] = Array.from({ length: 13 }, (_, power) =>
  STEPS.map((step) => step * 10 ** power).filter(Number.isInteger),
).flat();

/**
 * Pixels between labels at least, for an axis of `length` pixels from `min` to `max`: as wished, or less where a
 * single label would be left. One tells no scale.
 */
export function spacing(min: number, max: number, length: number, wished: number, steps: readonly number[]): number {
  const labels = (step: number) => Math.floor(max / step) - Math.ceil(min / step) + 1;
  const widest = steps.findLast((step) => labels(step) >= 2);
  if (widest === undefined || !(max > min)) return wished;
  // A little less, so that this step is not lost to a rounding.
  return Math.min(wished, 0.999 * (widest / (max - min)) * length);
}
