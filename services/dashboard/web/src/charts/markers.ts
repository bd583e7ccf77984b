// Dashed lines in the charts where something was changed.

import type { TimelineEvent } from "../generated/messages";

export interface Marker {
  x: number;
  glyph: string;
  /** What was done there, in words. */
  words: string;
  /** CSS variable. */
  colour: string;
  /** What changed the learning, against what only announced it. */
  strong: boolean;
}

type Look = Omit<Marker, "x">;

const LOOKS: Record<string, Look> = {
  adopted: { glyph: "▲", words: "a reward is adopted", colour: "--good", strong: true },
  rolled_back: { glyph: "▼", words: "a reward is taken back", colour: "--bad", strong: true },
  goal: { glyph: "◎", words: "a goal begins", colour: "--info", strong: true },
  trigger: { glyph: "?", words: "another reward is asked for", colour: "--muted", strong: false },
};
const byCommand = (glyph: string, words: string): Look => ({ glyph, words, colour: "--muted", strong: false });
const COMMANDS: Record<string, Look> = {
  set_task: byCommand("task", "another task"),
  set_num_envs: byCommand("n", "another number of environments"),
  set_reward: byCommand("r", "another reward, set by hand"),
  set_difficulty: byCommand("d", "another difficulty"),
  set_knobs: byCommand("k", "other physics (knobs)"),
};

/** All signs and their words, for who wants to know. */
export const MARKER_KEY = [...Object.values(LOOKS), ...Object.values(COMMANDS)].map(({ glyph, words }) => `${glyph} ${words}`).join("\n");

const placeOf = (event: TimelineEvent, xAxis: "steps" | "time") => (xAxis === "steps" ? event.env_steps : event.time_unix_s);

/** Where fitness began to be measured otherwise. */
export function goalsOf(events: readonly TimelineEvent[], xAxis: "steps" | "time"): number[] {
  return events.filter((each) => each.kind === "adaptation" && each.values["event"] === "goal").map((each) => placeOf(each, xAxis));
}

export function markersOf(events: readonly TimelineEvent[], xAxis: "steps" | "time"): Marker[] {
  const found: Marker[] = [];
  for (const event of events) {
    const table = event.kind === "adaptation" ? LOOKS : event.kind === "command" ? COMMANDS : {};
    const look = table[String(event.values[event.kind === "adaptation" ? "event" : "command"])];
    if (look !== undefined) found.push({ x: placeOf(event, xAxis), ...look });
  }
  return found;
}

/** A sign, and where its middle is. */
export interface Label {
  marker: Marker;
  middle: number;
}

/**
 * Signs beside one another, from `left` to `right`: one that would be printed over the one before is moved
 * behind it, and left out where that is the same.
 */
export function labelsOf(wanted: readonly Label[], widthOf: (glyph: string) => number, gap: number, right: number): Label[] {
  const placed: { label: Label; from: number; to: number }[] = [];
  for (const { marker, middle } of [...wanted].sort((a, b) => a.middle - b.middle)) {
    const half = widthOf(marker.glyph) / 2;
    const before = placed.at(-1);
    const covered = before !== undefined && middle - half < before.to + gap;
    if (covered && placed.some(({ label, to }) => label.marker.glyph === marker.glyph && middle - half < to + gap)) continue;
    const at = covered ? before.to + gap + half : middle;
    placed.push({ label: { marker, middle: at }, from: at - half, to: at + half });
  }
  // At the right edge there is no room behind: all of them move on to the left.
  let end = right;
  for (const each of [...placed].reverse()) {
    const over = each.to - end;
    if (over <= 0) break;
    each.label.middle -= over;
    end = each.from - over - gap;
  }
  return placed.map((each) => each.label);
}
