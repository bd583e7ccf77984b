// Metric points in memory: columns per branch, thinned when they are many.

import type { BranchSeries, MetricPoint } from "../generated/messages";

/** Points of one branch; beyond it every second one of the older half is given up. */
const MAX_POINTS = 4000;

export interface Columns {
  envSteps: number[];
  timeS: number[];
  values: Map<string, (number | null)[]>;
}

export class SeriesStore {
  /** Number of the newest point known. */
  last = 0;
  /** The branch that is trained: that of the newest point. Another task is another branch. */
  branch = 0;
  private readonly branches = new Map<number, Columns>();

  clear(): void {
    this.last = 0;
    this.branch = 0;
    this.branches.clear();
  }

  /** Points of the branch that is trained. */
  get columns(): Columns | undefined {
    return this.branches.get(this.branch);
  }

  /** Names of what the newest point of the branch that is trained has. */
  get newest(): string[] {
    return [...(this.columns?.values ?? [])].filter(([, column]) => (column.at(-1) ?? null) !== null).map(([name]) => name);
  }

  load(series: readonly BranchSeries[], last: number): void {
    const known = this.last;
    let newest = known;
    for (const each of series) {
      if ((each.number.at(-1) ?? 0) > newest) {
        newest = each.number.at(-1)!;
        this.branch = each.branch;
      }
      for (let i = 0; i < each.number.length; i++) {
        if (each.number[i]! <= known) continue;
        const values: Record<string, number> = {};
        for (const [name, column] of Object.entries(each.values)) {
          const value = column[i];
          if (typeof value === "number") values[name] = value;
        }
        this.append(each.branch, each.env_steps[i]!, each.time_unix_s[i]!, values);
      }
    }
    this.last = Math.max(this.last, last);
  }

  add(points: readonly MetricPoint[]): void {
    for (const point of points) {
      if (point.number <= this.last) continue;
      this.last = point.number;
      this.branch = point.branch;
      this.append(point.branch, point.env_steps, point.time_unix_s, point.values);
    }
  }

  private append(branch: number, envSteps: number, timeS: number, values: Record<string, number>): void {
    let columns = this.branches.get(branch);
    if (columns === undefined) {
      columns = { envSteps: [], timeS: [], values: new Map() };
      this.branches.set(branch, columns);
    }
    // A run that resumes from a checkpoint goes back: what came after it is replaced.
    while (columns.envSteps.length > 0 && columns.envSteps.at(-1)! >= envSteps) popRow(columns);
    for (const name of Object.keys(values)) {
      if (!columns.values.has(name)) columns.values.set(name, columns.envSteps.map(() => null));
    }
    columns.envSteps.push(envSteps);
    columns.timeS.push(timeS);
    for (const [name, column] of columns.values) column.push(values[name] ?? null);
    if (columns.envSteps.length > MAX_POINTS) thin(columns);
  }
}

function popRow(columns: Columns): void {
  columns.envSteps.pop();
  columns.timeS.pop();
  for (const column of columns.values.values()) column.pop();
}

function thin(columns: Columns): void {
  const half = MAX_POINTS / 2;
  const keep = (_: unknown, i: number) => i >= half || i % 2 === 0;
  columns.envSteps = columns.envSteps.filter(keep);
  columns.timeS = columns.timeS.filter(keep);
  for (const [name, column] of columns.values) columns.values.set(name, column.filter(keep));
}
