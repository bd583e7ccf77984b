// What the contenders of a trial look like: their clips side by side, all at the same time of their episodes, in a loop.

import { signal, useComputed, useSignal, type ReadonlySignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { fixed, short } from "../format";
import type { Clips } from "../generated/messages";
import { readPalette } from "../grid/draw";
import { untilAnswered } from "../live/again";
import { get } from "../live/api";
import { link, status } from "../live/store";
import { Button, Icon } from "../ui/parts";
import { observeSize } from "../ui/resize";
import { dark, reducedMotion } from "../ui/settings";
import { pending } from "./history";
import type { Adaptation } from "./log";
import { reelsOf, Screen, wayAt, type Reel } from "./reel";
import { colourOf } from "./trial";

const DRAW_MS = 33;
/** The end is looked at for so long before all begin anew. */
const REST_S = 0.8;
/** Where a clip stands that does not move by itself: most robots are on their way by then. */
const STILL_S = 1;

/** The candidate that a person has chosen of those that wait for a yes. */
export const chosenName = signal("");

export function ClipsOf({ adaptation }: { adaptation: Adaptation }) {
  const reels = useSignal<Reel[]>([]);
  const isDecided = adaptation.rounds.length > 0 && adaptation.outcome !== "running";
  const isLive = link.value === "live";
  // While the learner is away, the service answers that there are none.
  const isAnswered = status.value?.learner_error === null;
  const run = status.value?.run_key;
  useEffect(() => void (reels.value = []), [adaptation.number, isDecided, run]);
  useEffect(() => {
    if (!isDecided || !isLive || reels.peek().length > 0) return undefined;
    return untilAnswered(
      () => get<Clips>(`adaptations/${adaptation.number}/clips`),
      (clips) => (reels.value = reelsOf(clips)),
    );
  }, [adaptation.number, isDecided, run, isLive, isAnswered]);
  return reels.value.length === 0 ? null : <Reels key={adaptation.number} adaptation={adaptation} reels={reels.value} />;
}

function Reels({ adaptation, reels }: { adaptation: Adaptation; reels: readonly Reel[] }) {
  const plays = useSignal(!reducedMotion.value);
  const timeS = useSignal(reducedMotion.value ? STILL_S : 0);
  const lengthS = Math.max(...reels.map((each) => each.lengthS));
  const shownS = useComputed(() => Math.min(timeS.value, lengthS));
  useEffect(() => {
    if (!plays.value) return undefined;
    let before = performance.now();
    const timer = window.setInterval(() => {
      // Who has just stopped them is not moved on before this effect is gone.
      if (!plays.peek()) return;
      const now = performance.now();
      // A page that was busy or hidden goes on where it was.
      const next = timeS.peek() + Math.min(3 * DRAW_MS, now - before) / 1000;
      timeS.value = next > lengthS + REST_S ? 0 : next;
      before = now;
    }, DRAW_MS);
    return () => window.clearInterval(timer);
  }, [plays.value, lengthS]);
  return (
    <section class="clips" aria-label="What the contenders look like">
      <div class="reels">
        {reels.map((reel) => (
          <ReelFigure key={reel.name} reel={reel} timeS={timeS} adaptation={adaptation} />
        ))}
      </div>
      <div class="row">
        <Button class="small" onClick={() => (plays.value = !plays.value)}>
          <Icon name={plays.value ? "pause" : "play"} />
          {plays.value ? "Pause the clips" : "Play the clips"}
        </Button>
        <input
          type="range"
          aria-label="Time within the clips, s"
          min="0"
          max={lengthS.toFixed(2)}
          step="0.01"
          value={shownS}
          onInput={(event) => {
            plays.value = false;
            timeS.value = Number(event.currentTarget.value);
          }}
        />
        <span class="muted">Each one's {reels[0]!.episode} episodes, by fitness, at the end of the trial</span>
      </div>
    </section>
  );
}

function ReelFigure({ reel, timeS, adaptation }: { reel: Reel; timeS: ReadonlySignal<number>; adaptation: Adaptation }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const colour = colourOf(adaptation, reel.name);
  useEffect(() => {
    const screen = new Screen(canvas.current!);
    const draw = () => screen.draw(reel, timeS.peek(), palette, colour);
    let palette = readPalette(dark.peek());
    const fit = () => {
      screen.fit();
      draw();
    };
    fit();
    const stops = [
      timeS.subscribe(draw),
      dark.subscribe((isDark) => {
        palette = readPalette(isDark);
        draw();
      }),
      observeSize(canvas.current!, fit),
    ];
    return () => stops.forEach((stop) => stop());
  }, [reel, timeS, colour]);
  const said = useComputed(() => {
    const now = Math.min(timeS.value, reel.lengthS);
    const way = reel.goes ? ` · ${fixed(wayAt(reel, now), 1)} m` : "";
    const isOver = reel.endedAfterS !== null && timeS.value > reel.lengthS;
    return isOver ? `ended after ${short(reel.endedAfterS)} s${way}` : `${now.toFixed(1)} s${way}`;
  });
  const asked = pending.value;
  const names = asked?.adaptation === adaptation.number ? asked.names : [];
  const isChosen = reel.name === (names.includes(chosenName.value) ? chosenName.value : names[0]);
  return (
    <figure class={names.length > 1 && isChosen ? "chosen" : ""}>
      <canvas ref={canvas} role="img" aria-label={`${reel.name}: an episode, the ${reel.episode}`} />
      <figcaption>
        <span class="dot" style={{ background: colour }} aria-hidden="true" />
        <b>{reel.name}</b>
        <span class="numbers">{said}</span>
        {names.length > 1 && names.includes(reel.name) && (
          <Button class="small" pressed={isChosen} label={`${isChosen ? "Chosen" : "Choose"} ${reel.name}`} onClick={() => (chosenName.value = reel.name)}>
            {isChosen ? "Chosen" : "Choose"}
          </Button>
        )}
      </figcaption>
    </figure>
  );
}
