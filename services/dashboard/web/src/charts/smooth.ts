// Moving averages for the charts: pure.

/** Exponential moving average that begins unbiased; gaps stay gaps. */
export function smooth(values: readonly (number | null)[], weight: number): (number | null)[] {
  if (weight <= 0) return [...values];
  let sum = 0;
  let norm = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    norm = weight * norm + (1 - weight);
    return sum / norm;
  });
}

/** Weight for `count` points such that a slider's place means the same for few and many. */
export function weightFor(slider: number, count: number): number {
  const points = 1 + slider * slider * 0.12 * count;
  return 1 - 1 / points;
}
