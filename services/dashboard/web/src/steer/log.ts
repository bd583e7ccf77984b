// Reads the adaptation log (adaptations.jsonl) into turns of the loop that people can follow.

import { mean, numberOf, short, whole } from "../format";
import type { AnswerRow, DecisionRow, GoalRow, LogRow, RoundRow, RoundsTold, TriggerRow, TriggerTold, VerdictRow, Waiting } from "../generated/messages";

/** Values of a row, whose kind tells what they are. Rows that earlier versions wrote may lack some. */
function valuesOf<T>(row: LogRow): Partial<T> {
  return row.values as Partial<T>;
}

export interface Candidate {
  name: string;
  source: string;
  origin: string;
  hypothesis: string;
  /** null: not at the gate yet. */
  accepted: boolean | null;
  /** Why the gate refused it. */
  refusal: string;
  programId: string | null;
}

/** Fitness of contenders at the end of a round of a trial. */
export interface TrialRound {
  round: number;
  /** Mean fitness by contender, the control included; null: it failed. Where a person judges only those that failed. */
  fitness: Record<string, number | null>;
  stay: string[];
}

export interface Adaptation {
  number: number;
  /** When it began. */
  envSteps: number;
  trigger: string;
  evidence: string;
  diagnosis: string;
  candidates: Candidate[];
  rounds: TrialRound[];
  decision: string;
  winner: string | null;
  promoted: boolean;
  /** Fitness gained over the control, and its lower confidence bound. */
  gain: number | null;
  gainLow: number | null;
  /** Of that fitness, as it was measured then; empty where it is not known or has none. */
  unit: string;
  /** Steps of env_steps that each round's contenders had trained by then. */
  roundSteps: number[];
  outcome: "running" | "adopted" | "kept" | "rolled back" | "waiting" | "answered" | "replaced" | "failed";
  /** Of the reward it brought into force. */
  rewardId: string | null;
  /** The candidate whose reward that is. */
  chosen: string | null;
  note: string;
  /** Who decided last; empty where the rows do not tell. */
  by: By | "";
  /** How the goal at its time is measured: by the task's fitness, a program of its own, or not at all. */
  measure: Measure;
  /**
   * Id of the reward in force when it began. Null where no row tells: as long as none was adopted, it is today's;
   * empty where it was the own one of a task that is trained no more.
   */
  rewardBefore: string | null;
}

export type Measure = "task" | "program" | "none";

/** Who decides what a row tells of, in words. */
export const DECIDERS = {
  person: { text: "by a person", title: "A person's command, or yes or no" },
  trial: { text: "by its trial", title: "It surely gained fitness over the control" },
  guard: { text: "by a guard", title: "Guards watch for lost fitness, and for signs that learning breaks" },
  curriculum: { text: "by the curriculum", title: "What is mastered is made harder, what is too hard easier" },
  author: { text: "by its author", title: "Whoever was asked for it has written it so" },
  run: { text: "by the run itself", title: "What measured the goal could not be used any more" },
} as const;

export type By = keyof typeof DECIDERS;

/** Something a person or a guard did beside the loop, or the run warns of. */
export interface Step {
  n: number;
  envSteps: number;
  what: "goal" | "task" | "adopted" | "rolled back" | "put back" | "environment" | "warning";
  title: string;
  detail: string;
  rewardId: string | null;
  /** Who decided it; empty where the row does not tell. */
  by: By | "";
}

export interface History {
  adaptations: Adaptation[];
  steps: Step[];
}

export const CONTROL = "control";

/** The learner's id of the task's own reward. */
export const TASKS_OWN = "task";

/** What people call rewards, by id. */
export type Names = ReadonlyMap<string, string>;

/**
 * What the rows tell; rows that a later life of the run went back behind are left out. A yes to an
 * environment leaves no row of its own: what does not wait any more, as the learner's status has it, was
 * answered. What waits beneath a later question has given way to that one. `names` are of rewards
 * that no row of a candidate names.
 */
export function historyOf(rows: readonly LogRow[], pending: number | null, names: Names): History {
  const found = new Map<number, Adaptation>();
  const steps: Step[] = [];
  let trigger: TriggerTold | null = null;
  let measure: Measure = "task";
  let goalUnit = "";
  let inForce: string | null = null;
  for (const row of standing(rows)) {
    const change = changeOf(row);
    if (change !== null) {
      // What was in force until now is told by its end.
      if (inForce === null) for (const each of found.values()) each.rewardBefore ??= change.before;
      inForce = change.after;
    }
    if (row.kind === "goal") {
      measure = (valuesOf<GoalRow>(row).kind ?? "task") as Measure;
      goalUnit = valuesOf<GoalRow>(row).unit ?? "";
      if (valuesOf<GoalRow>(row).task) {
        inForce = null;
        for (const each of found.values()) if ((each.rewardBefore ?? TASKS_OWN) === TASKS_OWN) each.rewardBefore = "";
      }
      settle(found.values(), valuesOf<GoalRow>(row).description ?? "");
    }
    if (row.kind === "trigger") {
      trigger = valuesOf<TriggerRow>(row).trigger ?? null;
      continue;
    }
    const step = stepOf(row, found, names);
    if (step !== null) {
      steps.push(step);
      if (step.what === "rolled back") takeBack(found, row);
      continue;
    }
    if (row.adaptation === 0) continue;
    let adaptation = found.get(row.adaptation);
    if (adaptation === undefined) {
      adaptation = begin(row, trigger, measure, inForce);
      trigger = null;
      found.set(row.adaptation, adaptation);
    }
    fill(adaptation, row, measure === "none", goalUnit);
  }
  for (const adaptation of found.values()) {
    if (adaptation.outcome !== "waiting" || adaptation.number === pending) continue;
    adaptation.outcome = pending !== null && adaptation.number < pending ? "replaced" : "answered";
  }
  return { adaptations: [...found.values()].sort((a, b) => a.number - b.number), steps };
}

/** A goal that is set answers the question for it; whatever else waits is void. */
function settle(adaptations: Iterable<Adaptation>, goal: string): void {
  for (const adaptation of adaptations) {
    if (adaptation.outcome !== "waiting") continue;
    adaptation.outcome = adaptation.decision.startsWith(`"${goal}" `) ? "answered" : "replaced";
  }
}

/** A row, and those that held when it came. */
interface Held {
  row: LogRow;
  before: Held | null;
}

/** A row "resumed" brings back what held when there were `position` rows. */
function standing(rows: readonly LogRow[]): LogRow[] {
  let held: Held | null = null;
  const heldAt: (Held | null)[] = [held];
  for (const row of rows) {
    if (row.kind === "resumed") {
      const then: Held | null | undefined = heldAt[numberOf(row.values["position"]) ?? 0];
      if (then !== undefined) held = then;
    } else held = { row, before: held };
    heldAt.push(held);
  }
  const found: LogRow[] = [];
  for (let each = held; each !== null; each = each.before) found.push(each.row);
  return found.reverse();
}

function stepOf(row: LogRow, found: ReadonlyMap<number, Adaptation>, names: Names): Step | null {
  const { n, env_steps: envSteps, values } = row;
  const rewardId = text(values["reward_id"]);
  const by = deciderOf(row);
  if (row.kind === "goal") {
    const { description, fitness_description: detail = "", task } = valuesOf<GoalRow>(row);
    // A goal has words; without them, the run goes on for the own purpose of another task.
    if (!description) return { n, envSteps, what: "task", title: task ?? "Another task", detail, rewardId: null, by };
    return { n, envSteps, what: "goal", title: description, detail, rewardId: null, by };
  }
  const why = text(values["why"]) ?? "";
  if (row.kind === "rolled_back" || row.kind === "failed") {
    const title = `${nameOf(text(values["undone"]), found, names)} ${row.kind === "failed" ? "failed" : "is taken back"}`;
    return { n, envSteps, what: "rolled back", title, detail: why, rewardId, by };
  }
  if (row.kind === "restored") {
    const title = `The policy of ${short(numberOf(values["peak_env_steps"]))} steps is put back`;
    return { n, envSteps, what: "put back", title, detail: why, rewardId: null, by };
  }
  if (row.kind === "knobs" || row.kind === "tasks") {
    return { n, envSteps, what: "environment", title: environmentIn(values), detail: why, rewardId: null, by };
  }
  if (row.kind === "adopted" && !isOutcome(row, found.get(row.adaptation))) {
    return { n, envSteps, what: "adopted", title: `${nameOf(rewardId, found, names)} is adopted`, detail: why, rewardId, by };
  }
  return null;
}

/** Which reward a row puts into force, and which was until then. */
function changeOf({ kind, values }: LogRow): { before: string | null; after: string | null } | null {
  if (kind !== "adopted" && kind !== "rolled_back" && kind !== "failed") return null;
  return { before: text(values[kind === "adopted" ? "before" : "undone"]), after: text(values["reward_id"]) };
}

/** Whether an adoption is what came of a turn of the loop: a person may adopt beside it, under its number. */
function isOutcome(row: LogRow, adaptation: Adaptation | undefined): boolean {
  if (adaptation === undefined) return false;
  const { outcome, promoted, candidates } = adaptation;
  const known = candidates.filter((each) => each.programId !== null);
  const ofIt = known.length === 0 || known.some((each) => each.programId === row.values["reward_id"]);
  return ofIt && (outcome === "waiting" || (outcome === "kept" && promoted));
}

/** What people call a reward: the candidate it was, else as it is known otherwise. */
function nameOf(rewardId: string | null, found: ReadonlyMap<number, Adaptation>, names: Names): string {
  if (rewardId === null) return "";
  for (const { number, candidates } of found.values()) {
    const candidate = candidates.find((each) => each.programId === rewardId);
    if (candidate !== undefined) return `${candidate.name} (#${number})`;
  }
  return names.get(rewardId) ?? rewardId;
}

/** What the environments are from a row on: their difficulty, ranges of their physics, or their tasks. */
function environmentIn(values: Record<string, unknown>): string {
  const others = values["others"] as Record<string, number> | undefined;
  if (others !== undefined) {
    const given = Object.entries(others).map(([task, count]) => `${whole(count)} of ${task}`);
    return given.length > 0 ? `Some have another task: ${given.join(", ")}` : "All have the run's own task again";
  }
  const difficulty = numberOf(values["difficulty"]);
  if (difficulty !== null) return `Difficulty ${short(difficulty)}`;
  const ranges = Object.entries((values["ranges"] ?? {}) as Record<string, [number, number]>);
  return ranges.map(([name, [low, high]]) => `${name} ${short(low)} to ${short(high)}`).join(", ");
}

function takeBack(found: Map<number, Adaptation>, row: LogRow): void {
  const undone = row.values["undone"];
  for (const adaptation of found.values()) {
    if (adaptation.outcome === "adopted" && adaptation.rewardId === undone) {
      adaptation.outcome = "rolled back";
      adaptation.note = text(row.values["why"]) ?? "";
      adaptation.by = deciderOf(row);
    }
  }
}

function begin(row: LogRow, trigger: TriggerTold | null, measure: Measure, rewardBefore: string | null): Adaptation {
  const feedback = row.kind === "question" ? (row.values["feedback"] as Record<string, unknown>) : {};
  // A change of the environment that success asks for has no trigger of its own.
  const otherwise = row.values["what"] === "environment" ? "environment" : "manual";
  return {
    number: row.adaptation,
    envSteps: row.env_steps,
    trigger: trigger?.kind ?? text(feedback["trigger"]) ?? otherwise,
    evidence: trigger?.sentence ?? text(feedback["evidence"]) ?? "",
    diagnosis: "",
    candidates: [],
    rounds: [],
    decision: "",
    winner: null,
    promoted: false,
    gain: null,
    gainLow: null,
    unit: "",
    roundSteps: [],
    outcome: "running",
    rewardId: null,
    chosen: null,
    note: "",
    by: "",
    measure,
    rewardBefore,
  };
}

/** Steps of each round's end, as the settings of a trial have them. */
function roundSteps(settings: RoundsTold | undefined): number[] {
  let steps = 0;
  return (settings?.round_env_steps ?? []).map((each) => (steps += each));
}

function fill(adaptation: Adaptation, row: LogRow, byPerson: boolean, goalUnit: string): void {
  const values = row.values;
  switch (row.kind) {
    case "answer": {
      const { diagnosis = "", reason, candidates = [] } = valuesOf<AnswerRow>(row);
      adaptation.diagnosis = diagnosis;
      if (reason) adaptation.decision = reason;
      adaptation.candidates = candidates.map(({ name, source, origin, hypothesis = "" }) => ({
        name,
        source,
        origin,
        hypothesis,
        accepted: null,
        refusal: "",
        programId: null,
      }));
      if (candidates.length === 0) adaptation.outcome = "failed";
      break;
    }
    case "verdict": {
      const { name, accepted = false, reason = "", program_id: programId = null } = valuesOf<VerdictRow>(row);
      const candidate = adaptation.candidates.find((each) => each.name === name);
      if (candidate !== undefined) {
        candidate.accepted = accepted;
        candidate.refusal = accepted ? "" : reason;
        candidate.programId = programId;
      }
      if (adaptation.candidates.length > 0 && adaptation.candidates.every((each) => each.accepted === false)) {
        adaptation.outcome = "failed";
        adaptation.decision = "No candidate passed the gate.";
      }
      break;
    }
    case "round": {
      const { round = adaptation.rounds.length + 1, results = {}, stay = [], settings } = valuesOf<RoundRow>(row);
      const fitness: Record<string, number | null> = {};
      for (const [name, point] of Object.entries(results)) {
        // The number that is there is the task's: not what is wished for.
        if (point !== null && byPerson) continue;
        fitness[name] = point === null ? null : mean(point.fitness);
      }
      adaptation.outcome = "running";
      adaptation.decision = "";
      adaptation.roundSteps = roundSteps(settings);
      adaptation.rounds.push({ round, fitness, stay });
      break;
    }
    case "decision": {
      const { decision, settings, unit } = valuesOf<DecisionRow>(row);
      adaptation.decision = decision?.sentence ?? "";
      adaptation.winner = decision?.winner ?? null;
      adaptation.promoted = decision?.promote === true;
      adaptation.gain = numberOf(decision?.gain_mean);
      adaptation.gainLow = numberOf(decision?.gain_low);
      adaptation.unit = unit ?? goalUnit;
      adaptation.outcome = "kept";
      adaptation.roundSteps = roundSteps(settings);
      break;
    }
    case "waiting":
      adaptation.outcome = "waiting";
      adaptation.decision = valuesOf<Waiting>(row).sentence ?? adaptation.decision;
      break;
    case "rejected":
      adaptation.outcome = "answered";
      adaptation.note = text(values["why"]) ?? "";
      adaptation.by = deciderOf(row);
      break;
    case "kept":
      adaptation.outcome = "kept";
      adaptation.decision = text(values["why"]) ?? "";
      break;
    case "adopted":
      adaptation.outcome = "adopted";
      adaptation.rewardId = text(values["reward_id"]);
      adaptation.chosen = adaptation.candidates.find((each) => each.programId === adaptation.rewardId)?.name ?? adaptation.winner;
      adaptation.note = text(values["why"]) ?? "";
      adaptation.by = deciderOf(row);
      break;
  }
}

function deciderOf(row: LogRow): By | "" {
  const by = text(row.values["by"]) ?? "";
  return by in DECIDERS ? (by as By) : "";
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
