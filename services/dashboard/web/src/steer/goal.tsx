// The goal box: what should it learn, how is that measured, and does it adapt by itself.

import { computed, signal, useSignal } from "@preact/signals";

import { numberIn, short } from "../format";
import { command } from "../live/api";
import { adaptationChanged, goal, maySteer, over, status } from "../live/store";
import { Button, Choice, Empty, Outcome, useAction } from "../ui/parts";
import { PendingAnswer } from "./answer";
import { Code } from "./code";

const MODES = [
  ["auto", "by itself"],
  ["approve", "after a yes"],
  ["off", "not at all"],
] as const;

/** Whether a goal is a number and nothing else: nothing is asked or adopted for it. */
export const onlyMeasures = computed(() => !over.value && status.value !== null && status.value.adapt_mode === "off");

/** What somebody has typed and not sent: a drawer that closes does not lose it. */
const text = signal("");
const target = signal("");

export function GoalDrawer() {
  const known = goal.value;
  return (
    <>
      {!over.value && <GoalForm />}
      {!over.value && <Mode />}
      <PendingAnswer />
      {known === null ? <Empty>{over.value ? "The goal of this run was not kept." : "The learner has not told its goal yet."}</Empty> : <Present />}
    </>
  );
}

function GoalForm() {
  const action = useAction("Goal");
  const wrong = useSignal("");
  const send = () => {
    const description = text.value.trim();
    if (description === "") return;
    const goalTarget = target.value.trim() === "" ? null : numberIn(target.value);
    // A goal without the target that somebody wished for would be another goal.
    wrong.value = Number.isNaN(goalTarget) ? `“${target.value.trim()}” is no target: write a number like 3.5, or nothing. No goal was set.` : "";
    if (wrong.value !== "") {
      action.forget();
      return;
    }
    void action.run(async () => {
      const applied = await command("set_goal", { description, target: goalTarget });
      adaptationChanged();
      text.value = target.value = "";
      return `${applied.detail || "The goal is set"} (update ${applied.update})`;
    });
  };
  return (
    <form
      class="goal-form"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <label class="field">
        <span>What should it learn?</span>
        <textarea
          rows={2}
          maxLength={2000}
          placeholder="run backwards"
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
          }}
        />
      </label>
      <div class="row">
        <label class="field inline">
          <span>Reached at a fitness of</span>
          <input
            inputMode="decimal"
            class="short"
            placeholder="never"
            maxLength={40}
            aria-invalid={wrong.value !== ""}
            aria-describedby="wrong-target"
            value={target.value}
            onInput={(event) => {
              target.value = event.currentTarget.value;
              wrong.value = "";
            }}
          />
        </label>
        <Button class="primary" steers disabled={text.value.trim() === ""} onClick={send}>
          Set the goal
        </Button>
      </div>
      <p id="wrong-target" class="bad" role="status">
        {wrong}
      </p>
      <Outcome state={action.state} />
    </form>
  );
}

function Present() {
  const view = goal.value!;
  const { description, fitness_description, target, unit, program, kind } = view.goal as Record<string, string | number | null>;
  const missed = (view.goal["not_understood"] ?? []) as string[];
  const adapting = status.value?.adapting ?? "";
  return (
    <dl class="story">
      <dt>Goal</dt>
      <dd>{String(description || "the task as it is")}</dd>
      <dt>Measured by</dt>
      <dd>{String(fitness_description || (kind === "none" ? "no number: you judge" : "the task's own fitness"))}</dd>
      {missed.length > 0 && <dd class="bad">Not understood: {missed.join(", ")}</dd>}
      {typeof target === "number" && (
        <>
          <dt>Target</dt>
          <dd>
            {short(target)} {unit} {view.reached ? "✓ reached" : ""}
          </dd>
        </>
      )}
      {adapting !== "" && !over.value && (
        <>
          <dt>Now</dt>
          <dd>{adapting}</dd>
        </>
      )}
      {view.banner !== "" && !over.value && (
        <>
          <dt>Problem</dt>
          <dd class="bad">{view.banner}</dd>
        </>
      )}
      {typeof program === "string" && (
        <>
          <dt>Program</dt>
          <dd>
            <Code source={program} label="Program that measures the goal" />
          </dd>
        </>
      )}
    </dl>
  );
}

export interface AdaptChoiceProps {
  run: (act: () => Promise<string>) => Promise<void>;
  modes: readonly (readonly [string, string])[];
  visibleLabel?: boolean;
}

/** The switch: whether the run adapts. */
export function AdaptChoice({ run, modes, visibleLabel }: AdaptChoiceProps) {
  return (
    <Choice
      label="The run adapts"
      visibleLabel={visibleLabel === true}
      disabled={!maySteer.value}
      value={status.value?.adapt_mode ?? "off"}
      options={modes}
      onChange={(mode) =>
        void run(async () => {
          const applied = await command("set_adapt", { mode });
          adaptationChanged();
          return `In effect at update ${applied.update}`;
        })
      }
    />
  );
}

function Mode() {
  const action = useAction("Adaptation");
  const ask = useAction("Candidates");
  const mode = status.value?.adapt_mode ?? "off";
  return (
    <section class="block">
      <h3>Adaptation</h3>
      {onlyMeasures.value && (
        <p class="note">The goal is only measured now: nothing is tried or adopted for it until the run adapts.</p>
      )}
      <div class="row to-the-bottom">
        <AdaptChoice run={action.run} modes={MODES} visibleLabel />
        <Button
          steers
          disabled={mode === "off"}
          title={mode === "off" ? "The run does not adapt: choose another mode first." : "Without waiting for a trigger"}
          onClick={() =>
            void ask.run(async () => {
              const applied = await command("ask", { reason: "" });
              adaptationChanged();
              return `${applied.detail} begins at update ${applied.update}`;
            })
          }
        >
          Ask for candidates now
        </Button>
      </div>
      <Outcome state={action.state} />
      <Outcome state={ask.state} />
    </section>
  );
}
