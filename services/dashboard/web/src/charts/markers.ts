// Dashed lines in the charts where something was changed.

import type { TimelineEvent } from "../generated/messages";

export interface Marker {
  x: number;
  glyph: string;
  /** CSS variable. */
  colour: string;
  /** What changed the learning, against what only announced it. */
  strong: boolean;
}

const LOOKS: Record<string, { glyph: string; colour: string; strong: boolean }> = {
  adopted: { glyph: "▲", colour: "--good", strong: true },
  rolled_back: { glyph: "▼", colour: "--bad", strong: true },
  goal: { glyph: "◎", colour: "--info", strong: true },
  trigger: { glyph: "?", colour: "--muted", strong: false },
};
const COMMANDS: Record<string, string> = {
  set_task: "task",
  set_num_envs: "n",
  set_reward: "r",
  set_difficulty: "d",
  set_knobs: "k",
};

const placeOf = (event: TimelineEvent, xAxis: "steps" | "time") => (xAxis === "steps" ? event.env_steps : event.time_unix_s);

/** Where fitness began to be measured otherwise. */
export function goalsOf(events: readonly TimelineEvent[], xAxis: "steps" | "time"): number[] {
  return events.filter((each) => each.kind === "adaptation" && each.values["event"] === "goal").map((each) => placeOf(each, xAxis));
}

export function markersOf(events: readonly TimelineEvent[], xAxis: "steps" | "time"): Marker[] {
  const found: Marker[] = [];
  for (const event of events) {
    const x = placeOf(event, xAxis);
    if (event.kind === "adaptation") {
      const look = LOOKS[String(event.values["event"])];
      if (look !== undefined) found.push({ x, ...look });
    } else if (event.kind === "command") {
      const glyph = COMMANDS[String(event.values["command"])];
      if (glyph !== undefined) found.push({ x, glyph, colour: "--muted", strong: false });
    }
  }
  return found;
}
