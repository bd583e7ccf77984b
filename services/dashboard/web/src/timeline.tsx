// The strip at the bottom: the goal, and every adaptation with trigger, evidence, decision and effect.

import { short, signed } from "./format";
import { goal, link, over, overText, status } from "./live/store";
import { PendingAnswer } from "./steer/answer";
import { chosenAdaptation, lookOf } from "./steer/candidates";
import { AdaptChoice, onlyMeasures } from "./steer/goal";
import { history, warnings } from "./steer/history";
import { checkDecisions } from "./steer/replay";
import { DECIDERS, type Adaptation, type Step } from "./steer/log";
import { rewardsTab } from "./steer/rewards";
import { drawer, lookAt } from "./ui/drawer";
import { Button, Icon, useAction } from "./ui/parts";

export function Timeline() {
  const { adaptations, steps } = history.value;
  const items = [
    ...adaptations.map((each) => ({ at: each.envSteps, order: 1, n: each.number, adaptation: each, step: null })),
    ...[...steps, ...warnings.value].map((each) => ({ at: each.envSteps, order: isGoal(each) ? 0 : 2, n: each.n, adaptation: null, step: each })),
  ].sort((a, b) => b.at - a.at || b.order - a.order || b.n - a.n);
  // Without the learner nobody knows whether there is more.
  const known = link.value !== "connecting" && status.value?.learner_error === null;
  return (
    <section class="panel timeline" aria-label="Adaptation timeline">
      <GoalCard />
      <div class="cards" tabIndex={0} role="group" aria-label="What was changed, newest first">
        {status.value?.pending && (
          <article class="card pending-card">
            <PendingAnswer onLook={lookAt} />
          </article>
        )}
        {items.map((item) =>
          item.adaptation !== null ? (
            <AdaptationCard key={`a${item.adaptation.number}`} adaptation={item.adaptation} />
          ) : (
            // Warnings are numbered otherwise than rows of the log.
            <StepCard key={`${item.step.what}${item.step.n}`} step={item.step} />
          ),
        )}
        {items.length === 0 && known && (
          <p class="empty">
            Nothing was changed so far. When learning stalls, a goal is set or you try a reward, it is told here: why, what was tried, what came of it.
          </p>
        )}
      </div>
    </section>
  );
}

/** Whether the run is for something else from a step on. */
const isGoal = ({ what }: Step) => what === "goal" || what === "task";

const MODES = [
  ["auto", "adapts by itself"],
  ["approve", "asks before it adapts"],
  ["off", "does not adapt"],
] as const;

function GoalCard() {
  const view = goal.value;
  const last = history.value.steps.findLast(isGoal);
  const told = last?.what === "goal" ? last.title : "";
  const description = status.value?.goal || String(view?.goal["description"] ?? "") || told || "the task as it is";
  const action = useAction();
  // Of another goal than the task's own purpose one expects that something is done for it.
  const idle = onlyMeasures.value && (status.value?.goal ?? "") !== "";
  const { phase, text } = action.state.value;
  const mode = MODES.find(([name]) => name === (status.value?.adapt_mode ?? "off"))?.[1];
  const now = over.value
    ? overText.value.toLowerCase().replace(".", "")
    : status.value?.adapting || (idle ? "only measured: nothing is tried for it" : status.value?.banner || mode);
  const said = phase === "idle" ? now : text;
  return (
    <div class="goal-card">
      <h2>Goal</h2>
      <p class="goal-text" title={description}>
        {description}
        {status.value?.goal_reached && <span class="chip good">✓ reached</span>}
      </p>
      <p class="muted now" role="status" title={said}>
        {said}
      </p>
      <div class="row">
        <Button onClick={() => (drawer.value = "goal")}>
          <Icon name="goal" /> {over.value ? "Show" : "Change"}
        </Button>
        {idle ? (
          <AdaptChoice run={action.run} modes={MODES} />
        ) : (
          history.value.adaptations.length > 0 && (
            <Button
              class="small"
              title="Make every decision again from the log alone, and compare"
              onClick={() => void action.run(checkDecisions, "makes every decision again")}
            >
              Check decisions
            </Button>
          )
        )}
      </div>
    </div>
  );
}

function AdaptationCard({ adaptation }: { adaptation: Adaptation }) {
  const look = lookOf(adaptation);
  const effect = adaptation.gain === null ? "" : `${signed(adaptation.gain)} ${adaptation.unit}`.trim();
  const gained = adaptation.promoted ? `Fitness gained over the control: ${effect}` : `The best one's fitness over the control's, which was not enough: ${effect}`;
  return (
    <button
      type="button"
      class={`card ${look.class}`}
      onClick={() => {
        chosenAdaptation.value = adaptation.number;
        rewardsTab.value = "candidates";
        drawer.value = "rewards";
      }}
    >
      <span class="card-head">
        <span class="muted">#{adaptation.number}</span>
        <span class={`chip ${look.class}`}>
          <span aria-hidden="true">{look.glyph}</span> {look.text}
        </span>
        <Decider of={adaptation} />
        <b class={`effect ${adaptation.promoted ? "" : "muted"}`} title={gained}>
          {effect}
        </b>
        <span class="at">{short(adaptation.envSteps)}</span>
      </span>
      <span class={`why ${adaptation.decision === "" ? "" : "brief"}`}>
        {adaptation.trigger}
        {adaptation.evidence !== "" && `: ${adaptation.evidence}`}
      </span>
      <span class="what">
        {adaptation.chosen !== null && (
          <>
            <b>{adaptation.chosen}</b> of{" "}
          </>
        )}
        {progressOf(adaptation)}
      </span>
      <Reasons of={adaptation} />
    </button>
  );
}

/** What was decided, and what was done then. */
function Reasons({ of: { decision, note, outcome } }: { of: Adaptation }) {
  // What was taken back has its reason in the note; the trial's words are in the drawer.
  const parts = outcome === "rolled back" ? [note || decision] : [decision, note];
  const said = [...new Set(parts.filter((each) => each !== ""))].join(" · ");
  return said === "" ? null : (
    <span class="decision" title={said}>
      {said}
    </span>
  );
}

/** Its candidates, and what is done with them while it is under way. */
function progressOf({ outcome, candidates, rounds }: Adaptation): string {
  const names = candidates.map((each) => each.name).join(", ");
  if (outcome !== "running" || over.value) return names;
  if (candidates.length === 0) return "candidates are being written";
  const tried = rounds.length > 0 || candidates.every((each) => each.accepted !== null);
  return `${tried ? "on trial" : "at the gate"}: ${names}`;
}

/** Who decided it, where the log tells. */
function Decider({ of: { by } }: { of: { by: Adaptation["by"] } }) {
  if (by === "") return null;
  return (
    <span class="decider" title={DECIDERS[by].title}>
      {DECIDERS[by].text}
    </span>
  );
}

const STEP_GLYPHS = { warning: "!", goal: "◎", task: "◈", adopted: "▲", "rolled back": "▼", "put back": "↺", environment: "◆" } as const;
const STEP_CLASSES = { warning: "warn", goal: "info", task: "info", adopted: "good", "rolled back": "bad", "put back": "info", environment: "info" } as const;
const STEP_DRAWERS = { goal: "goal", task: "setup", adopted: "rewards", "rolled back": "rewards", "put back": "rewards", environment: "setup" } as const;

function StepCard({ step }: { step: Step }) {
  const { what } = step;
  // There is no more to it than what it says.
  if (what === "warning") {
    return (
      <article class="card step warn">
        <StepText step={step} />
      </article>
    );
  }
  return (
    <button
      type="button"
      class={`card step ${STEP_CLASSES[what]}`}
      onClick={() => {
        drawer.value = STEP_DRAWERS[what];
        if (drawer.value === "rewards") rewardsTab.value = "all";
      }}
    >
      <StepText step={step} />
    </button>
  );
}

function StepText({ step }: { step: Step }) {
  return (
    <>
      <span class="card-head">
        <span class={`chip ${STEP_CLASSES[step.what]}`}>
          <span aria-hidden="true">{STEP_GLYPHS[step.what]}</span> {step.what}
        </span>
        <Decider of={step} />
        <span class="at">{short(step.envSteps)}</span>
      </span>
      <span class="why" title={step.what === "warning" ? step.title : undefined}>
        {step.title}
      </span>
      <span class="what">{step.detail}</span>
    </>
  );
}
