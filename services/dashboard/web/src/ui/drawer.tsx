// Drawers at the right: one at a time; Esc closes, focus goes in and comes back.

import { signal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

import { FleetDrawer } from "../fleet";
import type { Waiting } from "../generated/messages";
import { onTrial } from "../live/store";
import { chosenAdaptation } from "../steer/candidates";
import { GoalDrawer } from "../steer/goal";
import { pending } from "../steer/history";
import { RewardsDrawer, rewardsTab } from "../steer/rewards";
import { SetupDrawer } from "../steer/setup";
import { Button, Icon, OnlyLooks } from "./parts";
import { observeSize } from "./resize";

export type DrawerName = "goal" | "rewards" | "setup" | "fleet";
export const drawer = signal<DrawerName | null>(null);

const DRAWERS: Record<DrawerName, { title: string; pane: ComponentType }> = {
  goal: { title: "Goal", pane: GoalDrawer },
  rewards: { title: "Rewards", pane: RewardsDrawer },
  setup: { title: "Set-up", pane: SetupDrawer },
  fleet: { title: "Fleet", pane: FleetDrawer },
};

export function toggleDrawer(name: DrawerName): void {
  drawer.value = drawer.value === name ? null : name;
  if (drawer.value !== "rewards") return;
  // What is going on comes first, and what waits for a yes.
  const asked = pending.peek();
  if (asked?.what === "reward") showCandidates(asked.adaptation);
  else if (onTrial.peek()) showCandidates(null);
}

function showCandidates(adaptation: number | null): void {
  rewardsTab.value = "candidates";
  chosenAdaptation.value = adaptation;
}

/** Shows all of a question: a reward's beside its candidates, others with the goal. */
export function lookAt(asked: Waiting): void {
  if (asked.what === "reward") showCandidates(asked.adaptation);
  drawer.value = asked.what === "reward" ? "rewards" : "goal";
}

export function Drawer() {
  const name = drawer.value;
  return name === null ? null : <Open key={name} name={name} />;
}

function Open({ name }: { name: DrawerName }) {
  const { title, pane: Pane } = DRAWERS[name];
  const box = useRef<HTMLDivElement>(null);
  // At once: Esc may come before the next frame.
  useLayoutEffect(() => {
    const before = document.activeElement;
    const element = box.current!;
    element.focus();
    return () => {
      const at = document.activeElement;
      // Who has gone elsewhere meanwhile stays there.
      if (at !== document.body && !element.contains(at)) return;
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  // Below the top bar, wherever that is: a line above it says at times what is wrong.
  useLayoutEffect(() => {
    const bar = document.querySelector<HTMLElement>(".topbar")!;
    const banners = document.querySelector<HTMLElement>(".banners")!;
    const lie = () => box.current?.style.setProperty("--bar", `${Math.round(bar.getBoundingClientRect().bottom)}px`);
    lie();
    const stops = [observeSize(bar, lie), observeSize(banners, lie)];
    return () => stops.forEach((stop) => stop());
  }, []);
  return (
    <div
      class={`drawer ${name}`}
      role="dialog"
      aria-label={title}
      tabIndex={-1}
      ref={box}
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        drawer.value = null;
      }}
    >
      <header>
        <h2>{title}</h2>
        {name !== "fleet" && <OnlyLooks />}
        <Button class="square plain" label={`Close ${title}`} onClick={() => (drawer.value = null)}>
          <Icon name="close" />
        </Button>
      </header>
      <div class="drawer-body">
        <Pane />
      </div>
    </div>
  );
}
