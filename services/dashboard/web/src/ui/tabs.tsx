// Tabs as the ARIA practices have them: arrows move, one is in the Tab order.

import type { Signal } from "@preact/signals";
import type { ComponentType } from "preact";

export interface TabsProps<T extends string> {
  label: string;
  chosen: Signal<T>;
  tabs: readonly (readonly [T, string, ComponentType])[];
}

export function Tabs<T extends string>({ label, chosen, tabs }: TabsProps<T>) {
  const at = Math.max(0, tabs.findIndex(([name]) => name === chosen.value));
  const Pane = tabs[at]![2];
  const onKeyDown = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const to = tabs[(at + step + tabs.length) % tabs.length]![0];
    chosen.value = to;
    document.getElementById(`tab-${to}`)?.focus();
  };
  return (
    <>
      <div class="tabs" role="tablist" aria-label={label} onKeyDown={onKeyDown}>
        {tabs.map(([name, text], i) => (
          <button
            key={name}
            id={`tab-${name}`}
            type="button"
            role="tab"
            aria-selected={i === at}
            aria-controls="tab-pane"
            tabIndex={i === at ? 0 : -1}
            onClick={() => (chosen.value = name)}
          >
            {text}
          </button>
        ))}
      </div>
      <div id="tab-pane" role="tabpanel" aria-labelledby={`tab-${tabs[at]![0]}`} tabIndex={-1}>
        <Pane />
      </div>
    </>
  );
}
