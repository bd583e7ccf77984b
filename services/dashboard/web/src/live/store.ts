// What the page knows, as signals; kept fresh by the WebSocket and, after a break, by REST.

import { batch, computed, signal } from "@preact/signals";

import { METRICS } from "../charts/panels";
import type {
  Access,
  Env,
  Goal,
  LogRow,
  MetricSeries,
  Rewards,
  ServerMessage,
  SessionSummary,
  Status,
  TimelineEvent,
  Worker,
} from "../generated/messages";
import { tell } from "../ui/told";
import { ApiError, get, post } from "./api";
import { SeriesStore } from "./series";
import { LiveSocket } from "./socket";
import { addTrialPoints, forgetTrials } from "./trials";

export type Link = "connecting" | "live" | "lost" | "login";

export const link = signal<Link>("connecting");
/** Why there is no live connection, where the service answers otherwise; empty when it is not known. */
export const linkProblem = signal("");
/** The service was upgraded while the page was open. */
export const outdated = signal(false);
/** When the next attempt to connect is made, ms of performance.now(). */
export const retryAt = signal(0);
export const status = signal<Status | null>(null);
export const events = signal<TimelineEvent[]>([]);
export const workers = signal<Worker[] | null>(null);
export const goal = signal<Goal | null>(null);
export const rewards = signal<Rewards | null>(null);
export const logRows = signal<LogRow[]>([]);
export const watchedEnv = signal<Env | null>(null);
export const watchedEnvError = signal("");
/** Grows with every change of `series`; charts redraw on it. */
export const seriesVersion = signal(0);
export const series = new SeriesStore();

export const mayControl = computed(() => status.value?.role === "control" && link.value === "live");
/** The run has come to an end, or was stopped; its learner may still answer. */
export const ended = computed(() => ["finished", "stopped", "failed"].includes(status.value?.state ?? ""));
/**
 * The run has ended, and its learner with it, or the service too: it can be looked at, and nobody is there to
 * steer.
 */
export const over = computed(() => ended.value && (status.value?.learner_error !== null || link.value === "lost"));
/** What is said of a run that is over: one that was stopped can go on. */
export const overText = computed(() => (status.value?.state === "stopped" ? "The run was stopped." : "The run is over."));
export const maySteer = computed(() => mayControl.value && !over.value);
/** Whether controls are off for who looks, whatever happens. */
export const onlyLooks = computed(() => status.value?.role === "view");
/** Why controls are off; empty when they are not. */
export const whyNot = computed(() => {
  if (over.value) return overText.value;
  if (link.value !== "live") return "There is no connection to the dashboard's service.";
  if (status.value?.role === "view") return "You can only look: your token has the role view.";
  return "";
});

/** Fitness is another than the task's own: training episodes do not tell it. */
export const measuredByGoal = computed(() => !["task", undefined].includes(goal.value?.goal["kind"] as string | undefined));

/** The learner names the groups of a trial so, and then what is tried. */
const TRIAL = "trial of ";
export const isTrial = (session: SessionSummary) => session.label.startsWith(TRIAL);

/** Candidates were on trial when something was last known. In the middle of a trial a person may pause, to look closely. */
export const lastOnTrial = computed(() => {
  const now = status.value;
  return now?.state === "trial" || (now?.state === "paused" && now.sessions.some(isTrial));
});

/** Candidates are on trial. */
export const onTrial = computed(() => link.value === "live" && lastOnTrial.value);

/** The name of a session's task: a task file's sessions are opened by its path, and the run knows its name. */
export function taskName(task: string): string {
  const now = status.value;
  const own = now?.sessions.find((each) => each.session === now.session);
  return now !== null && now.task !== "" && own?.task === task ? now.task : task;
}

/** A service that has just started may answer before its live connection does. */
const MAX_FAILURES = 3;
const NO_SOCKET =
  "The dashboard's service answers, and the live connection to it is not made: a proxy in between has to pass on WebSockets, and the Host that the browser asks for.";

const MAX_EVENTS_OF_A_KIND = 2000;
/** What charts draw of a run's events, and what it warned of. */
const KINDS: readonly TimelineEvent["kind"][] = ["evaluation", "adaptation", "command", "warning"];
/** Changes of the adaptation come in bursts; they are asked for once. */
const SETTLE_MS = 150;
/** A learner that is busy may not answer in the service's time; what changed is asked for again. */
const ASK_AGAIN_MS = 2000;
/** Rows of the log in one answer at most. */
const MAX_ROWS = 1000;

export const socket = new LiveSocket({
  onOpen() {
    linkProblem.value = "";
    void catchUp();
  },
  onClosed(retryMs, failures, reason) {
    retryAt.value = performance.now() + retryMs;
    if (link.value !== "login") link.value = link.value === "connecting" ? "connecting" : "lost";
    void checkAccess(reason === "" ? (failures > MAX_FAILURES ? NO_SOCKET : "") : `The dashboard's service has closed the connection: ${reason}.`);
  },
  onMessage(message) {
    receive(message);
  },
  onOtherVersion() {
    outdated.value = true;
  },
});

/** Starts everything. */
export function start(): void {
  window.addEventListener("hashchange", () => void enter());
  void enter();
}

/** Why the token of the page's address was of no use; empty when it was, or there is none. */
export const tokenProblem = signal("");

/**
 * Begins, logged in with the token of an address like http://host:8080/#token=TOKEN. What is behind the # is
 * sent to nobody; it is taken out of the address bar, so that it is not passed on unknowingly.
 */
async function enter(): Promise<void> {
  const token = takeToken();
  if (token !== "") {
    try {
      await post<Access>("login", { token });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      tokenProblem.value = error.message;
    }
  }
  startAgain();
}

function takeToken(): string {
  const address = new URL(window.location.href);
  const hash = new URLSearchParams(address.hash.slice(1));
  const token = hash.get("token") ?? "";
  if (address.searchParams.has("token")) {
    tokenProblem.value = "A token goes behind #, as in #token=…: what is behind ? is sent along and kept in logs.";
  }
  hash.delete("token");
  address.searchParams.delete("token");
  address.hash = hash.toString();
  if (address.href !== window.location.href) window.history.replaceState(null, "", address);
  return token.trim();
}

/** After a login: begin anew. */
export function startAgain(): void {
  link.value = "connecting";
  socket.close();
  socket.open();
}

/** What the run is known by: another one may have its name. */
let run = "";
let eventsAfter = 0;
let adaptationTimer = 0;
/** Loads of curves and events that are under way; news wait for what came before them. */
let loads = 0;
let early: ServerMessage[] = [];

/** What is wrong where the service answers, and the live connection does not. */
async function checkAccess(problem: string): Promise<void> {
  try {
    const { role } = await get<Access>("access");
    if (role === null) askForToken();
    else if (link.value !== "live") {
      linkProblem.value = problem;
      if (link.value === "connecting") link.value = "lost";
    }
  } catch (error) {
    linkProblem.value = "";
    if (error instanceof ApiError && error.status === 401) askForToken();
    else if (link.value === "connecting") link.value = "lost";
  }
}

/** Gives the role back, and asks for another token. */
export async function logOut(): Promise<void> {
  await post<Access>("logout");
  askForToken();
}

function askForToken(): void {
  link.value = "login";
  socket.close();
}

/** Gets what was missed: everything at first, the rest after a break. */
function catchUp(): Promise<void> {
  return load(async () => {
    takeStatus(await get<Status>("status"));
    link.value = "live";
    await Promise.all([loadSeries(), loadEvents(), loadAdaptation(), loadWorkers()]);
  });
}

/** Where it fails, news are no good without what came before them: the next status begins anew. */
async function load(all: () => Promise<unknown>): Promise<void> {
  loads += 1;
  try {
    await all();
  } catch (error) {
    early = [];
    if (error instanceof ApiError && error.status === 401) askForToken();
    else if (link.value !== "login") link.value = "lost";
  }
  loads -= 1;
  if (loads > 0) return;
  const messages = early;
  early = [];
  messages.forEach(receive);
}

async function loadSeries(): Promise<void> {
  const answer = await get<MetricSeries>(`metrics?names=${METRICS.join()}&after=${series.last}&max_points=2000`);
  // Of a run that is no more the page's, nothing is true of the one that is.
  if (answer.run_key !== run) return;
  series.load(answer.branches, answer.last);
  seriesVersion.value += 1;
}

async function loadEvents(): Promise<void> {
  const asked = run;
  const answer = await get<TimelineEvent[]>(`events?kinds=${KINDS.join()}&after=${eventsAfter}`);
  if (asked === run) addEvents(answer);
}

async function loadWorkers(): Promise<void> {
  if (status.peek()?.orchestrator_error !== null) return;
  try {
    workers.value = await get<Worker[]>("workers");
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) throw error;
  }
}

let loadingAdaptation = false;
let changedMeanwhile = false;

/**
 * Goal, rewards and log: while the learner is away, the service answers what it has kept. One load at
 * a time, so that no older answer follows a newer one; what is not answered is asked for again.
 */
async function loadAdaptation(): Promise<void> {
  if (link.peek() !== "live") return;
  if (loadingAdaptation) {
    changedMeanwhile = true;
    return;
  }
  loadingAdaptation = true;
  const asked = run;
  const answers = await Promise.allSettled([
    getKept("goal", goal.peek()),
    getKept("rewards", rewards.peek()),
    get<LogRow[]>(`adaptations?after=${logRows.peek().at(-1)?.n ?? 0}&limit=${MAX_ROWS}`),
  ]);
  loadingAdaptation = false;
  const [newGoal, newRewards, rows] = answers;
  const more = rows.status === "fulfilled" && rows.value.length === MAX_ROWS;
  if (changedMeanwhile || more || asked !== run) adaptationChanged();
  else if (answers.some((each) => each.status === "rejected")) adaptationChanged(ASK_AGAIN_MS);
  changedMeanwhile = false;
  if (asked !== run) return;
  batch(() => {
    if (newGoal.status === "fulfilled") goal.value = newGoal.value;
    if (newRewards.status === "fulfilled") rewards.value = newRewards.value;
    if (rows.status === "fulfilled" && rows.value.length > 0) logRows.value = [...logRows.peek(), ...rows.value];
  });
}

/** What the service says, or has kept; where it has kept nothing, what is known here stays. */
async function getKept<T>(path: string, known: T | null): Promise<T | null> {
  return (await get<T | null>(path)) ?? known;
}

function receive(message: ServerMessage): void {
  if (message.type === "metrics" || message.type === "event") {
    // Until the status is there nothing else has been asked for: the answers will have it.
    if (link.value !== "live") return;
    if (loads > 0) {
      early.push(message);
      return;
    }
  }
  switch (message.type) {
    case "status":
      takeStatus(message.status);
      if (link.value === "lost" && loads === 0) void catchUp();
      break;
    case "metrics":
      if (message.run_key !== run) break;
      series.add(message.points);
      seriesVersion.value += 1;
      break;
    case "event":
      if (message.run_key !== run) break;
      addEvents([message.event]);
      if (message.event.kind === "adaptation" || message.event.kind === "command") adaptationChanged();
      if (message.event.kind === "warning") tell("warning", message.event.title);
      break;
    case "trial":
      if (message.run_key !== run) break;
      addTrialPoints(message.points);
      break;
    case "fleet":
      workers.value = message.workers;
      break;
    case "env":
      batch(() => {
        watchedEnv.value = message.env;
        watchedEnvError.value = message.error;
      });
      break;
    case "error":
      tell("failed", `The service did not understand the page: ${message.message}`);
      break;
  }
}

function takeStatus(now: Status): void {
  if (now.run_key !== run) {
    const first = run === "";
    run = now.run_key;
    if (!first) forgetRun();
  }
  const before = status.peek();
  const back = now.learner_error === null && before?.learner_error !== null;
  status.value = now;
  // What the gate said is in the log, and no event tells of it.
  if (now.state === "trial" && before !== null && before.state !== "trial") adaptationChanged();
  if (back && link.peek() === "live") void loadAdaptation();
}

/** Another run: nothing of the one before is true of it. */
function forgetRun(): void {
  series.clear();
  eventsAfter = 0;
  batch(() => {
    seriesVersion.value += 1;
    events.value = [];
    logRows.value = [];
    forgetTrials();
    goal.value = null;
    rewards.value = null;
  });
  void load(() => Promise.all([loadSeries(), loadEvents(), loadAdaptation()]));
}

function addEvents(more: readonly TimelineEvent[]): void {
  const fresh = more.filter((event) => event.number > eventsAfter && KINDS.includes(event.kind));
  if (fresh.length === 0) return;
  eventsAfter = fresh.at(-1)!.number;
  events.value = bounded([...events.value, ...fresh]);
}

/** Of evaluations that are too many every other one goes: their line keeps its beginning. Of others the oldest go. */
function bounded(all: TimelineEvent[]): TimelineEvent[] {
  const gone = new Set<TimelineEvent>();
  for (const kind of KINDS) {
    const own = all.filter((event) => event.kind === kind);
    if (own.length <= MAX_EVENTS_OF_A_KIND) continue;
    const over = kind === "evaluation" ? own.filter((_, i) => (own.length - 1 - i) % 2 === 1) : own.slice(0, -MAX_EVENTS_OF_A_KIND);
    for (const event of over) gone.add(event);
  }
  return gone.size === 0 ? all : all.filter((event) => !gone.has(event));
}

export function adaptationChanged(afterMs = SETTLE_MS): void {
  window.clearTimeout(adaptationTimer);
  adaptationTimer = window.setTimeout(() => void loadAdaptation(), afterMs);
}
