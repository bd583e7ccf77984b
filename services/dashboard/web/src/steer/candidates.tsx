// One adaptation in full: why, candidates side by side, the trial, the decision; and what waits for a yes.

import { signal, useSignal } from "@preact/signals";

import { short, signed } from "../format";
import { over, rewards } from "../live/store";
import { Button, Choice, Empty } from "../ui/parts";
import { PendingAnswer } from "./answer";
import { ClipsOf } from "./clips";
import { Code, Diff } from "./code";
import { incumbent } from "./editor";
import { history, pending } from "./history";
import { CONTROL, TASKS_OWN, type Adaptation, type Candidate } from "./log";
import { taskDetail } from "./task";
import { colourOf, TrialChart } from "./trial";

/** Number of the adaptation that is looked at; null: the last one. */
export const chosenAdaptation = signal<number | null>(null);

const OUTCOME_LOOKS = {
  running: { glyph: "…", class: "info", text: "under way" },
  adopted: { glyph: "▲", class: "good", text: "adopted" },
  kept: { glyph: "=", class: "", text: "nothing changed" },
  "rolled back": { glyph: "▼", class: "bad", text: "rolled back" },
  waiting: { glyph: "?", class: "warn", text: "waits for you" },
  answered: { glyph: "=", class: "", text: "answered" },
  replaced: { glyph: "=", class: "", text: "replaced" },
  failed: { glyph: "✕", class: "", text: "ended without a trial" },
} as const;

/** How an adaptation stands; nothing is under way any more in a run that is over. */
export function lookOf({ outcome }: Adaptation): { glyph: string; class: string; text: string } {
  return outcome === "running" && over.value ? { glyph: "…", class: "", text: "not ended" } : OUTCOME_LOOKS[outcome];
}

export function CandidatesPane() {
  const { adaptations } = history.value;
  const adaptation = adaptations.find((each) => each.number === chosenAdaptation.value) ?? adaptations.at(-1);
  if (adaptation === undefined) {
    return <Empty>No adaptation so far. Set a goal, or ask for candidates, and they appear here side by side.</Empty>;
  }
  const look = lookOf(adaptation);
  // What waits for a yes says the decision itself.
  const decision = adaptation.decision === pending.value?.sentence ? "" : adaptation.decision;
  return (
    <div class="adaptation">
      <div class="row of-which">
        <Choice
          label="Adaptation"
          visibleLabel
          value={adaptation.number}
          options={adaptations.map((each) => [each.number, `#${each.number} at ${short(each.envSteps)} steps`] as const)}
          onChange={(value) => (chosenAdaptation.value = value)}
        />
        <span class={`chip ${look.class}`}>
          <span aria-hidden="true">{look.glyph}</span> {look.text}
        </span>
      </div>
      <dl class="story">
        <dt>Why</dt>
        <dd>
          {adaptation.trigger}
          {adaptation.evidence !== "" && `: ${adaptation.evidence}`}
        </dd>
        {adaptation.diagnosis !== "" && (
          <>
            <dt>Diagnosis</dt>
            <dd>{adaptation.diagnosis}</dd>
          </>
        )}
        {decision !== "" && (
          <>
            <dt>Decision</dt>
            <dd>{decision}</dd>
          </>
        )}
        {adaptation.note !== "" && adaptation.note !== adaptation.decision && (
          <>
            <dt>Then</dt>
            <dd>{adaptation.note}</dd>
          </>
        )}
      </dl>
      <ClipsOf adaptation={adaptation} />
      <PendingAnswer />
      <div class="candidates">
        {adaptation.candidates.map((candidate) => (
          <CandidateCard key={candidate.name} adaptation={adaptation} candidate={candidate} />
        ))}
      </div>
      <TrialChart adaptation={adaptation} />
    </div>
  );
}

/** The program of a reward; empty where it is not known any more. */
function sourceOf(id: string): string {
  const candidates = history.value.adaptations.flatMap((each) => each.candidates);
  const known = candidates.find((each) => each.programId === id) ?? rewards.value?.rewards.find((each) => each.id === id);
  return known?.source ?? (id === TASKS_OWN ? taskDetail.value?.reward_source : "") ?? "";
}

/** What candidates are compared with: once it is decided, with what they were tried beside, whatever came after. */
function comparedWith({ outcome, rewardBefore }: Adaptation): { source: string; words: string } {
  const isOpen = outcome === "running" || outcome === "waiting";
  if (isOpen || rewardBefore === null) return { source: incumbent.value, words: "the reward in force" };
  return { source: sourceOf(rewardBefore), words: "the reward then in force" };
}

function CandidateCard({ adaptation, candidate }: { adaptation: Adaptation; candidate: Candidate }) {
  const diffed = useSignal(false);
  const verdict =
    candidate.accepted === null ? "at the gate" : candidate.accepted ? "passed the gate" : `refused: ${candidate.refusal}`;
  const fitness = adaptation.rounds.map((round) => round.fitness[candidate.name]);
  const control = adaptation.rounds.map((round) => round.fitness[CONTROL]);
  const won = adaptation.winner === candidate.name;
  const before = comparedWith(adaptation);
  return (
    <article class={`candidate ${won && adaptation.promoted ? "won" : ""}`} aria-label={`Candidate ${candidate.name}`}>
      <header>
        <span class="dot" style={{ background: colourOf(adaptation, candidate.name) }} aria-hidden="true" />
        <h4>{candidate.name}</h4>
        <span class="by">{candidate.origin}</span>
        {won && <span class={`chip ${adaptation.promoted ? "good" : ""}`}>{adaptation.promoted ? "▲ won" : "best"}</span>}
      </header>
      {candidate.hypothesis !== "" && <p class="hypothesis">{candidate.hypothesis}</p>}
      <p class={candidate.accepted === false ? "bad" : "muted"}>{verdict}</p>
      {fitness.some((value) => value !== undefined) && (
        <p class="numbers">
          fitness {fitness.map((value) => short(value)).join(" → ")}
          <span class="muted"> (control {control.map((value) => short(value)).join(" → ")})</span>
          {won && adaptation.gain !== null && <b> gain {signed(adaptation.gain)}, at least {signed(adaptation.gainLow)}</b>}
        </p>
      )}
      {diffed.value ? (
        <Diff before={before.source} after={candidate.source} label={`Difference of ${candidate.name} to ${before.words}`} to={before.words} />
      ) : (
        <Code source={candidate.source} label={`Program of ${candidate.name}`} />
      )}
      <Button
        class="small"
        disabled={before.source === ""}
        title={before.source === "" ? "Its program is not known here" : ""}
        pressed={diffed.value}
        onClick={() => (diffed.value = !diffed.value)}
      >
        {diffed.value ? "Program" : `Difference to ${before.words}`}
      </Button>
    </article>
  );
}
