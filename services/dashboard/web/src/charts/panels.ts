// Which charts there are, and which metrics they show.

export interface Line {
  /** Name of the metric; "eval:" ones come from evaluations. */
  metric: string;
  label: string;
  /** CSS variable of its colour. */
  colour: string;
}

export interface ChartSpec {
  id: string;
  title: string;
  unit: string;
  lines: Line[];
  /** The first chart shows the spread of its returns. */
  spread?: boolean;
  /** It has points once episodes have ended. */
  ofEpisodes?: boolean;
  /** Shown beneath it. */
  foot?: "time split";
}

const EVALUATION = "eval:";

/** Whether a line has one point for each evaluation, instead of one for each update. */
export const isEvaluation = (line: Line): boolean => line.metric.startsWith(EVALUATION);

/** What an evaluation calls the metric of such a line. */
export const nameInEvaluation = (line: Line): string => line.metric.slice(EVALUATION.length);

const first = "--line-1";
const second = "--line-2";
const third = "--line-3";

export const CHARTS: readonly ChartSpec[] = [
  {
    id: "return",
    title: "Return",
    unit: "of the task's reward, band: ± std",
    lines: [
      { metric: "return_mean", label: "last 100 episodes", colour: first },
      { metric: "eval:return_mean", label: "evaluation", colour: second },
    ],
    spread: true,
    ofEpisodes: true,
  },
  { id: "fitness", title: "Fitness", unit: "", ofEpisodes: true, lines: [
    { metric: "fitness_mean", label: "training", colour: first },
    { metric: "eval:fitness_mean", label: "evaluation", colour: second },
  ] },
  { id: "reward", title: "Reward learned from", unit: "per step", lines: [{ metric: "reward_mean", label: "mean", colour: first }] },
  { id: "length", title: "Episode length", unit: "steps", ofEpisodes: true, lines: [{ metric: "length_mean", label: "mean", colour: first }] },
  { id: "speed", title: "Steps per second", unit: "env steps/s", lines: [{ metric: "steps_per_s", label: "training", colour: first }], foot: "time split" },
  { id: "reward-return", title: "Return by the reward learned from", unit: "", ofEpisodes: true, lines: [
    { metric: "reward_return_mean", label: "training", colour: first },
    { metric: "eval:reward_return_mean", label: "evaluation", colour: second },
  ] },
  { id: "improvement", title: "Improvement", unit: "of the return, per M steps", lines: [
    { metric: "improvement_per_million", label: "slope", colour: first },
    { metric: "improvement_low_per_million", label: "≥", colour: second },
    { metric: "improvement_high_per_million", label: "≤", colour: third },
  ] },
  { id: "loss", title: "Losses", unit: "", lines: [
    { metric: "value_loss", label: "value", colour: first },
    { metric: "policy_loss", label: "policy", colour: second },
  ] },
  { id: "entropy", title: "Entropy and KL", unit: "nats", lines: [
    { metric: "entropy_nats", label: "entropy", colour: first },
    { metric: "kl_nats", label: "KL", colour: second },
  ] },
  { id: "explained", title: "Explained variance", unit: "share", lines: [
    { metric: "explained_variance", label: "explained", colour: first },
    { metric: "clip_fraction", label: "clipped", colour: second },
  ] },
  { id: "time", title: "Time of an update", unit: "s", lines: [
    { metric: "physics_s", label: "physics", colour: first },
    { metric: "inference_s", label: "policy", colour: second },
    { metric: "update_s", label: "learning", colour: third },
  ] },
];

const COMPONENT = "component:";
const colours = [first, second, third, "--line-4", "--line-5", "--line-6"];

/** The chart of the reward's components, whose names are those of the newest point. */
export function componentChart(metrics: readonly string[]): ChartSpec | null {
  const names = metrics.filter((name) => name.startsWith(COMPONENT)).sort();
  if (names.length === 0) return null;
  const lines = names.map((metric, i) => ({ metric, label: metric.slice(COMPONENT.length), colour: colours[i % colours.length]! }));
  return { id: "components", title: "Shares of the reward's components", unit: "", lines };
}

/** All metrics that the charts are made of; a name that ends in * stands for all that begin so. */
export const METRICS: readonly string[] = [
  "return_std",
  `${COMPONENT}*`,
  ...CHARTS.flatMap((spec) => spec.lines.filter((line) => !isEvaluation(line)).map((line) => line.metric)),
];
