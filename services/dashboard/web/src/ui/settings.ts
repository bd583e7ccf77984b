// What a person has chosen to see; kept in this browser.

import { effect, signal, type Signal } from "@preact/signals";

import type { Filter, Sort } from "../grid/order";

const PREFIX = "websim.";

/** A signal that survives a reload. `allowed` refuses what an older page may have left. */
function kept<T>(name: string, initial: T, allowed: (value: unknown) => value is T): Signal<T> {
  let value = initial;
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(PREFIX + name) ?? "null");
    if (allowed(stored)) value = stored;
  } catch {
    // Storage is off or holds something else: begin as new.
  }
  const kept = signal(value);
  effect(() => {
    try {
      localStorage.setItem(PREFIX + name, JSON.stringify(kept.value));
    } catch {
      // Nothing is kept then.
    }
  });
  return kept;
}

function oneOf<T>(...values: readonly T[]): (value: unknown) => value is T {
  return (value): value is T => values.includes(value as T);
}

const isFlag = oneOf(true, false);

export type Theme = "system" | "dark" | "light";
export const theme = kept<Theme>("theme", "system", oneOf("system", "dark", "light"));
export const sort = kept<Sort>("sort", "id", oneOf("id", "best", "worst", "newest", "oldest"));
export const filter = signal<Filter>("all");
export const flashes = kept("flashes", true, isFlag);
/** Whether single characters are keys: who speaks to the computer may not want them. */
export const letterKeys = kept("letterKeys", true, isFlag);
export const figuresHz = kept<number>("figuresHz", 30, oneOf(5, 15, 30));
export const xAxis = kept<"steps" | "time">("xAxis", "steps", oneOf("steps", "time"));
/** Weight of what was before, in the charts' moving average. */
export const smoothing = kept<number>("smoothing", 0.6, (value): value is number => typeof value === "number" && value >= 0 && value < 1);
export const markers = kept("markers", true, isFlag);

const systemDark = window.matchMedia("(prefers-color-scheme: dark)");
const systemCalm = window.matchMedia("(prefers-reduced-motion: reduce)");
const systemIsDark = signal(systemDark.matches);
export const reducedMotion = signal(systemCalm.matches);
systemDark.addEventListener("change", (event) => (systemIsDark.value = event.matches));
systemCalm.addEventListener("change", (event) => (reducedMotion.value = event.matches));

export const dark = signal(true);
effect(() => {
  dark.value = theme.value === "system" ? systemIsDark.value : theme.value === "dark";
  document.documentElement.dataset["theme"] = dark.value ? "dark" : "light";
});

export function switchTheme(): void {
  theme.value = dark.value ? "light" : "dark";
}
