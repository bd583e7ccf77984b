// The goal box: what should it learn, how is that measured, and does it adapt by itself.

import { useSignal } from "@preact/signals";

import { short } from "../format";
import { command } from "../live/api";
import { adaptationChanged, goal, mayControl, status } from "../live/store";
import { Button, Choice, Empty, Outcome, useAction } from "../ui/parts";
import { PendingAnswer } from "./candidates";
import { Code } from "./code";

const MODES = [
  ["auto", "by itself"],
  ["approve", "after a yes"],
  ["off", "not at all"],
] as const;

export function GoalDrawer() {
  const known = goal.value;
  return (
    <>
      <GoalForm />
      <PendingAnswer />
      {known === null ? <Empty>The learner has not told its goal yet.</Empty> : <Present />}
      <Mode />
    </>
  );
}

function GoalForm() {
  const text = useSignal("");
  const target = useSignal("");
  const action = useAction();
  const send = () => {
    const description = text.value.trim();
    if (description === "") return;
    void action.run(async () => {
      const goalTarget = target.value.trim() === "" ? null : Number(target.value);
      const applied = await command("set_goal", { description, target: goalTarget });
      adaptationChanged();
      text.value = "";
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
          <input type="number" step="any" class="short" placeholder="never" value={target.value} onInput={(event) => (target.value = event.currentTarget.value)} />
        </label>
        <Button class="primary" steers disabled={text.value.trim() === ""} onClick={send}>
          Set the goal
        </Button>
      </div>
      <Outcome state={action.state} />
    </form>
  );
}

function Present() {
  const view = goal.value!;
  const { description, fitness_description, target, unit, program, kind } = view.goal as Record<string, string | number | null>;
  const missed = (view.goal["not_understood"] ?? []) as string[];
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
      {view.adapting !== "" && (
        <>
          <dt>Now</dt>
          <dd>{view.adapting}</dd>
        </>
      )}
      {view.banner !== "" && (
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

function Mode() {
  const action = useAction();
  const ask = useAction();
  const mode = status.value?.adapt_mode ?? "off";
  return (
    <section class="block">
      <h3>Adaptation</h3>
      <div class="row">
        <Choice
          label="The run adapts"
          visibleLabel
          disabled={!mayControl.value}
          value={mode}
          options={MODES}
          onChange={(value) =>
            void action.run(async () => {
              const applied = await command("set_adapt", { mode: value });
              adaptationChanged();
              return `In effect at update ${applied.update}`;
            })
          }
        />
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
