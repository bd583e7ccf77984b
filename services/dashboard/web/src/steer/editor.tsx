// The reward editor: checks while typing, shows each message at its line, tries or adopts.

import { computed, signal, useSignal, useSignalEffect } from "@preact/signals";
import { useRef } from "preact/hooks";

import type { RewardCheck } from "../generated/messages";
import { untilAnswered } from "../live/again";
import { command, post } from "../live/api";
import { adaptationChanged, over, rewards } from "../live/store";
import { Button, Outcome, useAction } from "../ui/parts";
import { Diff, Pieces } from "./code";
import { highlightLines } from "./highlight";
import { taskDetail } from "./task";
import { UnknownRewards } from "./unknown";

const CHECK_AFTER_MS = 250;
const INDENT = "    ";

/** What is being written; kept while the drawer is closed. */
export const draft = signal<string | null>(null);
const name = signal("by hand");

/** The program in force: of the task itself where none was adopted. */
export const incumbent = computed(() => {
  const known = rewards.value;
  const entry = known?.rewards.find((each) => each.id === known.in_force);
  return entry?.source ?? taskDetail.value?.reward_source ?? "";
});

export function Editor() {
  const text = draft.value ?? incumbent.value;
  const check = useSignal<(RewardCheck & { source: string }) | null>(null);
  const problem = useSignal("");
  const showDiff = useSignal(false);
  const force = useSignal(false);
  const area = useRef<HTMLTextAreaElement>(null);
  const shadow = useRef<HTMLPreElement>(null);
  const action = useAction("Rewards");

  useSignalEffect(() => {
    const source = draft.value;
    // What went wrong with the text before says nothing of this one.
    problem.value = "";
    if (source === null || source.trim() === "") {
      check.value = null;
      return undefined;
    }
    let stop = () => {};
    const timer = window.setTimeout(() => {
      stop = untilAnswered(
        () => post<RewardCheck>("rewards/check", { source, session: null }),
        (answer) => {
          problem.value = "";
          check.value = { ...answer, source };
        },
        (error) => (problem.value = error.message),
      );
    }, CHECK_AFTER_MS);
    return () => {
      window.clearTimeout(timer);
      stop();
    };
  });

  const act = (kind: string, values: Record<string, unknown>, said: string) =>
    action.run(async () => {
      const applied = await command(kind, values);
      adaptationChanged();
      return `${said} at update ${applied.update}`;
    });
  // What was said of the text before the last key says nothing of this one's lines.
  const fresh = check.value?.source === text ? check.value : null;
  const messages = fresh?.messages ?? [];
  const refused = fresh !== null && !fresh.ok;
  const empty = draft.value !== null && text.trim() === "";
  const busy = action.state.value.phase === "busy";
  const whyUnsent =
    draft.value === null ? "It is in force: change it first."
    : empty ? "There is no program."
    : refused ? "It is refused: see above."
    : fresh === null && problem.value === "" ? "It is being checked."
    : busy ? "The last command is under way."
    : "";
  const lines = highlightLines(text);
  const jump = (line: number, column: number) => {
    const at = text.split("\n").slice(0, Math.max(0, line - 1)).reduce((sum, each) => sum + each.length + 1, 0) + Math.max(0, column - 1);
    area.current?.focus();
    area.current?.setSelectionRange(at, at);
  };

  if (over.value && text === "") return <UnknownRewards />;
  return (
    <div class="editor-pane">
      <div class={`editor ${refused ? "refused" : ""}`}>
        <pre class="code shadow" aria-hidden="true" ref={shadow}>
          {lines.map((pieces, i) => {
            const said = messages.filter((each) => each.line === i + 1);
            return (
              <span key={i} class={`line ${said.length > 0 ? "wrong" : ""}`}>
                <span class="number">{i + 1}</span>
                <Pieces pieces={pieces} />
                {said.length > 0 && <span class="lens">{`  ← ${said[0]!.message}`}</span>}
                {"\n"}
              </span>
            );
          })}
        </pre>
        <textarea
          ref={area}
          class="code"
          aria-label="Reward program"
          aria-describedby="editor-messages"
          aria-invalid={refused}
          spellcheck={false}
          autocapitalize="off"
          autocomplete="off"
          wrap="off"
          readOnly={over.value}
          value={text}
          onInput={(event) => (draft.value = event.currentTarget.value)}
          onScroll={(event) => {
            shadow.current!.scrollTop = event.currentTarget.scrollTop;
            shadow.current!.scrollLeft = event.currentTarget.scrollLeft;
          }}
          onKeyDown={(event) => onKey(event)}
        />
      </div>
      <div id="editor-messages" class="gate" role="status">
        {problem.value !== "" && <p class="bad">! {problem.value}</p>}
        {draft.value === null && (
          <p class="muted">
            {over.value
              ? "The run is over. This is the reward that was in force."
              : "This is the reward in force. Change it, and it is checked as you type."}
          </p>
        )}
        {empty && <p class="bad">! There is no program. It begins with “def reward(state, action):” and returns a number for each environment.</p>}
        {fresh?.ok && problem.value === "" && (
          <p class="good">
            ✓ The {fresh.judged_by} accepts it{fresh.components.length > 0 ? `: ${fresh.components.join(", ")}` : ""}.
            {fresh.judged_by === "language" && (
              <span class="muted" title="reward-gen, whose gate tries a reward on made-up states, does not answer"> Language only.</span>
            )}
          </p>
        )}
        {messages.map((each, i) => (
          <button key={i} type="button" class="link bad" onClick={() => jump(each.line, each.column)}>
            {each.line > 0 ? `Line ${each.line}: ` : ""}
            {each.message}
          </button>
        ))}
      </div>
      {!over.value && (
        <>
          <div class="row">
            <label class="field inline">
              <span>Name</span>
              <input value={name.value} maxLength={100} onInput={(event) => (name.value = event.currentTarget.value)} />
            </label>
            <Button class="primary" steers disabled={whyUnsent !== ""} title={whyUnsent || "On groups of environments, beside the reward in force"} onClick={() => void act("try_reward", { source: text, name: name.value.trim() || "by hand" }, "Its trial begins")}>
              Try it beside the present one
            </Button>
            <Button steers disabled={whyUnsent !== ""} title={whyUnsent || "Without a trial; on probation"} onClick={() => void act("adopt_reward", { reward: text, force: force.value, name: name.value.trim() }, "In force")}>
              Adopt now
            </Button>
            <label class="check" title="Although it prefers worse behaviour among this run's trajectories">
              <input type="checkbox" checked={force.value} onChange={(event) => (force.value = event.currentTarget.checked)} />
              <span>even if it prefers worse behaviour</span>
            </label>
          </div>
          <Outcome state={action.state} />
          <div class="row">
            <Button pressed={showDiff.value} onClick={() => (showDiff.value = !showDiff.value)}>
              Difference to the reward in force
            </Button>
            <Button disabled={draft.value === null} onClick={() => (draft.value = null)}>
              Back to the reward in force
            </Button>
          </div>
          {showDiff.value && <Diff before={incumbent.value} after={text} label="Difference to the reward in force" />}
        </>
      )}
      <Fields />
    </div>
  );
}

/** Tab leaves the editor, as everywhere; Ctrl+] indents, Enter keeps the indentation. */
function onKey(event: KeyboardEvent & { currentTarget: HTMLTextAreaElement }): void {
  const area = event.currentTarget;
  if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
    const line = area.value.slice(0, area.selectionStart).split("\n").at(-1)!;
    const indent = /^\s*/.exec(line)![0] + (line.trimEnd().endsWith(":") ? INDENT : "");
    event.preventDefault();
    insert(area, `\n${indent}`);
  } else if (event.key === "]" && event.ctrlKey) {
    event.preventDefault();
    insert(area, INDENT);
  }
}

function insert(area: HTMLTextAreaElement, text: string): void {
  // Old, and the one way to write as if it were typed: what else sets text ends what can be undone.
  if (document.execCommand("insertText", false, text)) return;
  area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
  draft.value = area.value;
}

function Fields() {
  const detail = taskDetail.value;
  if (detail === null) return null;
  return (
    <details class="fields">
      <summary>What it may read ({detail.fields.length} fields)</summary>
      <table>
        <tbody>
          {detail.fields.map((field) => (
            <tr key={field.name}>
              <th scope="row">
                <code>state.{field.name}</code>
              </th>
              <td>{field.columns > 0 ? `(N, ${field.columns})` : "(N,)"}</td>
              <td>{field.unit}</td>
              <td>{field.description}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
