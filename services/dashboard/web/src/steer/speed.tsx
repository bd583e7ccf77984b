// Pause and speed: in the top bar, always at hand.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { command } from "../live/api";
import { status } from "../live/store";
import { Button, Icon, OnlyLooks, OtherToken, useAction } from "../ui/parts";

const SPEEDS = [
  [0.25, "¼×", "A quarter of real time"],
  [1, "1×", "Real time"],
  [null, "max", "As fast as the fleet can"],
] as const;

/** What was just set from here, until the status tells it. */
const asked = signal<number | null | undefined>(undefined);

export function togglePause(run: (act: () => Promise<string>) => Promise<void>): void {
  const paused = status.peek()?.state === "paused";
  void run(async () => {
    const applied = await command(paused ? "resume" : "pause");
    return `${paused ? "Goes on" : "Paused"} at update ${applied.update}`;
  });
}

/** For the keyboard: the top bar's own action, so that its answer is seen there. */
export const pauseKey = signal<() => void>(() => {});

export function Speed() {
  const action = useAction();
  const paused = status.value?.state === "paused";
  const speed = asked.value === undefined ? status.value?.speed ?? null : asked.value;
  const reached = status.value?.real_time_factor ?? 0;
  useEffect(() => void (asked.value = undefined), [status.value?.speed]);
  pauseKey.value = () => togglePause(action.run);
  const { phase, text } = action.state.value;
  return (
    <div class="speed">
      <OnlyLooks />
      <OtherToken />
      <Button
        class="primary pause"
        steers
        label={paused ? "Resume" : "Pause"}
        title={`${paused ? "Resume" : "Pause"} (Space)`}
        onClick={() => togglePause(action.run)}
      >
        <Icon name={paused ? "play" : "pause"} />
        <span class="wide-only">{paused ? "Resume" : "Pause"}</span>
      </Button>
      <span class="group" role="group" aria-label="Speed">
        {SPEEDS.map(([value, text, title]) => (
          <Button
            key={text}
            steers
            class="square"
            title={title}
            pressed={speed === value}
            onClick={() =>
              void action.run(async () => {
                const applied = await command("set_speed", { speed: value });
                asked.value = value;
                return `${title} since update ${applied.update}`;
              })
            }
          >
            {text}
          </Button>
        ))}
      </span>
      {speed !== null && reached > 0 && (
        <span class="muted numbers reached" title="Simulated seconds of each environment per second, over the last updates">
          {reached.toFixed(reached < 1 ? 2 : 1)}× reached
        </span>
      )}
      {phase !== "idle" && (
        <span class={`toast ${phase}`} role="status">
          {{ busy: "…", done: "✓", failed: "!" }[phase]} {text}
        </span>
      )}
    </div>
  );
}
