// What came of actions whose place on the page is gone by the time their answer comes, and what the run warns of.

import { signal } from "@preact/signals";

export interface Notice {
  number: number;
  phase: "done" | "failed" | "warning";
  text: string;
}

/** Warnings of one kind differ in their numbers: how many transitions, which update. */
export const withoutNumbers = (text: string) => text.replace(/\d+/g, "#");

/** More than so many would cover the page: the oldest go. */
const MOST = 4;
/** What took effect needs no closing. What did not stays until somebody closes it. */
const DONE_MS = 20_000;

export const notices = signal<readonly Notice[]>([]);
let last = 0;

/** Tells it once while it stands: what is told again and again would push out all else. */
export function tell(phase: Notice["phase"], text: string): void {
  const isSame = (each: Notice) => each.phase === phase && withoutNumbers(each.text) === withoutNumbers(text);
  if (phase !== "done" && notices.value.some(isSame)) return;
  const number = ++last;
  notices.value = [...notices.value, { number, phase, text }].slice(-MOST);
  if (phase === "done") window.setTimeout(() => dismiss(number), DONE_MS);
}

export function dismiss(number: number): void {
  notices.value = notices.value.filter((each) => each.number !== number);
}
