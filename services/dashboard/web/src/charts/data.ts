// Columns of one chart, from the series and the evaluations.

import type { TimelineEvent } from "../generated/messages";
import { numberOf } from "../format";
import type { SeriesStore } from "../live/series";
import { isEvaluation, nameInEvaluation, type ChartSpec } from "./panels";
import { smooth, weightFor } from "./smooth";

/** First column x, then one per line; a chart with spread has both its edges besides. */
export type ChartData = [number[], ...(number | null)[][]];

interface Evaluation {
  x: number;
  values: TimelineEvent["values"];
}

export function chartData(
  spec: ChartSpec,
  { columns, branch }: Pick<SeriesStore, "columns" | "branch">,
  events: readonly TimelineEvent[],
  xAxis: "steps" | "time",
  slider: number,
): ChartData {
  const xs = columns === undefined ? [] : xAxis === "steps" ? columns.envSteps : columns.timeS;
  const needsEvaluations = spec.lines.some(isEvaluation);
  const evaluations = needsEvaluations ? evaluationsOf(events, branch, xAxis) : [];
  const weight = weightFor(slider, xs.length);
  const x = merged(xs, evaluations);
  const spreadOut = (values: readonly (number | null)[]): (number | null)[] => onto(x, xs, values);
  const evaluated = (name: string): (number | null)[] =>
    onto(x, evaluations.map((each) => each.x), evaluations.map((each) => numberOf(each.values[name])));
  const lines = spec.lines.map((line) => {
    if (isEvaluation(line)) return evaluated(nameInEvaluation(line));
    return spreadOut(smooth(columns?.values.get(line.metric) ?? xs.map(() => null), weight));
  });
  if (spec.spread !== true) return [x, ...lines];
  const middle = smooth(columns?.values.get("return_mean") ?? [], weight);
  const spread = smooth(columns?.values.get("return_std") ?? [], weight);
  const edge = (sign: 1 | -1) =>
    spreadOut(xs.map((_, i) => sum(middle[i] ?? null, spread[i] ?? null, sign)));
  return [x, ...lines, edge(1), edge(-1)];
}

function sum(value: number | null, spread: number | null, sign: 1 | -1): number | null {
  return value === null || spread === null ? null : value + sign * spread;
}

function evaluationsOf(events: readonly TimelineEvent[], branch: number, xAxis: "steps" | "time"): Evaluation[] {
  const found: Evaluation[] = [];
  for (const event of events) {
    if (event.kind !== "evaluation" || (numberOf(event.values["branch"]) ?? 0) !== branch) continue;
    const x = xAxis === "steps" ? event.env_steps : event.time_unix_s;
    while (found.length > 0 && found.at(-1)!.x >= x) found.pop();
    found.push({ x, values: event.values });
  }
  return found;
}

function merged(xs: readonly number[], evaluations: readonly Evaluation[]): number[] {
  if (evaluations.length === 0) return [...xs];
  return [...new Set([...xs, ...evaluations.map((each) => each.x)])].sort((a, b) => a - b);
}

/** The fitness that training tells is the task's own: it ends where another goal begins. */
export function untilGoal([x, training = [], ...rest]: ChartData, goal: number): ChartData {
  return [x, training.map((value, i) => (x[i]! > goal ? null : value)), ...rest];
}

/** From the last point before each of some places to the first one after it: what is measured otherwise is not joined. */
export function breaks(x: ArrayLike<number>, column: ArrayLike<number | null | undefined>, places: readonly number[]): [number, number][] {
  const known = Array.from(x).filter((_, i) => typeof column[i] === "number");
  return places.flatMap((place) => {
    const after = known.findIndex((each) => each > place);
    return after > 0 ? [[known[after - 1]!, known[after]!] as [number, number]] : [];
  });
}

/** Values at `xs`, as a column over all of `x`; null between. */
function onto(x: readonly number[], xs: readonly number[], values: readonly (number | null)[]): (number | null)[] {
  if (x.length === xs.length) return [...values];
  const column: (number | null)[] = [];
  let at = 0;
  for (const each of x) {
    if (at < xs.length && xs[at] === each) column.push(values[at++] ?? null);
    else column.push(null);
  }
  return column;
}

/** The chart's columns as text for a spreadsheet. */
export function asCsv(names: readonly string[], data: ChartData): string {
  const rows = [names.map((name) => `"${name.replaceAll('"', '""')}"`).join(",")];
  for (let i = 0; i < data[0].length; i++) rows.push(data.map((column) => column[i] ?? "").join(","));
  return `${rows.join("\n")}\n`;
}
