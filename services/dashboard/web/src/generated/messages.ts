// Generated from services/dashboard/websim_dashboard/messages.py by `make docs`: do not edit.

export const MAGIC = 87;
export const VERSION = 2;
export const KIND_FIGURES = 1;
export const KIND_POSE = 2;
export const HEADER_BYTES = 40;
export const MAX_HZ = 30;

export type RunState = "waiting" | "training" | "paused" | "evaluating" | "trial" | "finished" | "failed" | "disconnected";

export type EventKind = "state" | "checkpoint" | "evaluation" | "command" | "warning" | "adaptation";

export type GeomType = "plane" | "hfield" | "sphere" | "capsule" | "ellipsoid" | "cylinder" | "box" | "mesh";

export type Role = "view" | "control";

export type ServerMessage = StatusMessage | MetricsMessage | EventMessage | FleetMessage | EnvMessage | ErrorMessage;

export type ClientMessage = Subscribe | Ack;

/** Environments of one client of the fleet: of the training, its evaluation, a notebook. */
export interface SessionSummary {
  session: number;
  label: string;
  task: string;
  num_envs: number;
}

/** Shares of the learner's time; they add up to 1, or are all 0 before the first update. */
export interface TimeSplit {
  /** Waiting for the fleet. */
  physics: number;
  /** The policy's forward, storing and sending. */
  inference: number;
  /** Learning. */
  update: number;
  evaluation: number;
}

/** What waits for a person's yes; `approve` and `reject` name its adaptation. */
export interface Waiting {
  adaptation: number;
  what: "goal" | "reward" | "environment";
  sentence: string;
  /** Candidates to choose from. */
  names: string[];
}

/** A task that some of a run's environments have instead of its own. */
export interface OtherTask {
  task: string;
  num_envs: number;
  return_mean: number | null;
  fitness_mean: number | null;
}

/** How everything stands, now. */
export interface Status {
  /** Name of the run; empty while no learner has been seen. */
  run: string;
  /** Tells the run from all others, also from one of the same name before it. */
  run_key: string;
  task: string;
  algo: string;
  seed: number | null;
  state: "waiting" | "training" | "paused" | "evaluating" | "trial" | "finished" | "failed" | "disconnected";
  /** Why it is in this state, where there is something to say. */
  reason: string;
  update: number;
  env_steps: number;
  total_steps: number;
  /** Training time, evaluation and pauses excluded. */
  wall_s: number;
  /** Over the last updates; 0 while nothing is stepped. */
  steps_per_s: number;
  return_mean: number | null;
  length_mean: number | null;
  /** Of training episodes; of the last evaluation where the goal has a measure of its own. */
  fitness_mean: number | null;
  fitness_unit: string;
  success_mean: number | null;
  /** Of all tasks. */
  num_envs: number;
  others: OtherTask[];
  workers: number;
  branches: number;
  /** The training session's number on the fleet. */
  session: number | null;
  sessions: SessionSummary[];
  reward_id: string;
  goal: string;
  goal_reached: boolean;
  adapt_mode: string;
  /** What the adaptation is doing, for people; empty when nothing. */
  adapting: string;
  /** Why rewards cannot be written just now; empty while all is well. */
  banner: string;
  difficulty: number | null;
  /** As asked: simulated seconds of each environment per second; null: as fast as it goes. */
  speed: number | null;
  /** As reached over the last updates; 0 while nothing is stepped. */
  real_time_factor: number;
  pending: Waiting | null;
  /** What training waits for most, in one sentence; empty while nothing is known. */
  bottleneck: string;
  time_split: TimeSplit;
  /** What the asker may do. */
  role: "view" | "control";
  /** Why the learner cannot be asked; null while it answers. */
  learner_error: string | null;
  /** Why the orchestrator cannot be asked; null while it answers. */
  orchestrator_error: string | null;
}

/** Metrics of one update of one branch. */
export interface MetricPoint {
  /** Grows over the life of a run; ask for what is `after` the last one known. */
  number: number;
  branch: number;
  update: number;
  env_steps: number;
  time_unix_s: number;
  /** By name, as in the learner's metric records; what is not known yet is not there. */
  values: Record<string, number>;
}

/** Columns of one branch's points, in the order of updates; null where nothing is known. */
export interface BranchSeries {
  branch: number;
  number: number[];
  update: number[];
  env_steps: number[];
  time_unix_s: number[];
  values: Record<string, (number | null)[]>;
}

/** Answer of `GET /api/v1/metrics`. */
export interface MetricSeries {
  run: string;
  run_key: string;
  /** Number of the newest point that there is. */
  last: number;
  /** All metrics that the run has points of. */
  names: string[];
  branches: BranchSeries[];
}

/** Something that happened in a run. */
export interface TimelineEvent {
  number: number;
  time_unix_s: number;
  update: number;
  env_steps: number;
  kind: "state" | "checkpoint" | "evaluation" | "command" | "warning" | "adaptation";
  /** One line, for people. Text from rewards may be in it: never to be shown as HTML. */
  title: string;
  detail: string;
  /** Number of the turn of the loop; 0 outside of one. */
  adaptation: number;
  /** The learner's record, without what is above. */
  values: Record<string, unknown>;
}

/** A sim worker. */
export interface Worker {
  worker_id: number;
  pid: number;
  host: string;
  nthread: number;
  http_url: string;
  draining: boolean;
  shards: number;
  num_envs: number;
  env_steps: number;
  busy_s: number;
  last_seen_s_ago: number;
}

/** One environment, now. */
export interface Env {
  session: number;
  env_id: number;
  time_s: number;
  qpos: (number | null)[];
  qvel: (number | null)[];
  fields: Record<string, number | (number | null)[] | null>;
  episode_return: number | null;
  episode_length: number;
  episodes: number;
  last_return: number | null;
  last_length: number | null;
  /** Of its last step, as the task's own reward gave it; only while its pose is watched. */
  reward: number | null;
  reward_components: Record<string, number>;
}

/** A geometric body of a task's model; sizes as MuJoCo has them. */
export interface Geom {
  name: string;
  type: "plane" | "hfield" | "sphere" | "capsule" | "ellipsoid" | "cylinder" | "box" | "mesh";
  size: number[];
  rgba: number[];
  /** Index into the scene's meshes. */
  mesh: number | null;
  /** Index into the scene's hfields. */
  hfield: number | null;
  body: string;
  group: number;
}

/** Triangles, in base64: vertices little-endian float32 (v, 3), faces uint32 (f, 3). */
export interface Mesh {
  vertices: string;
  faces: string;
}

/** A height field in its geom's frame. */
export interface Hfield {
  rows: number;
  columns: number;
  /** Half of x and of y, the height that 1 stands for, and the base's depth. */
  size_m: number[];
  /** Base64 of little-endian float32 (rows, columns), 0 to 1; rows along y, columns along x. */
  heights: string;
}

/** What a task looks like: fixed for a session; positions come in binary frames. */
export interface Scene {
  task: string;
  content_sha256: string;
  /** Axes of the figures' picture: right, up. */
  plane: "xz" | "xy" | "yz";
  /** Points of a figure. */
  k: number;
  point_names: string[];
  /** Pairs of points that a line joins; a pair of one point is a dot. */
  bones: number[][];
  bone_radii_m: number[];
  /** Metres per unit of the points that travel. */
  scale_m: number;
  /** The larger of the picture's width and height. */
  extent_m: number;
  /** Left, bottom, right and top of a picture in which the figure can move. */
  view_m: number[];
  /** Height of the ground, or null where the task has no level plane. */
  ground_z_m: number | null;
  geoms: Geom[];
  meshes: Mesh[];
  hfields: Hfield[];
}

/** A physical parameter that environments may draw anew for each episode. */
export interface Knob {
  name: string;
  description: string;
  unit: string;
  nominal: number;
  low: number;
  high: number;
  hard_low: number;
  hard_high: number;
}

/** What a reward may read as `state.<name>`. */
export interface TaskField {
  name: string;
  /** 0: one number per environment. */
  columns: number;
  unit: string;
  description: string;
}

/** The task of a session: `GET /api/v1/sessions/{session}/task`. */
export interface TaskDetail {
  id: string;
  description: string;
  fields: TaskField[];
  action_dim: number;
  action_names: string[];
  reward_source: string;
  reward_components: string[];
  fitness_unit: string;
  fitness_description: string;
  has_success: boolean;
  /** Simulated seconds of one env step. */
  dt_s: number;
  max_episode_steps: number;
  knobs: Knob[];
}

/** A task that can be trained. */
export interface TaskSummary {
  name: string;
  description: string;
}

/** A reward program that somebody types. */
export interface RewardCheckRequest {
  source: string;
  /** Whose task's fields it may read; null is the training session. */
  session: number | null;
}

/** One thing that is wrong with a program. */
export interface CheckMessage {
  /** 1-based; 0 when it has no place in the text. */
  line: number;
  column: number;
  /** Class of the refusal, as in docs/programs.md. */
  reason: string;
  /** What is wrong and what is allowed instead. */
  message: string;
}

/** What the language's check says; the program has not been run. */
export interface RewardCheck {
  ok: boolean;
  /** The program's id, when it is accepted. */
  id: string | null;
  messages: CheckMessage[];
  components: string[];
}

/** What the run is for, what is going on, and what waits for a yes: `GET /api/v1/goal`. */
export interface Goal {
  goal: Record<string, unknown>;
  mode: string;
  reached: boolean;
  pending: Waiting[];
  adapting: string;
  banner: string;
  /** Of the environments: 0 nominal, 1 the task's hard ranges. */
  difficulty: number;
  /** Ranges of the knobs that were turned, which episodes draw from. */
  knobs: Record<string, number[]>;
}

/** A reward of the run and what became of it. */
export interface Reward {
  id: string;
  name: string;
  origin: "task" | "person" | "claude" | "library" | "replay";
  outcome: "in_force" | "candidate" | "proposed" | "adopted" | "lost" | "refused" | "rolled_back" | "failed";
  source: string | null;
  hypothesis: string;
  reason: string;
  adaptation: number;
  update: number;
  goal: number;
  fitness_gain: number | null;
  fitness_gain_low: number | null;
}

/** Answer of `GET /api/v1/rewards`. */
export interface Rewards {
  in_force: string;
  rewards: Reward[];
}

/** How figures are drawn: what of a scene is needed for it. */
export interface FigureInfo {
  plane: "xz" | "xy" | "yz";
  k: number;
  bones: number[][];
  bone_radii_m: number[];
  scale_m: number;
  view_m: number[];
  ground_z_m: number | null;
}

/** The first seconds of an episode, as a moving figure; arrays are little-endian, in base64. */
export interface Clip {
  /** Which one of how many. */
  episode: string;
  /** How long it was; a shorter one than the clip ended in it. */
  episode_s: number;
  /** Simulated time from frame to frame. */
  frame_s: number;
  /** f32 (frames,): where the figure is along the ground, m. */
  root_x: string;
  /** i16 (frames, k, 2): right of root_x and up, in units of the figure's scale_m. */
  points: string;
}

/** What contenders look like at the end of a trial: `GET /api/v1/adaptations/N/clips`. */
export interface Clips {
  task: string;
  figure: FigureInfo | null;
  /** By contender, the control first; empty where there are none. */
  clips: Record<string, Clip>;
}

/** A command took effect: answer of `POST /api/v1/run/commands`. */
export interface Applied {
  kind: string;
  update: number;
  env_steps: number;
  detail: string;
}

/** Body of every answer that is not a success: why, for people. */
export interface Refusal {
  detail: string;
}

/** Body of `POST /api/v1/login`: a token for a session cookie. */
export interface Login {
  token: string;
}

/** What the asker may do: answer of `POST /api/v1/login` and `GET /api/v1/access`. */
export interface Access {
  /** null: a token is needed first. */
  role: "view" | "control" | null;
}

/** At least once a second, and when something changes. */
export interface StatusMessage {
  type: "status";
  status: Status;
}

/** Points that are new. */
export interface MetricsMessage {
  type: "metrics";
  run_key: string;
  points: MetricPoint[];
}

/** Something happened. */
export interface EventMessage {
  type: "event";
  run_key: string;
  event: TimelineEvent;
}

/** Once a second. */
export interface FleetMessage {
  type: "fleet";
  workers: Worker[];
}

/** The watched environment, at most ten times a second; null when it cannot be read. */
export interface EnvMessage {
  type: "env";
  env: Env | null;
  error: string;
}

/** What the page said was not understood; nothing has been changed. */
export interface ErrorMessage {
  type: "error";
  message: string;
}

/** Figures of all environments of a session. */
export interface FiguresWish {
  session: number;
  max_hz: number;
}

/** The pose and state of one environment. */
export interface PoseWish {
  session: number;
  env_id: number;
}

/** What the page wants from now on, in place of what it wanted before. */
export interface Subscribe {
  type: "subscribe";
  /** Several while candidates are on trial, each on a session of its own. */
  figures: FiguresWish | FiguresWish[] | null;
  pose: PoseWish | null;
}

/** The page has drawn, or dropped, this binary frame and all before it. */
export interface Ack {
  type: "ack";
  seq: number;
}
