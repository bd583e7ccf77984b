// The pop-up of one environment: its robot in 3D, its state and its reward, live.

import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import type { Env, Scene, TaskDetail } from "../generated/messages";
import { short, whole } from "../format";
import { contenderOf, grid, opened } from "../grid/grid";
import type { EnvKey } from "../grid/picture";
import { ApiError, get, post } from "../live/api";
import { isTrial, link, mayControl, over, overText, socket, status, taskName, watchedEnv, watchedEnvError, whyNot } from "../live/store";
import { dark } from "../ui/settings";
import { Button, Icon, OnlyLooks, Outcome, useAction } from "../ui/parts";
import { observeSize } from "../ui/resize";
import type { Viewer } from "./viewer";

/** Loaded ahead, when the page has time, so that opening is quick. */
const loadViewer = () => import("./viewer");
export const prefetchViewer = (): void => {
  // What fails here is tried again, and told, when a pop-up opens.
  window.setTimeout(() => void loadViewer().catch(() => undefined), 1500);
};

/** The scene that was shown last: the next robot of its session is there without asking. */
let lastScene: { of: string; scene: Scene } | null = null;

async function sceneOf(session: number): Promise<Scene> {
  const task = status.value?.sessions.find((each) => each.session === session)?.task;
  const of = [status.value?.run_key, session, task].join(" ");
  if (lastScene?.of !== of) lastScene = { of, scene: await get<Scene>(`sessions/${session}/scene`) };
  return lastScene.scene;
}

const MAX_FIELD_COLUMNS = 12;

/** Part of its width and height in which a robot is drawn first: without a graphics card a whole picture takes long. */
const FIRST_PICTURE = 0.25;

/** What the learner calls the task's own reward. */
const TASKS_OWN = "task";

export function Popup() {
  const key = opened.value;
  return key === null ? null : <Open envKey={key} />;
}

function Open({ envKey }: { envKey: EnvKey }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const now = status.value;
  const session = now?.sessions.find((each) => each.session === envKey.session);
  // While the orchestrator is away nobody knows.
  const ended = session === undefined && (over.value || now?.orchestrator_error === null);
  useEffect(() => {
    dialog.current?.showModal();
    return () => {
      document.querySelector<HTMLElement>(".grid canvas")?.focus();
    };
  }, []);
  const step = (by: number) => {
    const next = grid.value?.neighbour(envKey, by, 0) ?? null;
    if (next === null) return;
    opened.value = next;
    if (grid.value !== null) grid.value.chosen = next;
    grid.value?.redraw();
  };
  return (
    <dialog
      ref={dialog}
      class={`popup ${ended ? "gone" : ""}`}
      aria-modal="true"
      aria-label={`Environment ${envKey.envId}`}
      onClose={() => (opened.value = null)}
      onClick={(event) => {
        // A click beside the pop-up closes it.
        if (event.target === dialog.current) dialog.current?.close();
      }}
    >
      <header>
        <h2>Environment {envKey.envId}</h2>
        {session !== undefined && (
          <span class="muted">{[contenderOf(session), taskName(session.task)].filter(Boolean).join("  ·  ")}</span>
        )}
        <span class="spring" />
        {!ended && (
          <>
            <Button class="square plain" label="Previous environment" onClick={() => step(-1)}>
              <Icon name="left" />
            </Button>
            <Button class="square plain" label="Next environment" onClick={() => step(1)}>
              <Icon name="right" />
            </Button>
          </>
        )}
        <Button class="square plain" label="Close" title="Close (Esc)" onClick={() => dialog.current?.close()}>
          <Icon name="close" />
        </Button>
      </header>
      {ended ? (
        <Ended />
      ) : (
        <div class="popup-body">
          {/* Its graphics context ends with its canvas: another session has another one. */}
          <View key={envKey.session} envKey={envKey} />
          <State key={`of ${envKey.session}`} envKey={envKey} />
        </div>
      )}
    </dialog>
  );
}

/** In place of an environment that is no more. */
function Ended() {
  const others = (status.value?.sessions.length ?? 0) > 0;
  return (
    <div class="ended" role="status">
      <p>
        <b>This environment is gone.</b>
      </p>
      <p>{over.value ? overText.value : "Its group has ended: a trial is over, or the run goes on with other environments."}</p>
      {others && (
        <Button
          onClick={() => {
            // The grid may not have drawn it yet.
            const session = status.value?.session ?? null;
            const next = grid.value?.neighbour(null, 0, 0) ?? (session === null ? null : { session, envId: 0 });
            if (next === null) return;
            opened.value = next;
            if (grid.value !== null) grid.value.chosen = next;
          }}
        >
          Show one that is there
        </Button>
      )}
    </div>
  );
}

function View({ envKey }: { envKey: EnvKey }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const viewer = useRef<Viewer | null>(null);
  const follow = useSignal(true);
  const contacts = useSignal(true);
  const problem = useSignal("");
  const loading = useSignal(true);

  const live = link.value === "live";
  const fleetAnswers = status.value?.orchestrator_error === null;
  // What was not answered while something was away is asked for again when it is back.
  useEffect(() => {
    if (!live || viewer.current !== null) return;
    let outdated = false;
    problem.value = "";
    const begin = async () => {
      try {
        const [{ Viewer }, scene] = await Promise.all([loadViewer(), sceneOf(envKey.session)]);
        if (outdated || canvas.current === null) return;
        viewer.current = new Viewer(canvas.current, scene, colours());
        fit(FIRST_PICTURE);
      } catch (error) {
        if (outdated) return;
        if (error instanceof ApiError) problem.value = error.message;
        else if (error instanceof TypeError) problem.value = "The 3D view could not be loaded.";
        else problem.value = "This browser draws no 3D: it gives no WebGL.";
      }
    };
    void begin();
    return () => {
      outdated = true;
    };
  }, [live, fleetAnswers]);

  const fit = (part: number) => {
    // Effects of what is closed end a little later: its canvas may be gone.
    const box = canvas.current?.parentElement;
    if (box) viewer.current?.resize(part * box.clientWidth, part * box.clientHeight);
  };

  useEffect(() => {
    let animation = 0;
    let stop = () => {};
    const tick = () => {
      animation = requestAnimationFrame(tick);
      const frame = socket.pose;
      if (frame === null || viewer.current === null || canvas.current === null) return;
      socket.pose = null;
      viewer.current.follow = follow.peek();
      viewer.current.contacts = contacts.peek();
      viewer.current.pose(frame);
      socket.acknowledge();
      if (loading.peek()) stop = observeSize(canvas.current.parentElement!, () => fit(1));
      loading.value = false;
    };
    animation = requestAnimationFrame(tick);
    return () => {
      cancelAnimationFrame(animation);
      stop();
      viewer.current?.dispose();
      viewer.current = null;
      // Closed, or gone: another one is wanted after this.
      socket.wantPose(null);
    };
  }, []);

  useSignalEffect(() => {
    void dark.value;
    viewer.current?.recolour(colours());
  });

  useEffect(() => {
    watchedEnv.value = null;
    watchedEnvError.value = "";
    socket.wantPose({ session: envKey.session, env_id: envKey.envId });
  }, [envKey.envId]);

  return (
    <div class="view">
      <div class="view-box">
        <canvas
          ref={canvas}
          tabIndex={0}
          role="application"
          aria-label="The robot in 3D. Dragging or the arrow keys turn the camera; the wheel, + and − zoom."
          onKeyDown={(event) => {
            if (event.ctrlKey || event.metaKey || event.altKey || viewer.current === null) return;
            const act = CAMERA_KEYS[event.key];
            if (act === undefined) return;
            event.preventDefault();
            act(viewer.current);
          }}
        />
        <Veil problem={problem.value} loading={loading.value} />
      </div>
      <div class="row">
        <label class="check">
          <input type="checkbox" checked={follow.value} onChange={(event) => (follow.value = event.currentTarget.checked)} />
          <span>follow</span>
        </label>
        <label class="check">
          <input type="checkbox" checked={contacts.value} onChange={(event) => (contacts.value = event.currentTarget.checked)} />
          <span>contacts</span>
        </label>
        <span class="spring" />
        <OnlyLooks />
        <Reset envKey={envKey} />
      </div>
    </div>
  );
}

/** One thing at a time: without a connection nothing else is known to be wrong. */
function Veil({ problem, loading }: { problem: string; loading: boolean }) {
  if (link.value !== "live") {
    return <p class="veil bad">{loading ? "No connection: it is shown once there is one." : "No connection: this is the last that was seen."}</p>;
  }
  if (problem !== "") return <p class="veil bad">{problem}</p>;
  return loading ? <p class="veil">Loading…</p> : null;
}

/** Radians that the camera goes around the robot, and the factor it comes nearer by, for each press of a key. */
const TURN = Math.PI / 24;
const NEARER = 0.9;
const CAMERA_KEYS: Record<string, (viewer: Viewer) => void> = {
  ArrowLeft: (viewer) => viewer.turn(-TURN, 0),
  ArrowRight: (viewer) => viewer.turn(TURN, 0),
  ArrowUp: (viewer) => viewer.turn(0, TURN),
  ArrowDown: (viewer) => viewer.turn(0, -TURN),
  "+": (viewer) => viewer.comeNearer(NEARER),
  "=": (viewer) => viewer.comeNearer(NEARER),
  "-": (viewer) => viewer.comeNearer(1 / NEARER),
};

function colours() {
  const styles = getComputedStyle(document.documentElement);
  const of = (name: string) => styles.getPropertyValue(name).trim();
  return { background: of("--canvas"), ground: of("--panel"), grid: of("--edge-strong"), contact: of("--contact"), shadow: of("--shade") };
}

function Reset({ envKey }: { envKey: EnvKey }) {
  const action = useAction("Reset");
  const session = status.value?.sessions.find((each) => each.session === envKey.session);
  const tried = session !== undefined && isTrial(session);
  const why = whyNot.value || (tried ? "On trial nothing is reset: contenders are compared by all of their episodes." : "");
  return (
    <>
      <Outcome state={action.state} />
      <Button
        disabled={!mayControl.value || tried}
        title={why || "Its episode ends with the next step"}
        onClick={() =>
          void action.run(async () => {
            await post(`sessions/${envKey.session}/envs/${envKey.envId}/reset`);
            return "reset with the next step";
          })
        }
      >
        <Icon name="undo" /> Reset
      </Button>
    </>
  );
}

function State({ envKey }: { envKey: EnvKey }) {
  const task = useSignal<TaskDetail | null>(null);
  const away = link.value !== "live";
  useEffect(() => {
    if (away || task.value !== null) return;
    // Without it the values are told all the same, only not in what.
    get<TaskDetail>(`sessions/${envKey.session}/task`).then(
      (detail) => (task.value = detail),
      () => undefined,
    );
  }, [away, status.value?.orchestrator_error === null]);
  const env = watchedEnv.value;
  const known = env !== null && env.env_id === envKey.envId ? env : null;
  if (known === null) {
    return <div class="state-pane" tabIndex={0} role="group" aria-label="State">{away ? "No connection." : watchedEnvError.value || "Waiting for its state…"}</div>;
  }
  return (
    <div class={`state-pane ${away ? "stale" : ""}`} tabIndex={0} role="group" aria-label="State">
      {away && <p class="bad" role="status">No connection: the last that was known.</p>}
      <dl class="numbers-grid">
        <Fact name="return so far" value={short(known.episode_return)} />
        <Fact name="step" value={whole(known.episode_length)} />
        <Fact name="time" value={`${short(known.time_s)} s`} />
        <Fact name="episodes" value={whole(known.episodes)} />
        <Fact name="last return" value={short(known.last_return)} />
        <Fact name="last length" value={known.last_length === null ? "–" : whole(known.last_length)} />
      </dl>
      <Components env={known} names={task.value?.reward_components ?? []} />
      <h3>State</h3>
      <table class="fields">
        <tbody>
          {Object.entries(known.fields).map(([name, value]) => {
            const field = task.value?.fields.find((each) => each.name === name);
            return (
              <tr key={name} title={field?.description}>
                <th scope="row">
                  <span>{name}</span> {field !== undefined && field.unit !== "" && <span class="unit">{field.unit}</span>}
                </th>
                <td>
                  <FieldValue value={value} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** Reward of the last step, as the task's own reward gives it, and what it is made of. */
function Components({ env, names }: { env: Env; names: readonly string[] }) {
  const now = status.value;
  const tried = now?.sessions.find((each) => each.session === env.session);
  const own = now?.reward_id === TASKS_OWN && (tried === undefined || !isTrial(tried));
  const last = useRef(names);
  const told = Object.keys(env.reward_components);
  if (told.length > 0) last.current = told;
  // While nothing is stepped there is no reward, and its place stays: what is below does not jump.
  const components = (last.current.length > 0 ? last.current : names).map((name) => [name, env.reward_components[name] ?? null] as const);
  const largest = Math.max(1e-9, ...components.map(([, value]) => Math.abs(value ?? 0)));
  return (
    <>
      <h3>
        {own ? "Reward of this step" : "Task's own reward of this step"} <b>{short(env.reward)}</b>
      </h3>
      <ul class="components">
        {components.map(([name, value]) => (
          <li key={name}>
            <span>{name}</span>
            <span class="signed-bar" aria-hidden="true">
              <span class={(value ?? 0) < 0 ? "negative" : "positive"} style={{ width: `${(50 * Math.abs(value ?? 0)) / largest}%` }} />
            </span>
            <span class="numbers">{short(value)}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Numbers in columns as wide as the longest can be: none of them moves another. */
function FieldValue({ value }: { value: number | (number | null)[] | null }) {
  const values = Array.isArray(value) ? value : [value];
  return (
    <>
      {values.slice(0, MAX_FIELD_COLUMNS).map((each, i) => (
        <span key={i} class="value">{short(each)}</span>
      ))}
      {values.length > MAX_FIELD_COLUMNS && `… (${values.length})`}
    </>
  );
}
