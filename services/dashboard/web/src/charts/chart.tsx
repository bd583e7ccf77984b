// One chart: uPlot with markers of adaptations, a shared cursor, and what can be taken away of it.

import { signal, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

import { clock, dayAndClock, short, spansDays, ticks } from "../format";
import { events, measuredByGoal, onTrial, series, seriesVersion, status } from "../live/store";
import { dark, markers, smoothing, xAxis } from "../ui/settings";
import { Button } from "../ui/parts";
import { observeSize } from "../ui/resize";
import { CLOCK_STEPS, spacing, WHOLE_STEPS } from "./axis";
import { asCsv, breaks, chartData, untilGoal, type ChartData } from "./data";
import { goalsOf, labelsOf, markersOf, type Marker } from "./markers";
import { isEvaluation, type ChartSpec } from "./panels";

/** Charts are redrawn at most so often while points stream in. */
const REDRAW_MS = 400;
/** Of the vertical axes that need no more: the plots of a column begin at one line. */
const Y_AXIS_PX = 44;
const Y_GAP_PX = 4;
/** Between labels of the horizontal axis, as wished and at least, so that none is printed over another. */
const SPACES = { steps: [60, 50], time: [60, 50], days: [90, 76] } as const;
/** In this share of the width there is room for what is told on the right of a place. */
const BESIDE_RIGHT = 0.4;
/** A marker is pointed at from so near. */
const NEAR_PX = 6;
const LABEL_GAP_PX = 3;
const cursors = uPlot.sync("charts");

/** What is under the cursor. */
interface Hover {
  /** Where on the horizontal axis, in words. */
  at: string;
  values: string[];
  /** Where that is, as a share of the picture's width. */
  x: number;
  /** What the markers there stand for; empty where there are none. */
  marked: string;
}

/** What part of the horizontal axis is shown, in words; empty: all of it. */
export const zoomed = signal("");

export function Chart({ spec }: { spec: ChartSpec }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shown = useRef<Marker[]>([]);
  const last = useSignal<string[]>([]);
  const hover = useSignal<Hover | null>(null);
  const empty = useSignal(true);

  const readData = (smoothed = smoothing.peek()): ChartData => {
    const data = chartData(spec, series, events.peek(), xAxis.peek(), smoothed);
    if (spec.id !== "fitness" || !measuredByGoal.peek()) return data;
    return untilGoal(data, goalsOf(events.peek(), xAxis.peek())[0] ?? -Infinity);
  };

  useEffect(() => {
    const element = box.current!;
    const stop = observeSize(element, () => {
      plot.current?.setSize({ width: element.clientWidth, height: element.clientHeight });
    });
    return () => {
      stop();
      plot.current?.destroy();
      plot.current = null;
    };
  }, []);

  // Theme and axis make another plot; data only refills it.
  useSignalEffect(() => {
    const byTime = xAxis.value === "time";
    const styles = getComputedStyle(document.documentElement);
    void dark.value;
    plot.current?.destroy();
    const element = box.current!;
    const onCursor = (found: Hover | null) => (hover.value = found);
    const onZoom = () => {
      const [range] = cursors.plots.flatMap((each) => zoomOf(each) ?? []);
      zoomed.value = range === undefined ? "" : labels([range.min, range.max], range, byTime).join(" to ");
    };
    plot.current = new uPlot(options(spec, styles, byTime, element, shown, onCursor, onZoom), readData() as uPlot.AlignedData, element);
  });

  const timer = useRef(0);
  useSignalEffect(() => {
    void [seriesVersion.value, events.value, measuredByGoal.value, smoothing.value, markers.value, xAxis.value, dark.value];
    if (timer.current !== 0) return;
    timer.current = window.setTimeout(() => {
      timer.current = 0;
      if (plot.current === null) return;
      shown.current = markers.peek() ? markersOf(events.peek(), xAxis.peek()) : [];
      const data = readData();
      refill(plot.current, data);
      empty.value = !data.slice(1).some((column) => column.some((value) => value !== null));
      last.value = spec.lines.map((_, i) => short(newest(data[i + 1]!)));
    }, empty.peek() ? 0 : REDRAW_MS);
  });

  const names = [...spec.lines.map((line) => line.label), ...(spec.spread ? ["+ std", "- std"] : [])];
  const unit = spec.id === "fitness" ? status.value?.fitness_unit ?? "" : spec.unit;
  return (
    <figure class={`chart ${spec.id === "return" ? "first" : ""}`} data-chart={spec.id}>
      <figcaption>
        <h3>{spec.title}</h3>
        {unit !== "" && <span class="unit">{unit}</span>}
        <ul class="key">
          {spec.lines.map((line, i) => (
            <li key={line.metric} class={line.colour.slice(2)}>
              {spec.lines.length > 1 ? line.label : ""} <b>{(hover.value?.values ?? last.value)[i] ?? "–"}</b>
            </li>
          ))}
        </ul>
        <span class="tools">
          <Button class="small" label={`${spec.title}: download picture`} onClick={() => savePng(spec, unit, plot.current)}>
            PNG
          </Button>
          <Button
            class="small"
            label={`${spec.title}: download values`}
            onClick={() => saveText(`${spec.id}.csv`, asCsv([xAxis.value === "steps" ? "env_steps" : "time_unix_s", ...names], readData(0)))}
          >
            CSV
          </Button>
        </span>
      </figcaption>
      <div class="plot-box">
        <div class="plot" ref={box} role="img" aria-label={`${spec.title}: ${last.value.map((each, i) => `${spec.lines[i]?.label} ${each}`).join(", ")}`} />
        {hover.value !== null && <Pointed {...hover.value} />}
      </div>
      {empty.value && <p class="no-data">{onTrial.value ? "no points yet: candidates are on trial" : spec.ofEpisodes ? "no episode has ended yet" : "no points yet"}</p>}
    </figure>
  );
}

/** What is told of the place under the pointer: on the axis, beside the buttons, and beneath the markers' signs. */
function Pointed({ at, x, marked }: Hover) {
  const beside = x < BESIDE_RIGHT ? { left: `${100 * x}%` } : { right: `max(var(--tools), ${100 * (1 - x)}%)` };
  return (
    <div class="pointed">
      <span class="place" style={beside}>
        {at}
      </span>
      {marked !== "" && <span class="marked">{marked}</span>}
    </div>
  );
}

interface Range {
  min: number;
  max: number;
}

/** The part of the horizontal axis that a person has drawn up; null while all is shown. */
function zoomOf(plot: uPlot): Range | null {
  const xs = plot.data[0];
  const { min, max } = plot.scales["x"]!;
  if (xs.length === 0 || typeof min !== "number" || typeof max !== "number") return null;
  return min > xs[0]! || max < xs.at(-1)! ? { min, max } : null;
}

/** Takes over new values and keeps to what is zoomed into, as long as there is something of it. */
function refill(plot: uPlot, data: ChartData): void {
  const range = zoomOf(plot);
  const [xs] = data;
  const keep = range !== null && xs.length > 0 && range.min <= xs.at(-1)! && range.max >= xs[0]!;
  plot.setData(data as uPlot.AlignedData, !keep);
  if (keep) plot.redraw();
}

/** Zooming goes for all charts, and so does its end. */
export function showAll(): void {
  for (const plot of cursors.plots) plot.setData(plot.data);
}

/** Labels of places of the horizontal axis that a range of it is shown of. */
function labels(places: readonly number[], { min, max }: Range, byTime: boolean): string[] {
  if (!byTime) return places.map(short);
  return places.map(spansDays(min, max) ? dayAndClock : clock);
}

/** Where a row of the data is, as the axis tells it. */
function placeOf(plot: uPlot, at: number, byTime: boolean): string {
  const { min, max } = plot.scales["x"]!;
  const [told] = labels([plot.data[0][at]!], { min: min!, max: max! }, byTime);
  return byTime ? told! : `${told} steps`;
}

function newest(column: (number | null)[]): number | null {
  for (let i = column.length - 1; i >= 0; i--) if (column[i] !== null) return column[i]!;
  return null;
}

function options(
  spec: ChartSpec,
  styles: CSSStyleDeclaration,
  byTime: boolean,
  element: HTMLElement,
  shown: { current: Marker[] },
  onCursor: (found: Hover | null) => void,
  onZoom: () => void,
): uPlot.Options {
  const colour = (name: string) => styles.getPropertyValue(name).trim();
  const axis = { stroke: colour("--muted"), font: "11px system-ui, sans-serif", ticks: { show: false } };
  const grid = { stroke: colour("--grid"), width: 1 };
  const count = spec.lines.length;
  const steps = byTime ? CLOCK_STEPS : WHOLE_STEPS;
  const lines: uPlot.Series[] = spec.lines.map((line) => ({
    label: line.label,
    stroke: colour(line.colour),
    width: isEvaluation(line) ? 1.2 : 1.6,
    // Between points there are those of other lines; only another measure parts two.
    spanGaps: spec.id !== "fitness",
    gaps: (plot, at) =>
      breaks(plot.data[0], plot.data[at]!, goalsOf(events.peek(), byTime ? "time" : "steps")).map(
        (ends) => ends.map((x) => plot.valToPos(x, "x", true)) as [number, number],
      ),
    // A single point makes no line; evaluations are few, and each is seen.
    points: { show: isEvaluation(line) || isAlone, size: 5, fill: colour(line.colour) },
  }));
  if (spec.spread) {
    const edge = { stroke: "transparent", width: 0, spanGaps: true, points: { show: false } };
    lines.push({ label: "+ std", ...edge }, { label: "- std", ...edge });
  }
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    // Without values there is no axis at the left, and the first label below would be cut.
    padding: [8, 18, 0, (plot) => (typeof plot.scales["y"]?.min === "number" ? 0 : Y_AXIS_PX)],
    legend: { show: false },
    cursor: { sync: { key: cursors.key }, points: { size: 6 }, y: false, drag: { x: true, y: false } },
    scales: { x: { time: false } },
    series: [{}, ...lines],
    ...(spec.spread ? { bands: [{ series: [count + 1, count + 2], fill: colour("--band") } as uPlot.Band] } : {}),
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 22,
        gap: 3,
        incrs: [...steps],
        space: (_plot, _axis, min, max, length) => {
          const [wished, least] = SPACES[!byTime ? "steps" : spansDays(min, max) ? "days" : "time"];
          return Math.max(least, spacing(min, max, length, wished, steps));
        },
        values: (plot, places) => (byTime ? labels(places, { min: plot.scales["x"]!.min!, max: plot.scales["x"]!.max! }, true) : ticks(places)),
      },
      { ...axis, grid, size: widthOf, gap: Y_GAP_PX, space: 16, values: (_, places) => ticks(places) },
    ],
    hooks: {
      draw: [(plot) => drawMarkers(plot, shown.current, styles)],
      setScale: [(_, axis) => void (axis === "x" && onZoom())],
      setCursor: [
        (plot) => {
          const at = plot.cursor.idx;
          if (at === null || at === undefined) onCursor(null);
          else {
            const x = plot.valToPos(plot.data[0][at]!, "x", true) / plot.ctx.canvas.width;
            const values = spec.lines.map((_, i) => short(nearest(plot.data[i + 1]!, at)));
            onCursor({ at: placeOf(plot, at, byTime), values, x, marked: markedAt(plot, shown.current) });
          }
        },
      ],
    },
  };
}

/** How wide a vertical axis is, so that none of its labels is cut. */
function widthOf(plot: uPlot, labels: readonly string[] | null, index: number, cycle: number): number {
  const axis = plot.axes[index] as uPlot.Axis & { _size: number; font: [string] };
  // The width that it has makes the ticks, and they make the width: it is settled once.
  if (cycle > 1) return axis._size;
  plot.ctx.font = axis.font[0];
  const widths = (labels ?? []).map((label) => plot.ctx.measureText(label).width / uPlot.pxRatio);
  return Math.ceil(Math.max(Y_AXIS_PX, Y_GAP_PX + 1, ...widths.map((width) => width + Y_GAP_PX + 1)));
}

/** Whether a series has one point only. */
function isAlone(plot: uPlot, series: number): boolean {
  const column = plot.data[series]!;
  let points = 0;
  for (let i = 0; i < column.length && points < 2; i++) if (column[i] !== null) points += 1;
  return points === 1;
}

/** The value at a place of a column, or the last one before it. */
function nearest(column: ArrayLike<number | null | undefined>, at: number): number | null {
  for (let i = at; i >= 0; i--) {
    const value = column[i];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

/** What the markers under the pointer stand for. */
function markedAt(plot: uPlot, shown: readonly Marker[]): string {
  const pointer = plot.cursor.left ?? -NEAR_PX;
  const near = shown.filter((each) => Math.abs(plot.valToPos(each.x, "x") - pointer) <= NEAR_PX);
  return [...new Set(near.map((each) => `${each.glyph} ${each.words}`))].join(", ");
}

function drawMarkers(plot: uPlot, shown: readonly Marker[], styles: CSSStyleDeclaration): void {
  const { left, top, width, height } = plot.bbox;
  const context = plot.ctx;
  const ratio = uPlot.pxRatio;
  context.save();
  context.font = `${10 * ratio}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "top";
  const inSight = shown
    .map((marker) => ({ marker, middle: Math.round(plot.valToPos(marker.x, "x", true)) }))
    .filter(({ middle }) => middle >= left && middle <= left + width);
  const paint = ({ colour, strong }: Marker) => {
    context.strokeStyle = context.fillStyle = styles.getPropertyValue(colour).trim();
    context.globalAlpha = strong ? 0.95 : 0.5;
  };
  context.lineWidth = ratio;
  context.setLineDash([3 * ratio, 3 * ratio]);
  for (const { marker, middle } of inSight) {
    paint(marker);
    context.beginPath();
    context.moveTo(middle, top);
    context.lineTo(middle, top + height);
    context.stroke();
  }
  const widthOf = (glyph: string) => context.measureText(glyph).width;
  for (const { marker, middle } of labelsOf(inSight, widthOf, LABEL_GAP_PX * ratio, context.canvas.width)) {
    paint(marker);
    context.fillText(marker.glyph, middle, top - 2 * ratio);
  }
  context.restore();
}

/** Saves what is drawn, beneath its title and its lines' names: by itself a picture has no key. */
function savePng(spec: ChartSpec, unit: string, plot: uPlot | null): void {
  if (plot === null) return;
  const source = plot.ctx.canvas;
  const ratio = uPlot.pxRatio;
  const canvas = document.createElement("canvas");
  const head = 44 * ratio;
  canvas.width = source.width;
  canvas.height = source.height + head;
  const context = canvas.getContext("2d");
  if (context === null) return;
  const styles = getComputedStyle(document.documentElement);
  const colour = (name: string) => (context.fillStyle = styles.getPropertyValue(name).trim());
  colour("--panel");
  context.fillRect(0, 0, canvas.width, canvas.height);
  colour("--text");
  context.font = `600 ${13 * ratio}px system-ui, sans-serif`;
  context.fillText(`${spec.title} ${unit}`.trim(), 10 * ratio, 18 * ratio);
  context.font = `${12 * ratio}px system-ui, sans-serif`;
  let x = 10 * ratio;
  for (const line of spec.lines) {
    colour(line.colour);
    context.fillText(line.label, x, 36 * ratio);
    x += context.measureText(line.label).width + 12 * ratio;
  }
  context.drawImage(source, 0, head);
  canvas.toBlob((blob) => {
    if (blob !== null) save(`${spec.id}.png`, blob);
  });
}

function saveText(name: string, text: string): void {
  save(name, new Blob([text], { type: "text/csv" }));
}

function save(name: string, blob: Blob): void {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(blob);
  anchor.download = name;
  anchor.click();
  window.setTimeout(() => URL.revokeObjectURL(anchor.href), 1000);
}
