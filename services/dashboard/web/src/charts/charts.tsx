// The charts' panel: how they are shown, the charts, and what training waits for.

import { computed } from "@preact/signals";

import { percent } from "../format";
import { series, seriesVersion, status } from "../live/store";
import { markers, smoothing, xAxis } from "../ui/settings";
import { Button, Choice } from "../ui/parts";
import { Chart, showAll, zoomed } from "./chart";
import { MARKER_KEY } from "./markers";
import { CHARTS, componentChart } from "./panels";

/** Metrics of the newest point, joined: charts whose lines depend on them change with the names alone. */
const metrics = computed(() => {
  void seriesVersion.value;
  return series.newest.join("\n");
});

export function ChartsPanel() {
  const components = componentChart(metrics.value.split("\n"));
  return (
    <section class="panel charts" aria-label="Learning curves">
      <header class="toolbar">
        <h2>Learning</h2>
        <span class="spring" />
        {zoomed.value !== "" && (
          <Button class="small" label="Show all of the curves" title={`This is ${zoomed.value}. Show all (double-click)`} onClick={showAll}>
            All
          </Button>
        )}
        <label class="slider">
          <span>smooth</span>
          <input
            type="range"
            min="0"
            max="0.95"
            step="0.05"
            value={smoothing.value}
            onInput={(event) => (smoothing.value = Number(event.currentTarget.value))}
          />
        </label>
        <Choice
          label="Horizontal axis"
          value={xAxis.value}
          options={[["steps", "by steps"], ["time", "by time"]]}
          onChange={(value) => (xAxis.value = value)}
        />
        <label class="check" title={MARKER_KEY}>
          <input type="checkbox" checked={markers.value} onChange={(event) => (markers.value = event.currentTarget.checked)} />
          <span>markers</span>
        </label>
      </header>
      <div class="chart-list" tabIndex={0} role="group" aria-label="Charts">
        {CHARTS.map((spec) => (
          <div key={spec.id} class={`cell ${spec.id === "return" ? "wide" : ""}`}>
            <Chart spec={spec} />
            {spec.foot === "time split" && <TimeSplitBar />}
          </div>
        ))}
        {components !== null && (
          <div class="cell">
            <Chart key={components.lines.map((line) => line.metric).join()} spec={components} />
          </div>
        )}
      </div>
    </section>
  );
}

const PARTS = [
  ["physics", "physics"],
  ["inference", "policy"],
  ["update", "learning"],
  ["evaluation", "evaluation"],
] as const;

function TimeSplitBar() {
  const split = status.value?.time_split;
  const known = split !== undefined && PARTS.some(([name]) => split[name] > 0);
  if (!known) return null;
  return (
    <div class="time-split">
      <div class="bar" role="img" aria-label={PARTS.map(([name, label]) => `${label} ${percent(split[name])}`).join(", ")}>
        {PARTS.map(([name]) => (
          <span key={name} class={name} style={{ flexGrow: split[name] }} />
        ))}
      </div>
      <ul>
        {PARTS.filter(([name]) => split[name] >= 0.005).map(([name, label]) => (
          <li key={name} class={name}>
            {label} {percent(split[name])}
          </li>
        ))}
      </ul>
      {status.value?.bottleneck && <p>{status.value.bottleneck}</p>}
    </div>
  );
}
