// What waits for a person's yes: all that is agreed to, and the answer.

import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";

import { short } from "../format";
import type { Waiting } from "../generated/messages";
import { command } from "../live/api";
import { adaptationChanged, goal, over } from "../live/store";
import { Button, Choice, Outcome, useAction } from "../ui/parts";
import { tell } from "../ui/told";
import { chosenName } from "./clips";
import { Code } from "./code";
import { pending } from "./history";

/** Characters that the learner takes of a reason. */
const MAX_REASON = 400;

export interface PendingAnswerProps {
  /** Where there is no room for all that is agreed to: shows it elsewhere. */
  onLook?: (asked: Waiting) => void;
}

/** Approve and reject, where something waits for a yes. */
export function PendingAnswer({ onLook }: PendingAnswerProps) {
  const asked = pending.value;
  if (asked === null) return null;
  if (over.value) {
    return (
      <p class="pending asked" title={onLook && asked.sentence}>
        <b>Waited for a yes when the run ended:</b> {asked.sentence}
      </p>
    );
  }
  return <Question key={asked.adaptation} asked={asked} onLook={onLook} />;
}

interface QuestionProps {
  asked: Waiting;
  onLook: ((asked: Waiting) => void) | undefined;
}

function Question({ asked, onLook }: QuestionProps) {
  const box = useRef<HTMLDivElement>(null);
  const action = useAction("Your answer");
  const reason = useSignal("");
  useLayoutEffect(() => {
    const element = box.current!;
    return () => {
      // It goes with its answer: what came of it is told where it stays.
      const { phase, text } = action.state.peek();
      if (phase === "done") tell("done", text);
      if (element.contains(document.activeElement)) element.parentElement?.closest<HTMLElement>("[tabindex]")?.focus();
    };
  }, []);
  // What was chosen of an earlier question's candidates is no answer to this one.
  const name = asked.names.includes(chosenName.value) ? chosenName.value : asked.names[0] ?? "";
  const { phase } = action.state.value;
  const answer = (kind: "approve" | "reject") =>
    action.run(async () => {
      const said = kind === "approve" ? { name } : { reason: reason.value.trim() };
      const applied = await command(kind, { adaptation: asked.adaptation, ...said });
      reason.value = "";
      adaptationChanged();
      return `${kind === "approve" ? "Approved" : "Rejected"} at update ${applied.update}`;
    });
  const brief = onLook !== undefined;
  return (
    <div class={`pending ${brief ? "brief" : ""} ${phase}`} role="group" aria-label="Waits for your answer" ref={box}>
      <p class="asked" title={brief ? asked.sentence : undefined}>
        <b>Waits for your yes:</b> {asked.sentence}
      </p>
      {!brief && asked.what === "goal" && <Measure adaptation={asked.adaptation} />}
      <div class="row">
        {asked.names.length > 1 && (
          <Choice label="Candidate" value={name} options={asked.names.map((each) => [each, each] as const)} onChange={(value) => (chosenName.value = value)} />
        )}
        <Button class="primary" steers disabled={phase === "busy"} onClick={() => void answer("approve")}>
          Approve
        </Button>
        <Button steers disabled={phase === "busy"} onClick={() => void answer("reject")}>
          Reject
        </Button>
        <label class="field inline why-not" title="Optional. It is told to the author of the next candidates">
          <span>Why not</span>
          <input value={reason.value} maxLength={MAX_REASON} onInput={(event) => (reason.value = event.currentTarget.value)} />
        </label>
        {brief && (
          <Button title={DETAILS[asked.what]} onClick={() => onLook(asked)}>
            Details
          </Button>
        )}
      </div>
      <Outcome state={action.state} />
    </div>
  );
}

const DETAILS = {
  goal: "The whole question, with the program that would measure the goal, and its target",
  reward: "The candidates with their programs, clips and curves",
  environment: "The whole question",
} as const;

/** What a yes to a goal agrees to. */
function Measure({ adaptation }: { adaptation: number }) {
  const measure = goal.value?.pending.find((each) => each.adaptation === adaptation)?.goal;
  if (measure === null || measure === undefined) return null;
  const { program, target, unit } = measure;
  return (
    <dl class="story">
      <dt>Target</dt>
      <dd>{typeof target === "number" ? `${short(target)} ${String(unit ?? "")}` : "none: there is always a better one"}</dd>
      {typeof program === "string" && (
        <>
          <dt>Program</dt>
          <dd>
            <Code source={program} label="Program that would measure the goal" />
          </dd>
        </>
      )}
    </dl>
  );
}
