// The drawer of what is trained on: environments, task, difficulty, physics; and what the page shows.

import { signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import type { Knob, TaskSummary } from "../generated/messages";
import { environments, numberIn, short, whole } from "../format";
import { untilAnswered } from "../live/again";
import { command, get } from "../live/api";
import { adaptationChanged, goal, maySteer, status } from "../live/store";
import { figuresHz, flashes, letterKeys, theme } from "../ui/settings";
import { Button, Choice, onEnter, Outcome, useAction } from "../ui/parts";
import { taskDetail } from "./task";

const tasks = signal<TaskSummary[] | null>(null);

export function SetupDrawer() {
  useEffect(
    () =>
      untilAnswered(
        () => get<TaskSummary[]>("tasks"),
        (answer) => (tasks.value = answer),
      ),
    [],
  );
  return (
    <>
      <NumEnvs />
      <Task />
      <Difficulty />
      <Knobs />
      <Visuals />
    </>
  );
}

/** Environments that a run can have. */
const MAX_ENVS = 65_536;

/** Whether somebody has typed a whole number from 1 to the most there can be. */
function isCount(text: string, most: number): boolean {
  const count = numberIn(text);
  return Number.isInteger(count) && count >= 1 && count <= most;
}

/** Says what is wrong with what was typed, before it is sent. */
function Wrong({ text }: { text: string }) {
  return (
    <p class="bad" role="status">
      {text}
    </p>
  );
}

function NumEnvs() {
  const now = status.value?.num_envs ?? 0;
  const wanted = useSignal<string | null>(null);
  const action = useAction("Environments");
  const value = wanted.value ?? String(now);
  const wrong = wanted.value === null || isCount(value, MAX_ENVS) ? "" : `A number of environments is a whole one, from 1 to ${whole(MAX_ENVS)}.`;
  const may = wrong === "" && Number(value) >= 1 && Number(value) !== now;
  const want = (count: string) => {
    wanted.value = count;
    action.forget();
  };
  const send = () => {
    if (!may || !maySteer.value) return;
    void action.run(async () => {
      const applied = await command("set_num_envs", { num_envs: Number(value) });
      wanted.value = null;
      return `${environments(Number(value))} at update ${applied.update}`;
    });
  };
  return (
    <section class="block">
      <h3>Environments</h3>
      <div class="row">
        <label class="field inline">
          <span>Number</span>
          <input type="number" min="1" max={MAX_ENVS} step="1" class="short" value={value} onInput={(event) => want(event.currentTarget.value)} onKeyDown={onEnter(send)} />
        </label>
        {[64, 256, 1024, 4096].map((count) => (
          <Button key={count} class="small" label={`${whole(count)} environments`} onClick={() => want(String(count))}>
            {whole(count)}
          </Button>
        ))}
        <Button class="primary" steers disabled={!may} title={wrong} onClick={send}>
          Change
        </Button>
      </div>
      <Wrong text={wrong} />
      <Outcome state={action.state} />
    </section>
  );
}

function Task() {
  const wanted = useSignal<string | null>(null);
  const count = useSignal<string | null>(null);
  const action = useAction("Task");
  const now = status.value?.task ?? "";
  const total = status.value?.num_envs ?? 0;
  const others = status.value?.others ?? [];
  const names = (tasks.value ?? []).map((each) => each.name);
  const options = [...new Set([now, ...names])].filter((each) => each !== "").map((each) => [each, each] as const);
  const value = wanted.value ?? now;
  const envs = Number(count.value ?? total);
  const known = (tasks.value ?? []).find((each) => each.name === value)?.description;
  // A task of one's own is in no list.
  const description = known ?? (value === now ? taskDetail.value?.description : "");
  const wrong = count.value === null || isCount(count.value, total) ? "" : `Of ${whole(total)} environments a whole number can have the task, from 1 to all.`;
  const may = wrong === "" && value !== now;
  // All of them: the task is the run's from then on. Fewer: its policy learns from both.
  const send = (task: string, num_envs: number) =>
    void action.run(async () => {
      const applied = await command("set_task", { task, num_envs: num_envs === total ? null : num_envs });
      wanted.value = count.value = null;
      return `${applied.detail || task} at update ${applied.update}`;
    });
  return (
    <section class="block">
      <h3>Task</h3>
      <p class="muted">{description}</p>
      <div class="row">
        <Choice
          label="Task"
          value={value}
          options={options}
          onChange={(name) => {
            wanted.value = name;
            action.forget();
          }}
        />
        <label class="field inline" title="Fewer than all: the policy goes on and learns from both tasks at once, if it can act in both">
          <span>in</span>
          <input
            type="number"
            aria-label="Environments with this task"
            min="1"
            max={total}
            step="1"
            class="short"
            value={count.value ?? String(total)}
            onInput={(event) => {
              count.value = event.currentTarget.value;
              action.forget();
            }}
            onKeyDown={onEnter(() => {
              if (may && maySteer.value) send(value, envs);
            })}
          />
          <span>of {whole(total)}</span>
        </label>
        <Button
          class="primary"
          steers
          disabled={!may}
          title={wrong !== "" ? wrong : envs === total ? "Another body needs another policy: learning begins anew" : "The rest keeps its task"}
          onClick={() => send(value, envs)}
        >
          Change
        </Button>
      </div>
      {others.length > 0 && (
        <ul class="others">
          {others.map((each) => (
            <li key={each.task} class="row">
              <span>
                {whole(each.num_envs)} environments have <b>{each.task}</b>
                <span class="muted"> · return {short(each.return_mean)}</span>
              </span>
              <Button class="small" steers label={`Take ${each.task} back`} onClick={() => send(each.task, 0)}>
                Take back
              </Button>
            </li>
          ))}
        </ul>
      )}
      <Wrong text={wrong} />
      <Outcome state={action.state} />
    </section>
  );
}

function Difficulty() {
  const wanted = useSignal<number | null>(null);
  const action = useAction("Difficulty");
  const now = status.value?.difficulty ?? null;
  const none = (taskDetail.value?.knobs.length ?? 0) === 0;
  const value = wanted.value ?? now ?? 0;
  if (none) return null;
  return (
    <section class="block">
      <h3>Difficulty</h3>
      <p class="muted">Ranges of all physics below grow from nominal (0) to hard (1).</p>
      <div class="row">
        <label class="slider">
          <span>{value.toFixed(2)}</span>
          <input type="range" aria-label="Difficulty" min="0" max="1" step="0.05" value={value} onInput={(event) => (wanted.value = Number(event.currentTarget.value))} />
        </label>
        <Button
          class="primary"
          steers
          disabled={wanted.value === null || wanted.value === now}
          onClick={() =>
            void action.run(async () => {
              const applied = await command("set_difficulty", { difficulty: value });
              adaptationChanged();
              wanted.value = null;
              return `Difficulty ${value.toFixed(2)} at update ${applied.update}`;
            })
          }
        >
          Change
        </Button>
      </div>
      <Outcome state={action.state} />
    </section>
  );
}

function Knobs() {
  const ranges = useSignal<Record<string, [string, string]>>({});
  const action = useAction("Randomisation");
  const knobs = taskDetail.value?.knobs ?? [];
  if (knobs.length === 0) return null;
  const changed = Object.keys(ranges.value).length > 0;
  const wrong = wrongRange(ranges.value);
  const rangeOf = (knob: Knob): [string, string] => ranges.value[knob.name] ?? rangeNow(knob);
  const set = (knob: Knob, end: 0 | 1, value: string) => {
    const range: [string, string] = [...rangeOf(knob)];
    range[end] = value;
    ranges.value = { ...ranges.value, [knob.name]: range };
    action.forget();
  };
  const send = () => {
    if (!changed || wrong !== "" || !maySteer.value) return;
    void action.run(async () => {
      const values = Object.fromEntries(Object.entries(ranges.value).map(([name, range]) => [name, range.map(Number)]));
      const applied = await command("set_knobs", { knobs: values });
      ranges.value = {};
      adaptationChanged();
      return `In effect at update ${applied.update}`;
    });
  };
  return (
    <section class="block">
      <h3>Randomisation</h3>
      <p class="muted">Every episode draws each of these anew from its range.</p>
      <table class="knobs">
        <thead>
          <tr>
            <th scope="col">Physics</th>
            <th scope="col">low</th>
            <th scope="col">high</th>
            <th scope="col">nominal, hard</th>
          </tr>
        </thead>
        <tbody>
          {knobs.map((knob) => (
            <tr key={knob.name}>
              <th scope="row" title={knob.description}>
                {knob.name} <span class="muted">{knob.unit === "x" ? "× nominal" : knob.unit}</span>
              </th>
              {([0, 1] as const).map((end) => (
                <td key={end}>
                  <input
                    type="number"
                    step="any"
                    class="short"
                    aria-label={`${knob.name}, ${end === 0 ? "low" : "high"}`}
                    min={knob.low}
                    max={knob.high}
                    value={rangeOf(knob)[end]}
                    onInput={(event) => set(knob, end, event.currentTarget.value)}
                    onKeyDown={onEnter(send)}
                  />
                </td>
              ))}
              <td class="muted">
                {short(knob.nominal)}, {short(knob.hard_low)}–{short(knob.hard_high)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <div class="row">
        <Button class="primary" steers disabled={!changed || wrong !== ""} title={wrong} onClick={send}>
          Change
        </Button>
      </div>
      <Wrong text={wrong} />
      <Outcome state={action.state} />
    </section>
  );
}

/** Why ranges cannot be drawn from; empty where they can. A field that is empty, or holds no number yet, is not 0. */
function wrongRange(ranges: Record<string, [string, string]>): string {
  for (const [name, [low, high]] of Object.entries(ranges)) {
    if (Number.isNaN(numberIn(low)) || Number.isNaN(numberIn(high))) return `${name}: both ends of a range are numbers.`;
    if (numberIn(low) > numberIn(high)) return `${name}: its low end, ${low}, is above its high end, ${high}.`;
  }
  return "";
}

/** What episodes draw from now. */
function rangeNow(knob: Knob): [string, string] {
  const [low = knob.nominal, high = low] = goal.value?.knobs[knob.name] ?? [];
  return [String(low), String(high)];
}

function Visuals() {
  return (
    <section class="block">
      <h3>What you see</h3>
      <div class="row">
        <Choice label="Colours" visibleLabel value={theme.value} options={[["system", "as the system"], ["dark", "dark"], ["light", "light"]]} onChange={(value) => (theme.value = value)} />
        <Choice label="Figures" visibleLabel value={figuresHz.value} options={[[30, "30 a second"], [15, "15 a second"], [5, "5 a second"]]} onChange={(value) => (figuresHz.value = value)} />
        <label class="check">
          <input type="checkbox" checked={flashes.value} onChange={(event) => (flashes.value = event.currentTarget.checked)} />
          <span>light up ends of episodes</span>
        </label>
        <label class="check" title="As G, R, S, F, D, +, − and ?; Space, Esc and the arrows stay">
          <input type="checkbox" checked={letterKeys.value} onChange={(event) => (letterKeys.value = event.currentTarget.checked)} />
          <span>keys of a single letter or sign</span>
        </label>
      </div>
    </section>
  );
}
