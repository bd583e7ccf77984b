// Has every decision of the run made again from its log alone, and says how they compare.

import type { Replay } from "../generated/messages";
import { get } from "../live/api";

/** The learner gives up after 30 s. */
const DEADLINE_MS = 45_000;

export async function checkDecisions(): Promise<string> {
  return inWords(await get<Replay>("adaptations/replay", DEADLINE_MS));
}

export function inWords({ decisions, problem }: Replay): string {
  if (problem !== "") return problem;
  const others = decisions.filter((each) => !each.same);
  if (others.length === 0) return `${decisions.length} decisions, all reproduced`;
  const which = others.map((each) => `row ${each.n} (${each.kind} of #${each.adaptation})`).join(", ");
  return `${others.length} of ${decisions.length} decisions come out otherwise: ${which}`;
}
