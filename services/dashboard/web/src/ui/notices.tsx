// The page's edge: answers that came after their place was left, and warnings; also for who hears the page.

import { Button, Icon } from "./parts";
import { dismiss, notices } from "./told";

export function Notices() {
  const close = (number: number) => {
    dismiss(number);
    // Its button goes, and the focus does not go with it.
    const next = document.querySelector<HTMLElement>(".notice button, .drawer, .grid canvas");
    next?.focus();
  };
  // There before anything is told: a region that comes with its text is not read out.
  return (
    <div class="notices" role="status" aria-label="What came of earlier actions, and warnings">
      {notices.value.map(({ number, phase, text }) => (
        <p key={number} class={`notice ${phase}`}>
          <span>
            <span aria-hidden="true">{phase === "done" ? "✓" : "!"}</span> {text}
          </span>
          <Button class="square plain" label="Dismiss" onClick={() => close(number)}>
            <Icon name="close" />
          </Button>
        </p>
      ))}
    </div>
  );
}
