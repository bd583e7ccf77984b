// The keyboard, and the list of its keys.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { grid, zoom, zoomBy } from "../grid/grid";
import { maySteer } from "../live/store";
import { pauseKey } from "../steer/speed";
import { drawer, toggleDrawer } from "./drawer";
import { Button, Icon } from "./parts";
import { letterKeys, switchTheme } from "./settings";

export const keysOpen = signal(false);

const KEYS: readonly (readonly [string, string])[] = [
  ["Space", "pause or resume"],
  ["+  −  0", "zoom the environments; all of them"],
  ["← ↑ → ↓", "choose an environment (when the picture has the focus)"],
  ["Enter", "open the chosen environment in 3D"],
  ["← ↑ → ↓ + −", "in 3D: turn and zoom (when the view has the focus)"],
  ["E", "to the environments"],
  ["G", "goal"],
  ["R", "rewards"],
  ["S", "set-up"],
  ["F", "fleet"],
  ["D", "dark or light"],
  ["Esc", "close what is open"],
  ["?", "this list"],
];

const ACTIONS: Record<string, () => void> = {
  " ": () => {
    if (maySteer.value) pauseKey.value();
  },
  "+": () => zoomBy(1),
  "=": () => zoomBy(1),
  "-": () => zoomBy(-1),
  "0": () => (zoom.value = 1),
  e: () => {
    if (grid.value !== null) document.querySelector<HTMLElement>(".grid canvas")?.focus();
  },
  g: () => toggleDrawer("goal"),
  r: () => toggleDrawer("rewards"),
  s: () => toggleDrawer("setup"),
  f: () => toggleDrawer("fleet"),
  d: switchTheme,
  "?": () => (keysOpen.value = true),
  Escape: () => (drawer.value = null),
};

/** Here Space scrolls. */
const SCROLLED = ".drawer, .cards, .chart-list, pre";

export function listenToKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as HTMLElement;
    // What is behind an open dialog is not reached, by keys either.
    if (target.closest("input, textarea, select") !== null || document.querySelector("dialog[open]") !== null) return;
    // Space and Enter press the button that has the focus.
    if (event.key === " " && target.closest("button, summary, a") !== null) return;
    if (event.key === " " && target.closest(SCROLLED) !== null) return;
    if (event.key === "Escape" && drawer.value === null) return;
    if (!letterKeys.value && event.key.length === 1 && event.key !== " ") return;
    const action = ACTIONS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (action === undefined) return;
    event.preventDefault();
    // A key that is held pauses once; zoom goes on.
    if (!event.repeat || "+=-".includes(event.key)) action();
  });
}

export function Keys() {
  return keysOpen.value ? <OpenKeys /> : null;
}

function OpenKeys() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} class="keys" aria-label="Keys" aria-modal="true" onClose={() => (keysOpen.value = false)}>
      <header>
        <h2>Keys</h2>
        <Button class="square plain" label="Close keys" onClick={() => dialog.current?.close()}>
          <Icon name="close" />
        </Button>
      </header>
      {!letterKeys.value && <p class="note">Keys of a single character are off, but for Space: Set-up, “What you see”.</p>}
      <dl>
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </dialog>
  );
}
