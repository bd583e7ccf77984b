// The first thing seen: which run, how it stands, and the wheel.

import { middle, percent, short, whole } from "./format";
import { link, measuredByGoal, onTrial, over, status } from "./live/store";
import { Speed } from "./steer/speed";
import { drawer, toggleDrawer, type DrawerName } from "./ui/drawer";
import { keysOpen } from "./ui/keys";
import { Button, Icon, type IconName } from "./ui/parts";
import { dark, switchTheme } from "./ui/settings";

/** Characters of a run's name: its end tells it from others, its beginning is the task. */
const NAME_LENGTH = 17;

const STATES: Record<string, { glyph?: string; icon?: IconName; class: string; text: string }> = {
  waiting: { glyph: "…", class: "warn", text: "waiting" },
  training: { glyph: "▶", class: "good", text: "training" },
  paused: { icon: "pause", class: "warn", text: "paused" },
  evaluating: { glyph: "◇", class: "info", text: "evaluating" },
  trial: { glyph: "⚖", class: "info", text: "trial" },
  finished: { glyph: "■", class: "good", text: "finished" },
  stopped: { glyph: "■", class: "warn", text: "stopped" },
  failed: { glyph: "✕", class: "bad", text: "failed" },
  disconnected: { glyph: "⌁", class: "bad", text: "disconnected" },
  lost: { glyph: "⌁", class: "bad", text: "no connection" },
  connecting: { glyph: "…", class: "", text: "connecting" },
};

const DRAWERS: readonly (readonly [DrawerName, IconName, string, string])[] = [
  ["rewards", "code", "Rewards", "R"],
  ["setup", "sliders", "Set-up", "S"],
  ["fleet", "fleet", "Fleet", "F"],
];

export function TopBar() {
  const now = status.value;
  // A run that is over has its state, whether its service is still there or not.
  const state = STATES[link.value === "live" || over.value ? now?.state ?? "connecting" : link.value] ?? STATES["connecting"]!;
  const share = now !== null && now.total_steps > 0 ? Math.min(1, now.env_steps / now.total_steps) : 0;
  const unit = now?.fitness_unit ? ` ${now.fitness_unit}` : "";
  return (
    <header class="topbar">
      <div class="brand">
        <img src="./favicon.svg" alt="" width="24" height="24" />
        <h1 title={now?.run}>{middle(now?.run || "MuJoCo WebSim", NAME_LENGTH)}</h1>
        <span class="task" title={now?.task}>
          {now?.task}
        </span>
        <span class={`chip state ${state.class}`} title={now?.reason || undefined}>
          {state.icon === undefined ? <span aria-hidden="true">{state.glyph}</span> : <Icon name={state.icon} />} {state.text}
        </span>
      </div>
      <dl class="figures">
        <Figure name="steps" value={short(now?.env_steps)} title={now === null ? "" : `${whole(now.env_steps)} of ${whole(now.total_steps)}`}>
          <progress aria-label={`Done: ${percent(share)}`} value={share} max={1} />
        </Figure>
        {onTrial.value ? (
          <Figure name="steps/s" value="on trial" title="What is trained stands still while candidates are on trial" />
        ) : (
          <Figure name="steps/s" value={now?.state === "training" ? short(now.steps_per_s) : "–"} title={now?.state === "training" ? "" : "Nothing is stepped just now"} />
        )}
        <Figure name="return" value={short(now?.return_mean)} title="Of the task's own reward, mean over the last 100 episodes" />
        <Figure name="fitness" value={`${short(now?.fitness_mean)}${now?.fitness_mean == null ? "" : unit}`} title={`What the run is judged by, ${measuredByGoal.value ? "in its last evaluation" : "mean over the last 100 episodes"}`} />
        <Figure name="workers" value={now === null ? "–" : String(now.workers)} wide />
      </dl>
      <Speed />
      <nav class="nav" aria-label="Panels">
        {DRAWERS.map(([name, icon, text, key]) => (
          <Button key={name} expanded={drawer.value === name} label={text} title={`${text} (${key})`} onClick={() => toggleDrawer(name)}>
            <Icon name={icon} />
            <span class="wide-only">{text}</span>
          </Button>
        ))}
        <Button class="square plain" label={dark.value ? "Light colours" : "Dark colours"} title="Light or dark (D)" onClick={switchTheme}>
          <Icon name={dark.value ? "sun" : "moon"} />
        </Button>
        <Button class="square plain" label="Keys" title="Keys (?)" onClick={() => (keysOpen.value = true)}>
          <Icon name="keys" />
        </Button>
      </nav>
    </header>
  );
}

interface FigureProps {
  name: string;
  value: string;
  title?: string;
  wide?: boolean;
  children?: preact.ComponentChildren;
}

function Figure({ name, value, title, wide, children }: FigureProps) {
  return (
    <div class={wide ? "figure wide-only" : "figure"} title={title}>
      <dt>{name}</dt>
      <dd data-figure={name}>
        {value}
        {children}
      </dd>
    </div>
  );
}
