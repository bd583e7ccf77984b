// The panel with the moving picture: toolbar, canvas, keyboard, and what a tile says.

import { computed, signal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import type { SessionSummary } from "../generated/messages";
import { environments, short, whole } from "../format";
import { OUTCOMES } from "../live/frames";
import { ended, isTrial, lastOnTrial, link, over, overText, socket, status, taskName } from "../live/store";
import { history } from "../steer/history";
import { CONTROL } from "../steer/log";
import { figuresHz, filter, reducedMotion, sort } from "../ui/settings";
import { Button, Choice, Icon } from "../ui/parts";
import { observeSize } from "../ui/resize";
import { FILTERS, SORTS } from "./order";
import { CALM_HZ } from "./playback";
import { Picture, type EnvGlance, type EnvKey, type Summary } from "./picture";

/** The environment whose pop-up is open. */
export const opened = signal<EnvKey | null>(null);
/** The grid, for keys pressed elsewhere. */
export const grid = signal<Picture | null>(null);
export const zoom = signal(1);

/** "auto", or "task NAME", or a session's number. */
const chosenGroup = signal("auto");
const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8, 12];
/** Id of the task's own reward. */
const OWN_REWARD = "task";
/** The service sends figures of so many sessions at a time. */
const MAX_BANDS = 8;

export function zoomBy(direction: 1 | -1): void {
  const at = ZOOMS.findIndex((each) => each >= zoom.value);
  zoom.value = ZOOMS[Math.min(ZOOMS.length - 1, Math.max(0, at + direction))]!;
}

/** "trial of NAME: bounded" -> "bounded"; of another session "". */
export function contenderOf(session: SessionSummary): string {
  return isTrial(session) ? session.label.split(": ").slice(1).join(": ") : "";
}

/** Whose environments a band has, and how it fared in the last round of the trial under way. */
function bandLabel(session: SessionSummary): string {
  const contender = contenderOf(session);
  const name = contender || session.label || `session ${session.session}`;
  const parts = [name];
  const adaptation = history.value.adaptations.at(-1);
  const round = adaptation?.outcome === "running" ? adaptation.rounds.at(-1) : undefined;
  const fitness = contender === "" ? undefined : round?.fitness[contender];
  if (round !== undefined && fitness !== undefined) {
    const unit = status.value?.fitness_unit ? ` ${status.value.fitness_unit}` : "";
    const out = contender === CONTROL || round.stay.includes(contender) ? "" : ", out";
    parts.push(fitness === null ? `failed in round ${round.round}` : `fitness ${short(fitness)}${unit} after round ${round.round}${out}`);
  }
  return [...parts, taskName(session.task), environments(session.num_envs)].join("  ·  ");
}

/** Whether something else than the return of the task's own reward is wanted: a goal, another reward. */
const wantsOther = computed(() => {
  const now = status.value;
  return now !== null && (now.goal !== "" || lastOnTrial.value || !["", OWN_REWARD].includes(now.reward_id));
});

/** The sessions whose environments are shown. */
const shownSessions = computed((): SessionSummary[] => {
  const now = status.value;
  if (now === null) return [];
  const group = shownGroup.value;
  if (group.startsWith("task ")) {
    return now.sessions.filter((each) => each.task === group.slice(5)).slice(0, MAX_BANDS);
  }
  const one = now.sessions.find((each) => String(each.session) === group);
  if (one !== undefined) return [one];
  if (lastOnTrial.value) {
    const groups = now.sessions.filter(isTrial);
    if (groups.length > 0) return groups.slice(0, MAX_BANDS);
  }
  const training = now.sessions.find((each) => each.session === now.session) ?? now.sessions[0];
  if (training === undefined) return [];
  // The environments that have another task instead of the run's own are trained on as well.
  const others = now.sessions.filter((each) => each.label.startsWith(`${training.label}: `));
  return [training, ...others].slice(0, MAX_BANDS);
});
const shownBands = computed(() =>
  shownSessions.value.map((each) => ({ session: each.session, task: each.task, label: bandLabel(each) })),
);
const shownKey = computed(() => JSON.stringify(shownBands.value));

const groups = computed((): [string, string][] => {
  const sessions = status.value?.sessions ?? [];
  const tasks = [...new Set(sessions.map((each) => each.task))];
  return [
    ["auto", "what is trained"],
    ...(tasks.length > 1 ? tasks.map((task): [string, string] => [`task ${task}`, `all of ${taskName(task)}`]) : []),
    ...sessions.map((each): [string, string] => [
      String(each.session),
      `${each.label || `session ${each.session}`} (${whole(each.num_envs)})`,
    ]),
  ];
});

/** What was chosen, as long as it is there. */
const shownGroup = computed(() => (groups.value.some(([group]) => group === chosenGroup.value) ? chosenGroup.value : "auto"));

export function GridPanel() {
  const canvas = useRef<HTMLCanvasElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const height = useSignal(0);
  const summary = useSignal<Summary>({ envs: 0, shown: 0, counts: [0, 0, 0, 0, 0], low: 0, high: 1 });
  const glance = useSignal<(EnvGlance & { x: number; y: number }) | null>(null);
  const spoken = useSignal("");

  useEffect(() => {
    const element = canvas.current!;
    const box = scroller.current!;
    const picture = new Picture(element);
    grid.value = picture;
    picture.onHeight = (px) => (height.value = px);
    picture.onSummary = (now) => {
      summary.value = now;
      // Under a pointer that rests there is something else after a while.
      const pointed = glance.peek();
      if (pointed !== null) point(pointed.x, pointed.y);
    };
    const stop = observeSize(box, () => picture.resize(box.clientWidth, box.clientHeight));
    return () => {
      stop();
      picture.stop();
      grid.value = null;
    };
  }, []);

  useSignalEffect(() => {
    void shownKey.value;
    const bands = shownBands.peek();
    // With a run its environments end: what was seen last stays.
    if (bands.length === 0 && ended.peek()) return;
    const max_hz = reducedMotion.value ? Math.min(CALM_HZ, figuresHz.value) : figuresHz.value;
    grid.value?.show(bands);
    grid.value?.setRate(max_hz);
    socket.wantFigures(bands.map((each) => ({ session: each.session, max_hz })));
  });
  useSignalEffect(() => grid.value?.setZoom(zoom.value));

  const move = (dx: number, dy: number) => {
    const picture = grid.value;
    if (picture === null) return;
    picture.chosen = picture.neighbour(picture.chosen, dx, dy);
    picture.redraw();
    reveal(picture, scroller.current!);
    if (picture.chosen !== null) spoken.value = sentence(picture.glance(picture.chosen));
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const arrows: Record<string, [number, number]> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const arrow = arrows[event.key];
    if (arrow !== undefined) move(...arrow);
    else if (event.key === "Enter" && grid.value !== null) {
      const { chosen } = grid.value;
      // What was chosen may be gone since, with its session.
      if (chosen === null || grid.value.glance(chosen) === null) {
        grid.value.chosen = null;
        move(0, 0);
      }
      opened.value = grid.value.chosen;
    } else return;
    event.preventDefault();
  };

  const point = (x: number, y: number) => {
    const picture = grid.value;
    if (picture === null) return;
    const key = picture.at(x, y);
    picture.hovered = key;
    picture.redraw();
    const at = key === null ? null : picture.glance(key);
    glance.value = at === null ? null : { ...at, x, y };
  };

  const onClick = (event: MouseEvent) => {
    const picture = grid.value;
    const key = picture?.at(event.offsetX, event.offsetY) ?? null;
    if (picture === null || key === null) return;
    picture.chosen = key;
    opened.value = key;
  };

  const waiting = useComputed(() => {
    if (summary.value.envs > 0) return "";
    if (link.value === "connecting") return "Connecting…";
    if (over.value) return `${overText.value} Its environments are gone with it.`;
    if (link.value !== "live") return "";
    if (status.value?.orchestrator_error) return "The fleet's orchestrator does not answer.";
    if (shownSessions.value.length === 0) return "No environments yet: the fleet is waiting for a learner or a notebook.";
    return "Waiting for the first figures…";
  });

  const { envs, shown } = summary.value;
  const passing = FILTERS.find(([name]) => name === filter.value)![1];
  const byReturn = wantsOther.value ? ": best and worst are told by the task's own reward" : "";

  return (
    <section class="panel grid" aria-label="Environments">
      <header class="toolbar">
        <h2>{shown === envs ? environments(envs) : `${whole(shown)} of ${environments(envs)}`}</h2>
        <Counts counts={summary.value.counts} />
        <span class="spring" />
        <Choice label="Show" value={shownGroup.value} options={groups.value} onChange={(value) => (chosenGroup.value = value)} />
        <Choice label="Filter" title={`Filter${byReturn}`} value={filter.value} options={FILTERS} onChange={(value) => (filter.value = value)} />
        <Choice label="Sort" title={`Sort${byReturn}`} value={sort.value} options={SORTS} onChange={(value) => (sort.value = value)} />
        <span class="group" role="group" aria-label="Zoom">
          <Button label="Zoom out" title="Zoom out (−)" class="square" disabled={zoom.value === 1} onClick={() => zoomBy(-1)}>
            <Icon name="minus" />
          </Button>
          <Button label="Zoom in" title="Zoom in (+)" class="square" disabled={zoom.value === ZOOMS.at(-1)} onClick={() => zoomBy(1)}>
            <Icon name="plus" />
          </Button>
        </span>
      </header>
      <div class="scroller" ref={scroller} onScroll={(event) => grid.value?.scroll(event.currentTarget.scrollTop)}>
        <div class="spacer" style={{ height: `${Math.floor(height.value)}px` }}>
          <canvas
            ref={canvas}
            tabIndex={0}
            role="application"
            aria-label="Moving picture of all environments. Arrow keys choose one, Enter opens it."
            onKeyDown={onKeyDown}
            onPointerMove={(event) => point(event.offsetX, event.offsetY)}
            onPointerLeave={() => {
              glance.value = null;
              if (grid.value !== null) grid.value.hovered = null;
              grid.value?.redraw();
            }}
            onClick={onClick}
            onBlur={() => {
              if (grid.value !== null && opened.value === null) grid.value.redraw();
            }}
          />
        </div>
        {waiting.value !== "" && (
          <div class="veil">
            {!over.value && <div class="pulse" aria-hidden="true" />}
            <p>{waiting}</p>
          </div>
        )}
        {envs > 0 && shown === 0 && (
          <div class="veil">
            <p>
              None of the {environments(envs)} passes the filter “{passing}”.
            </p>
          </div>
        )}
      </div>
      <Legend low={summary.value.low} high={summary.value.high} />
      <p class="sr-only" role="status">{spoken}</p>
      {glance.value !== null && <Glance {...glance.value} />}
    </section>
  );
}

function reveal(picture: Picture, box: HTMLDivElement): void {
  const extent = picture.chosen === null ? null : picture.extentOf(picture.chosen);
  if (extent === null) return;
  if (extent.top < box.scrollTop) box.scrollTop = extent.top;
  else if (extent.bottom > box.scrollTop + box.clientHeight) box.scrollTop = extent.bottom - box.clientHeight;
}

function sentence(glance: EnvGlance | null): string {
  if (glance === null) return "";
  const outcome = OUTCOMES[glance.outcome]?.name ?? "";
  return `Environment ${glance.envId}: return ${short(glance.episodeReturn)}, step ${glance.episodeLength}, last episode ${outcome}`;
}

function Counts({ counts }: { counts: number[] }) {
  const most = Math.max(...counts.slice(1));
  const titleOf = (count: number, name: string) =>
    `${whole(count)} ${name}${count === most && count > 1 ? ": most, so large tiles are marked where it was otherwise" : ""}`;
  return (
    <ul class="counts" aria-label="How the last episodes ended">
      {OUTCOMES.map(({ name, glyph }, i) =>
        (counts[i] ?? 0) > 0 && i > 0 ? (
          <li key={name} class={`outcome-${i}`} title={titleOf(counts[i]!, name)}>
            <span aria-hidden="true">{glyph}</span> {whole(counts[i]!)} <span class="name">{name}</span>
          </li>
        ) : null,
      )}
    </ul>
  );
}

function Legend({ low, high }: { low: number; high: number }) {
  const other = wantsOther.value;
  const what = other ? "return so far by the task's own reward" : "return of the episode so far";
  return (
    <div class="legend" aria-label={`Colour shows ${what}, from ${short(low)} to ${short(high)}`} role="img">
      <span>{short(low)}</span>
      <span class="ramp" />
      <span>{short(high)}</span>
      <span
        class={`what ${other ? "own" : ""}`}
        title={other ? "Of the task's own reward: who does well by the goal, or the reward in force, may look bad by it" : undefined}
      >
        {what}
      </span>
    </div>
  );
}

function Glance(props: EnvGlance & { x: number; y: number }) {
  return (
    <div class={`glance ${props.x > 300 ? "from-right" : ""}`} style={{ left: `${props.x}px`, top: `${props.y}px` }} aria-hidden="true">
      <b>env {props.envId}</b>
      <span>return {short(props.episodeReturn)}</span>
      <span>step {whole(props.episodeLength)}</span>
      <span>
        last: {OUTCOMES[props.outcome]?.glyph} {OUTCOMES[props.outcome]?.name}
      </span>
    </div>
  );
}
