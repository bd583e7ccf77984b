// How contenders of a trial do: curves while they train, marks where a round was evaluated.

import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";

import type { TrialPoint } from "../generated/messages";
import { short } from "../format";
import { bandColour } from "../grid/draw";
import { link, status } from "../live/store";
import { loadTrial, trialCurves } from "../live/trials";
import { dark } from "../ui/settings";
import { CONTROL, type Adaptation } from "./log";

const WIDTH = 300;
const HEIGHT = 110;
const LEFT = 40;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 18;

/** The control first, then as proposed: their colours are those of the grid's bands. */
export function contenders(adaptation: Adaptation): string[] {
  return [CONTROL, ...adaptation.candidates.filter((each) => each.accepted !== false).map((each) => each.name)];
}

export function colourOf(adaptation: Adaptation, name: string): string {
  const index = contenders(adaptation).indexOf(name);
  return bandColour(Math.max(0, index), dark.value);
}

type Place = readonly [x: number, y: number];

interface Drawn {
  name: string;
  line: Place[];
  dots: Place[];
}

const DASHED = "dashed: the control, which trains on under the reward in force.";

export function TrialChart({ adaptation }: { adaptation: Adaptation }) {
  const live = link.value === "live";
  useEffect(() => {
    if (live) void loadTrial(adaptation.number);
  }, [adaptation.number, live, status.value?.run_key]);
  const points = trialCurves.value.get(adaptation.number) ?? [];
  const names = contenders(adaptation);
  // What a goal's own program measures is not known of training episodes, and no number says what a person wants.
  const fitness = adaptation.measure === "task";
  const curves = names.map((name) => curveOf(points, name, fitness ? "fitness_mean" : "return_mean"));
  const trained = Math.max(0, ...curves.flat().map(([x]) => x));
  const x = (round: number) => adaptation.roundSteps[round] ?? ((round + 1) / adaptation.rounds.length) * (trained || 1);
  const marks = names.map((name) => marksOf(adaptation, name, x));
  const ticks = adaptation.rounds.map((_, i): [number, string] => [x(i), adaptation.roundSteps[i] === undefined ? `round ${i + 1}` : `${short(x(i))} steps`]);
  const soFar: [number, string][] = ticks.some(([at]) => at >= trained) ? ticks : [[trained, `${short(trained)} steps`]];
  if (fitness && trained > 0) {
    const series = names.map((name, i) => ({ name, line: curves[i]!, dots: marks[i]! }));
    return (
      <Plot adaptation={adaptation} series={series} ticks={soFar} label="Fitness of the contenders while they train">
        Fitness of the last 100 episodes in training; dots: as evaluated after each round; {DASHED}
      </Plot>
    );
  }
  return (
    <>
      <Plot adaptation={adaptation} series={names.map((name, i) => ({ name, line: marks[i]!, dots: marks[i]! }))} ticks={ticks} label="Fitness of the contenders after each round of the trial">
        Fitness after each round; {DASHED}
      </Plot>
      <Plot adaptation={adaptation} series={names.map((name, i) => ({ name, line: curves[i]!, dots: [] }))} ticks={soFar} label="Return of the contenders while they train">
        Return of the last 100 episodes in training, by the task's own reward; {DASHED}
      </Plot>
    </>
  );
}

function curveOf(points: readonly TrialPoint[], name: string, value: "fitness_mean" | "return_mean"): Place[] {
  return points.flatMap((each) => {
    const y = each[value];
    return each.contender === name && y !== null ? [[each.trial_env_steps, y] as const] : [];
  });
}

function marksOf({ rounds }: Adaptation, name: string, x: (round: number) => number): Place[] {
  return rounds.flatMap((round, i) => {
    const y = round.fitness[name];
    return y === null || y === undefined ? [] : [[x(i), y] as const];
  });
}

/** Nothing where there is nothing to draw. */
function Plot({ adaptation, series, ticks, label, children }: { adaptation: Adaptation; series: Drawn[]; ticks: [number, string][]; label: string; children: ComponentChildren }) {
  const places = series.flatMap((each) => [...each.line, ...each.dots]);
  if (places.length === 0) return null;
  const low = Math.min(...places.map(([, y]) => y));
  const high = Math.max(...places.map(([, y]) => y));
  const last = Math.max(...places.map(([x]) => x));
  const px = (x: number) => LEFT + ((WIDTH - LEFT - RIGHT) * x) / (last || 1);
  const py = (y: number) => TOP + (HEIGHT - BOTTOM - 2 * TOP) * (1 - (y - low) / (high - low || 1));
  return (
    <figure class="trial">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
        <g class="axis">
          {[...new Set([low, high])].map((value) => (
            <g key={value}>
              <line x1={LEFT} y1={py(value)} x2={WIDTH - 8} y2={py(value)} />
              <text x={LEFT - 5} y={py(value) + 4} text-anchor="end">{short(value)}</text>
            </g>
          ))}
          {ticks.map(([at, text]) => (
            <text key={at} x={px(at)} y={HEIGHT - 4} text-anchor={at >= last ? "end" : "middle"}>{text}</text>
          ))}
        </g>
        {series.map(({ name, line, dots }) => {
          const colour = colourOf(adaptation, name);
          return (
            <g key={name} data-contender={name}>
              <polyline points={line.map(([x, y]) => `${px(x)},${py(y)}`).join(" ")} fill="none" stroke={colour} stroke-width="2" stroke-dasharray={name === CONTROL ? "4 3" : undefined} />
              {/* Of a single point there is no line to be seen. */}
              {line.length === 1 && dots.length === 0 && <circle cx={px(line[0]![0])} cy={py(line[0]![1])} r="3" fill={colour} />}
              {dots.map(([x, y]) => (
                <circle key={x} cx={px(x)} cy={py(y)} r="3.5" fill={colour} />
              ))}
            </g>
          );
        })}
      </svg>
      <figcaption>{children}</figcaption>
    </figure>
  );
}
