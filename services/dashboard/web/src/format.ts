// Numbers that people can read.

const MINUS = "\u2212";

/** 1234567 -> "1.23M"; at most four digits and a unit prefix. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  const sign = value < 0 ? MINUS : "";
  if (size >= 999_500_000) return `${sign}${digits(size / 1e9)}B`;
  if (size >= 999_500) return `${sign}${digits(size / 1e6)}M`;
  if (size >= 9_999.5) return `${sign}${digits(size / 1e3)}k`;
  if (size >= 99.95) return `${sign}${Math.round(size).toLocaleString("en")}`;
  if (size >= 0.001) return `${sign}${digits(size)}`;
  return `${sign}${size.toExponential(1).replace("-", MINUS)}`;
}

const UNITS = [[1e9, "B"], [1e6, "M"], [1e3, "k"], [1, ""]] as const;
/** With more places behind the point a smaller unit is taken; of 1 there are no more than MAX_PLACES. */
const UNIT_PLACES = 2;
const MAX_PLACES = 5;

/** Labels of an axis, all of one unit and with as many places as tell them apart: "0", "0.5M", "1.0M". */
export function ticks(places: readonly number[]): string[] {
  if (places.length < 2) return places.map(short);
  const most = Math.max(...places.map(Math.abs));
  let allowed = UNIT_PLACES;
  for (const [unit, sign] of UNITS) {
    // Below 10,000 all digits are shown, as elsewhere.
    if (unit > 1 && most < (unit === 1e3 ? 9_999.5 : unit)) continue;
    const decimals = placesOf(places.map((each) => each / unit));
    if (decimals > (unit > 1 ? allowed : MAX_PLACES)) {
      allowed = 0;
      continue;
    }
    const form = new Intl.NumberFormat("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    return places.map((each) => (each === 0 ? "0" : `${form.format(each / unit).replace("-", MINUS)}${sign}`));
  }
  return places.map(short);
}

/** Places behind the point that numbers have, to a thousandth of the distance between the first two. */
function placesOf(values: readonly number[]): number {
  const step = Math.abs(values[1]! - values[0]!);
  let places = 0;
  const whole = (value: number) => Math.abs(value - Math.round(value * 10 ** places) / 10 ** places) <= step / 1000;
  while (places <= MAX_PLACES && !values.every(whole)) places += 1;
  return places;
}

function digits(size: number): string {
  if (size >= 99.95) return size.toFixed(0);
  if (size >= 9.995) return size.toFixed(1);
  if (size >= 0.1) return size.toFixed(2);
  return size.toPrecision(2);
}

/** With so many places behind the point: "−0.3". */
export function fixed(value: number, places: number): string {
  const text = Math.abs(value).toFixed(places);
  return value < 0 && Number(text) !== 0 ? `${MINUS}${text}` : text;
}

/** With its sign: "+7.28". */
export function signed(value: number | null | undefined): string {
  const text = short(value);
  return typeof value === "number" && value > 0 ? `+${text}` : text;
}

/** At most `length` characters of a text: its middle is left out, two thirds of the rest are its end. */
export function middle(text: string, length: number): string {
  if (text.length <= length) return text;
  const end = Math.floor((2 * length) / 3);
  return `${text.slice(0, length - 1 - end)}…${text.slice(-end)}`;
}

export function whole(value: number): string {
  return Math.round(value).toLocaleString("en");
}

/** "1 environment", "64 environments". */
export function environments(count: number): string {
  return `${whole(count)} environment${count === 1 ? "" : "s"}`;
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

export function clock(unixS: number): string {
  return new Date(unixS * 1000).toLocaleTimeString("en-GB");
}

const DAY_S = 86_400;

/** Whether a range of times takes in more than a day, so that the time of day does not tell which. */
export function spansDays(fromUnixS: number, toUnixS: number): boolean {
  return toUnixS - fromUnixS > DAY_S;
}

/** "29 Nov, 22:11". */
export function dayAndClock(unixS: number): string {
  const at = new Date(unixS * 1000);
  const day = at.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return `${day}, ${at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}`;
}

/** A number from a log row, where NaN and infinities are written as words. */
export function numberOf(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** The number that somebody has typed; NaN where it is none, or beyond all that can be reckoned with. */
export function numberIn(text: string): number {
  const value = Number(text.trim().replace(MINUS, "-"));
  return text.trim() !== "" && Number.isFinite(value) ? value : NaN;
}

export function mean(values: readonly unknown[]): number | null {
  let sum = 0;
  let count = 0;
  for (const value of values) {
    if (typeof value === "number" && Number.isFinite(value)) {
      sum += value;
      count += 1;
    }
  }
  return count > 0 ? sum / count : null;
}
