// What the learner warns of, as steps of the timeline.

import { short, whole } from "../format";
import type { TimelineEvent } from "../generated/messages";
import { withoutNumbers } from "../ui/told";
import type { Step } from "./log";

/**
 * A warning may come with every update: those that follow upon one of their kind are one step, which says the last
 * of them and how many there were.
 */
export function warningsOf(events: readonly TimelineEvent[]): Step[] {
  const groups: TimelineEvent[][] = [];
  for (const event of events) {
    if (event.kind !== "warning") continue;
    const before = groups.at(-1);
    if (before !== undefined && withoutNumbers(before[0]!.title) === withoutNumbers(event.title)) before.push(event);
    else groups.push([event]);
  }
  return groups.map((group) => {
    const [first, last] = [group[0]!, group.at(-1)!];
    const detail = group.length === 1 ? "" : `${whole(group.length)} times since ${short(first.env_steps)} steps`;
    return { n: first.number, envSteps: last.env_steps, what: "warning", title: last.title, detail, rewardId: null, by: "" };
  });
}
