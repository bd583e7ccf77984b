// How contenders of a trial fared, round by round: a small chart and the numbers.

import { short } from "../format";
import { BAND_COLOURS } from "../grid/draw";
import { CONTROL, type Adaptation } from "./log";

const WIDTH = 300;
const HEIGHT = 110;
const LEFT = 40;
const BOTTOM = 18;

/** The control first, then as proposed: their colours are those of the grid's bands. */
export function contenders(adaptation: Adaptation): string[] {
  return [CONTROL, ...adaptation.candidates.filter((each) => each.accepted !== false).map((each) => each.name)];
}

export function colourOf(adaptation: Adaptation, name: string): string {
  const index = contenders(adaptation).indexOf(name);
  return BAND_COLOURS[Math.max(0, index) % BAND_COLOURS.length]!;
}

export function TrialChart({ adaptation }: { adaptation: Adaptation }) {
  const { rounds } = adaptation;
  if (rounds.length === 0) return null;
  const values = rounds.flatMap((round) => Object.values(round.fitness)).filter((value) => value !== null);
  if (values.length === 0) return null;
  const low = Math.min(...values);
  const high = Math.max(...values);
  const span = high - low || 1;
  const x = (round: number) => LEFT + ((WIDTH - LEFT - 12) * (round + 0.5)) / rounds.length;
  const y = (value: number) => 10 + (HEIGHT - BOTTOM - 20) * (1 - (value - low) / span);
  return (
    <figure class="trial">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label="Fitness of the contenders after each round of the trial">
        <g class="axis">
          <line x1={LEFT} y1={y(low)} x2={WIDTH - 8} y2={y(low)} />
          <line x1={LEFT} y1={y(high)} x2={WIDTH - 8} y2={y(high)} />
          <text x={LEFT - 5} y={y(low) + 4} text-anchor="end">{short(low)}</text>
          {high !== low && <text x={LEFT - 5} y={y(high) + 4} text-anchor="end">{short(high)}</text>}
          {rounds.map((_, i) => (
            <text key={i} x={x(i)} y={HEIGHT - 4} text-anchor="middle">
              {adaptation.roundSteps[i] !== undefined ? `${short(adaptation.roundSteps[i])} steps` : `round ${i + 1}`}
            </text>
          ))}
        </g>
        {contenders(adaptation).map((name) => {
          const points = rounds.flatMap((round, i) => {
            const value = round.fitness[name];
            return value === null || value === undefined ? [] : [[x(i), y(value)] as const];
          });
          const colour = colourOf(adaptation, name);
          return (
            <g key={name}>
              <polyline points={points.map((each) => each.join(",")).join(" ")} fill="none" stroke={colour} stroke-width="2" stroke-dasharray={name === CONTROL ? "4 3" : undefined} />
              {points.map(([px, py], i) => (
                <circle key={i} cx={px} cy={py} r="3.5" fill={colour} />
              ))}
            </g>
          );
        })}
      </svg>
      <figcaption>
        Fitness after each round; dashed: the control, which trains on under the reward in force.
      </figcaption>
    </figure>
  );
}
