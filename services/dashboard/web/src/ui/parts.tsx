// Small parts that panels share.

import { useSignal, type ReadonlySignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

import { ApiError } from "../live/api";
import { logOut, maySteer, onlyLooks, whyNot } from "../live/store";
import { tell } from "./told";

/** Icons: 16x16, drawn in the colour of the text. */
const PATHS = {
  pause: "M5 3v10M11 3v10",
  play: "M5 3l8 5-8 5z",
  close: "M4 4l8 8M12 4l-8 8",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  left: "M10 3L5 8l5 5",
  right: "M6 3l5 5-5 5",
  sliders: "M3 4h10M3 8h10M3 12h10M6 2.500v3M10 6.500v3M5 10.500v3",
  fleet: "M2 3h12v4H2zM2 9h12v4H2zM5 5h.01M5 11h.01",
  code: "M5 4L1.500 8 5 12M11 4l3.500 4-3.500 4M9.500 3l-3 10",
  goal: "M8 2a6 6 0 100 12A6 6 0 008 2zM8 5a3 3 0 100 6 3 3 0 000-6z",
  undo: "M6 3L2.500 6.500 6 10M3 6.500h6.500a3.500 3.500 0 010 7H7",
  sun: "M8 5a3 3 0 100 6 3 3 0 000-6zM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13 9.500A5.500 5.500 0 116.500 3 4.500 4.500 0 0013 9.500z",
  keys: "M1.500 4h13v8h-13zM4 7h.01M6.500 7h.01M9 7h.01M11.500 7h.01M5 9.500h6",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

export interface ActionState {
  phase: "idle" | "busy" | "done" | "failed";
  text: string;
}

export interface Action {
  state: ReadonlySignal<ActionState>;
  run: (act: () => Promise<string>, busy?: string) => Promise<void>;
  /** Forgets what was refused: something else is about to be asked for. */
  forget: () => void;
}

const IDLE: ActionState = { phase: "idle", text: "" };

/**
 * A button that acts on the live system: it says when that has taken effect, or why it did not. Who has left its
 * place meanwhile is told at the page's edge, with what the action is called.
 */
export function useAction(name = ""): Action {
  const state = useSignal(IDLE);
  const timer = useRef(0);
  const left = useRef(false);
  useLayoutEffect(
    () => () => {
      left.current = true;
      window.clearTimeout(timer.current);
    },
    [],
  );
  const say = (phase: "done" | "failed", text: string) => {
    if (!left.current) state.value = text === "" ? IDLE : { phase, text };
    else if (text !== "") tell(phase, name === "" ? text : `${name}: ${text}`);
  };
  const run = async (act: () => Promise<string>, busy = "waits for the update under way") => {
    window.clearTimeout(timer.current);
    state.value = { phase: "busy", text: busy };
    try {
      say("done", await act());
      if (!left.current) timer.current = window.setTimeout(() => (state.value = IDLE), 8000);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      say("failed", error.message);
    }
  };
  const forget = () => {
    if (state.peek().phase === "failed") state.value = IDLE;
  };
  return { state, run, forget };
}

/** Says what became of an action, also to screen readers. */
export function Outcome({ state }: { state: ReadonlySignal<ActionState> }) {
  const { phase, text } = state.value;
  const glyph = { idle: "", busy: "…", done: "✓", failed: "!" }[phase];
  return (
    <p class={`outcome ${phase}`} role="status" title={text || undefined}>
      {phase === "idle" ? "" : `${glyph} ${text}`}
    </p>
  );
}

/** Says in words why controls are off, beside them. */
export function OnlyLooks() {
  return onlyLooks.value ? <p class="only-looks" title={whyNot.value}>you can only look</p> : null;
}

/** The way out of a role that only looks: another token. */
export function OtherToken() {
  const action = useAction();
  if (!onlyLooks.value) return null;
  const leave = async () => {
    await logOut();
    return "";
  };
  return (
    <>
      <Button class="small" title="Log out, and log in with another token" onClick={() => void action.run(leave)}>
        Log out
      </Button>
      {action.state.value.phase === "failed" && <Outcome state={action.state} />}
    </>
  );
}

export interface ButtonProps {
  children: ComponentChildren;
  onClick: () => void;
  /** Acts on the run: needs the role control, a connection, and a run that is not over. */
  steers?: boolean;
  disabled?: boolean;
  label?: string;
  title?: string;
  class?: string;
  pressed?: boolean;
  expanded?: boolean;
}

export function Button({ children, onClick, steers, disabled, label, title, pressed, expanded, ...rest }: ButtonProps) {
  const barred = steers === true && !maySteer.value;
  const off = barred || disabled === true;
  // aria-disabled keeps it reachable by Tab, so that its reason can be found.
  return (
    <button
      type="button"
      class={`button ${rest.class ?? ""}`}
      aria-disabled={off ? "true" : undefined}
      aria-label={label}
      aria-pressed={pressed}
      aria-expanded={expanded}
      title={barred ? whyNot.value : title}
      onClick={() => {
        if (!off) onClick();
      }}
    >
      {children}
    </button>
  );
}

/** A field in which Enter does what the button beside it does. */
export function onEnter(act: () => void): (event: KeyboardEvent) => void {
  return (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    act();
  };
}

export interface ChoiceProps<T extends string | number> {
  label: string;
  title?: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
  visibleLabel?: boolean;
  disabled?: boolean;
}

export function Choice<T extends string | number>({ label, title, value, options, onChange, visibleLabel, disabled }: ChoiceProps<T>) {
  const select = (
    <select
      aria-label={visibleLabel ? undefined : label}
      title={title ?? label}
      value={String(value)}
      disabled={disabled}
      onChange={(event) => {
        const chosen = options.find(([each]) => String(each) === event.currentTarget.value);
        if (chosen !== undefined) onChange(chosen[0]);
      }}
    >
      {options.map(([each, text]) => (
        <option key={each} value={String(each)}>
          {text}
        </option>
      ))}
    </select>
  );
  if (!visibleLabel) return select;
  return (
    <label class="field">
      <span>{label}</span>
      {select}
    </label>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}
