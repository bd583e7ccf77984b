// One adaptation in full: why, candidates side by side, the trial, the decision; and what waits for a yes.

import { signal, useSignal } from "@preact/signals";

import { short, signed } from "../format";
import { over } from "../live/store";
import { Button, Choice, Empty } from "../ui/parts";
import { PendingAnswer } from "./answer";
import { ClipsOf } from "./clips";
import { Code, Diff } from "./code";
import { incumbent } from "./editor";
import { history, pending } from "./history";
import { CONTROL, type Adaptation, type Candidate } from "./log";
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

function CandidateCard({ adaptation, candidate }: { adaptation: Adaptation; candidate: Candidate }) {
  const diffed = useSignal(false);
  const verdict =
    candidate.accepted === null ? "at the gate" : candidate.accepted ? "passed the gate" : `refused: ${candidate.refusal}`;
  const fitness = adaptation.rounds.map((round) => round.fitness[candidate.name]);
  const control = adaptation.rounds.map((round) => round.fitness[CONTROL]);
  const won = adaptation.winner === candidate.name;
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
        <Diff before={incumbent.value} after={candidate.source} label={`Difference of ${candidate.name} to the reward in force`} />
      ) : (
        <Code source={candidate.source} label={`Program of ${candidate.name}`} />
      )}
      <Button class="small" pressed={diffed.value} onClick={() => (diffed.value = !diffed.value)}>
        {diffed.value ? "Program" : "Difference to the reward in force"}
      </Button>
    </article>
  );
}
