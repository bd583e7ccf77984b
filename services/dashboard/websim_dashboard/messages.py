"""Everything that the page and the service say to each other: the one source of both sides' types.

`make docs` writes web/src/generated/messages.ts from it; `make lint` says when that is stale.
Bodies that the service only passes on (workers, rewards, scenes, ...) have the shapes of the
orchestrator's and the learner's answers.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from websim.programs.limits import MAX_SOURCE_BYTES
from websim.service.tokens import Role

RunState = Literal[
    "waiting",
    "training",
    "paused",
    "evaluating",
    "trial",
    "finished",
    "stopped",
    "failed",
    "disconnected",
]
"""waiting: for a learner or for the fleet; trial: candidates are compared on groups of
environments; stopped: told to, before its steps were over, and it can go on; disconnected: neither
learner nor orchestrator answers."""

EventKind = Literal["state", "checkpoint", "evaluation", "command", "warning", "adaptation"]

MAX_HZ = 30.0
"""Frames of a session's figures in a second, at most."""

MAX_FIGURES = 8
"""Sessions whose figures one page may watch."""


class Message(BaseModel):
    """Base of what is said; unknown fields of what comes from a browser are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


# --- how the run stands ---------------------------------------------------------------------------


class SessionSummary(Message):
    """Environments of one client of the fleet: of the training, its evaluation, a notebook."""

    session: int
    label: str
    task: str
    num_envs: int


class TimeSplit(Message):
    """Shares of the learner's time; they add up to 1, or are all 0 before the first update."""

    physics: float = 0.0
    """Waiting for the fleet."""
    inference: float = 0.0
    """The policy's forward, storing and sending."""
    update: float = 0.0
    """Learning."""
    evaluation: float = 0.0


class Waiting(Message):
    """What waits for a person's yes; `approve` and `reject` name its adaptation."""

    model_config = ConfigDict(extra="ignore")

    adaptation: int
    what: Literal["goal", "reward", "environment"]
    sentence: str
    names: list[str]
    """Candidates to choose from."""


class Question(Waiting):
    """What waits for a yes, with all that is agreed to."""

    goal: dict[str, Any] | None = None
    """Of a goal: its measure, with its program and target."""


class OtherTask(Message):
    """A task that some of a run's environments have instead of its own."""

    task: str
    num_envs: int
    return_mean: float | None = None
    fitness_mean: float | None = None


class Status(Message):
    """How everything stands, now."""

    run: str = ""
    """Name of the run; empty while no learner has been seen."""
    run_key: str = ""
    """Tells the run from all others, also from one of the same name before it."""
    task: str = ""
    algo: str = ""
    seed: int | None = None
    state: RunState = "disconnected"
    reason: str = ""
    """Why it is in this state, where there is something to say."""
    update: int = 0
    env_steps: int = 0
    total_steps: int = 0
    wall_s: float = 0.0
    """Training time, evaluation and pauses excluded."""
    steps_per_s: float = 0.0
    """Over the last updates; 0 while nothing is stepped."""
    return_mean: float | None = None
    length_mean: float | None = None
    fitness_mean: float | None = None
    """Of training episodes; of the last evaluation where the goal has a measure of its own."""
    fitness_unit: str = ""
    success_mean: float | None = None
    num_envs: int = 0
    """Of all tasks."""
    others: list[OtherTask] = []
    workers: int = 0
    branches: int = 0
    session: int | None = None
    """The training session's number on the fleet."""
    sessions: list[SessionSummary] = []
    reward_id: str = ""
    goal: str = ""
    goal_reached: bool = False
    adapt_mode: str = "off"
    adapting: str = ""
    """What the adaptation is doing, for people; empty when nothing."""
    banner: str = ""
    """Why rewards cannot be written just now; empty while all is well."""
    difficulty: float | None = None
    speed: float | None = None
    """As asked: simulated seconds of each environment per second; null: as fast as it goes."""
    real_time_factor: float = 0.0
    """As reached over the last updates; 0 while nothing is stepped."""
    pending: Waiting | None = None
    bottleneck: str = ""
    """What training waits for most, in one sentence; empty while nothing is known."""
    time_split: TimeSplit = TimeSplit()
    role: Role = "view"
    """What the asker may do."""
    learner_error: str | None = None
    """Why the learner cannot be asked; null while it answers."""
    orchestrator_error: str | None = None
    """Why the orchestrator cannot be asked; null while it answers."""


# --- history --------------------------------------------------------------------------------------


class MetricPoint(Message):
    """Metrics of one update of one branch."""

    number: int
    """Grows over the life of a run; ask for what is `after` the last one known."""
    branch: int
    update: int
    env_steps: int
    time_unix_s: float
    values: dict[str, float]
    """By name, as in the learner's metric records; what is not known yet is not there."""


class BranchSeries(Message):
    """Columns of one branch's points, in the order of updates; null where nothing is known."""

    branch: int
    number: list[int]
    update: list[int]
    env_steps: list[int]
    time_unix_s: list[float]
    values: dict[str, list[float | None]]


class MetricSeries(Message):
    """Answer of `GET /api/v1/metrics`."""

    run: str
    run_key: str
    last: int
    """Number of the newest point that there is."""
    names: list[str]
    """All metrics that the run has points of."""
    branches: list[BranchSeries]


class TimelineEvent(Message):
    """Something that happened in a run."""

    number: int
    time_unix_s: float
    update: int
    env_steps: int
    kind: EventKind
    title: str
    """One line, for people. Text from rewards may be in it: never to be shown as HTML."""
    detail: str = ""
    adaptation: int = 0
    """Number of the turn of the loop; 0 outside of one."""
    values: dict[str, Any] = {}
    """The learner's record, without what is above."""


class TrialPoint(Message):
    """How a contender of a trial did, when its fork had trained for so many steps."""

    model_config = ConfigDict(extra="ignore")

    number: int
    adaptation: int
    contender: str
    trial_env_steps: int
    """It replaces what came before it and is not before it: a trial may be held anew."""
    return_mean: float | None
    """Mean over the last 100 episodes of its group, by the task's own reward."""
    fitness_mean: float | None
    """Of the same, in the task's unit."""


# --- fleet ----------------------------------------------------------------------------------------


class Worker(Message):
    """A sim worker."""

    model_config = ConfigDict(extra="ignore")

    worker_id: int
    pid: int
    host: str
    nthread: int
    http_url: str
    draining: bool
    shards: int
    num_envs: int
    env_steps: int
    busy_s: float
    last_seen_s_ago: float


class Env(Message):
    """One environment, now."""

    model_config = ConfigDict(extra="ignore")

    session: int
    env_id: int
    time_s: float
    qpos: list[float | None]
    qvel: list[float | None]
    fields: dict[str, float | list[float | None] | None]
    episode_return: float | None
    episode_length: int
    episodes: int
    last_return: float | None
    last_length: int | None
    reward: float | None = None
    """Of its last step, as the task's own reward gave it; only while its pose is watched."""
    reward_components: dict[str, float] = {}


GeomType = Literal["plane", "hfield", "sphere", "capsule", "ellipsoid", "cylinder", "box", "mesh"]


class Geom(Message):
    """A geometric body of a task's model; sizes as MuJoCo has them."""

    model_config = ConfigDict(extra="ignore")

    name: str
    type: GeomType
    size: list[float]
    rgba: list[float]
    mesh: int | None = None
    """Index into the scene's meshes."""
    hfield: int | None = None
    """Index into the scene's hfields."""
    body: str = ""
    group: int = 0


class Mesh(Message):
    """Triangles, in base64: vertices little-endian float32 (v, 3), faces uint32 (f, 3)."""

    model_config = ConfigDict(extra="ignore")

    vertices: str
    faces: str


class Hfield(Message):
    """A height field in its geom's frame."""

    model_config = ConfigDict(extra="ignore")

    rows: int
    columns: int
    size_m: list[float]
    """Half of x and of y, the height that 1 stands for, and the base's depth."""
    heights: str
    """Base64 of little-endian float32 (rows, columns), 0 to 1; rows along y, columns along x."""


class Scene(Message):
    """What a task looks like: fixed for a session; positions come in binary frames."""

    model_config = ConfigDict(extra="ignore")

    task: str
    content_sha256: str
    plane: Literal["xz", "xy", "yz"]
    """Axes of the figures' picture: right, up."""
    k: int
    """Points of a figure."""
    point_names: list[str]
    bones: list[list[int]]
    """Pairs of points that a line joins; a pair of one point is a dot."""
    bone_radii_m: list[float]
    scale_m: float
    """Metres per unit of the points that travel."""
    extent_m: float
    """The larger of the picture's width and height."""
    view_m: list[float]
    """Left, bottom, right and top of a picture in which the figure can move."""
    ground_z_m: float | None
    """Height of the ground, or null where the task has no level plane."""
    stands_still: bool = False
    """Whether the figure stays where it is: the picture holds every pose, and hardly more."""
    geoms: list[Geom]
    meshes: list[Mesh] = []
    hfields: list[Hfield] = []


class Knob(Message):
    """A physical parameter that environments may draw anew for each episode."""

    model_config = ConfigDict(extra="ignore")

    name: str
    description: str = ""
    unit: str = ""
    nominal: float
    low: float
    high: float
    hard_low: float
    hard_high: float


class TaskField(Message):
    """What a reward may read as `state.<name>`."""

    name: str
    columns: int
    """0: one number per environment."""
    unit: str = ""
    description: str = ""


class TaskDetail(Message):
    """The task of a session: `GET /api/v1/sessions/{session}/task`."""

    model_config = ConfigDict(extra="ignore")

    id: str
    description: str
    fields: list[TaskField]
    action_dim: int
    action_names: list[str]
    reward_source: str
    reward_components: list[str]
    fitness_unit: str
    fitness_description: str
    has_success: bool
    dt_s: float
    """Simulated seconds of one env step."""
    max_episode_steps: int
    knobs: list[Knob] = []


class TaskSummary(Message):
    """A task that can be trained."""

    model_config = ConfigDict(extra="ignore")

    name: str
    description: str


# --- steering -------------------------------------------------------------------------------------


class RewardCheckRequest(Message):
    """A reward program that somebody types."""

    source: str = Field(max_length=4 * MAX_SOURCE_BYTES)
    session: int | None = None
    """Whose task's fields it may read; null is the training session."""


class CheckMessage(Message):
    """One thing that is wrong with a program."""

    line: int
    """1-based; 0 when it has no place in the text."""
    column: int
    reason: str
    """Class of the refusal, as in docs/programs.md."""
    message: str
    """What is wrong and what is allowed instead."""
    tier: Literal["schema", "language", "dry_run"] = "language"
    """dry_run: it was tried on made-up states; docs/rewards.md."""


class RewardCheck(Message):
    """What the language says of a program and, where it accepts it, reward-gen's gate."""

    ok: bool
    id: str | None = None
    """The program's id, when it is accepted."""
    messages: list[CheckMessage]
    components: list[str]
    judged_by: Literal["language", "gate"] = "language"
    """language: reward-gen was not asked, or gave no answer in time; the program was not run."""


class Goal(Message):
    """What the run is for, what is going on, and what waits for a yes: `GET /api/v1/goal`."""

    model_config = ConfigDict(extra="ignore")

    goal: dict[str, Any]
    mode: str
    reached: bool
    pending: list[Question]
    adapting: str
    banner: str
    difficulty: float = 0.0
    """Of the environments: 0 nominal, 1 the task's hard ranges."""
    knobs: dict[str, list[float]] = {}
    """Ranges of the knobs that were turned, which episodes draw from."""


class Reward(Message):
    """A reward of the run and what became of it."""

    model_config = ConfigDict(extra="ignore")

    id: str
    name: str
    origin: Literal["task", "person", "claude", "library", "replay"]
    outcome: Literal[
        "in_force", "candidate", "proposed", "adopted", "lost", "refused", "rolled_back", "failed"
    ]
    source: str | None
    hypothesis: str = ""
    reason: str = ""
    adaptation: int = 0
    update: int = 0
    goal: int = 0
    fitness_gain: float | None = None
    fitness_gain_low: float | None = None


class Rewards(Message):
    """Answer of `GET /api/v1/rewards`."""

    model_config = ConfigDict(extra="ignore")

    in_force: str
    rewards: list[Reward]


class FigureInfo(Message):
    """How figures are drawn: what of a scene is needed for it."""

    model_config = ConfigDict(extra="ignore")

    plane: Literal["xz", "xy", "yz"]
    k: int
    bones: list[list[int]]
    bone_radii_m: list[float]
    scale_m: float
    view_m: list[float]
    ground_z_m: float | None
    stands_still: bool = False


class Clip(Message):
    """The first seconds of an episode, as a moving figure; arrays are little-endian, in base64."""

    model_config = ConfigDict(extra="ignore")

    episode: str
    """Which one of how many."""
    episode_s: float
    """How long it was; a shorter one than the clip ended in it."""
    frame_s: float
    """Simulated time from frame to frame."""
    root_x: str
    """f32 (frames,): where the figure is along the ground, m."""
    points: str
    """i16 (frames, k, 2): right of root_x and up, in units of the figure's scale_m."""


class Clips(Message):
    """What contenders look like at the end of a trial: `GET /api/v1/adaptations/N/clips`."""

    model_config = ConfigDict(extra="ignore")

    task: str = ""
    figure: FigureInfo | None = None
    clips: dict[str, Clip] = {}
    """By contender, the control first; empty where there are none."""


class DecisionAgain(Message):
    """A decision of the run, made again from its row of the log."""

    model_config = ConfigDict(extra="ignore")

    n: int
    """Of the row."""
    adaptation: int
    kind: str
    decided: str
    """As the log has it."""
    again: str
    """As it comes out now."""
    same: bool


class Replay(Message):
    """All decisions of the run, made again: `GET /api/v1/adaptations/replay`."""

    model_config = ConfigDict(extra="ignore")

    rows: int
    """Of the log."""
    decisions: list[DecisionAgain] = []
    problem: str = ""
    """Why they cannot be made again; empty where they can."""


class Applied(Message):
    """A command took effect: answer of `POST /api/v1/run/commands`."""

    kind: str
    update: int
    env_steps: int
    detail: str = ""


class Refusal(Message):
    """Body of every answer that is not a success: why, for people."""

    detail: str


class Login(Message):
    """Body of `POST /api/v1/login`: a token for a session cookie."""

    token: str = Field(min_length=1, max_length=512)


class Access(Message):
    """What the asker may do: answer of `POST /api/v1/login` and `GET /api/v1/access`."""

    role: Role | None
    """null: a token is needed first."""


# --- WebSocket, service -> page -------------------------------------------------------------------


class StatusMessage(Message):
    """At least once a second, and when something changes."""

    type: Literal["status"] = "status"
    status: Status


class MetricsMessage(Message):
    """Points that are new."""

    type: Literal["metrics"] = "metrics"
    run_key: str
    points: list[MetricPoint]


class EventMessage(Message):
    """Something happened."""

    type: Literal["event"] = "event"
    run_key: str
    event: TimelineEvent


class TrialMessage(Message):
    """Points of a trial's curves that are new."""

    type: Literal["trial"] = "trial"
    run_key: str
    points: list[TrialPoint]


class FleetMessage(Message):
    """Once a second."""

    type: Literal["fleet"] = "fleet"
    workers: list[Worker]


class EnvMessage(Message):
    """The watched environment, at most ten times a second; null when it cannot be read."""

    type: Literal["env"] = "env"
    env: Env | None
    error: str = ""


class ErrorMessage(Message):
    """What the page said was not understood; nothing has been changed."""

    type: Literal["error"] = "error"
    message: str


ServerMessage = Annotated[
    StatusMessage
    | MetricsMessage
    | EventMessage
    | TrialMessage
    | FleetMessage
    | EnvMessage
    | ErrorMessage,
    Field(discriminator="type"),
]


# --- WebSocket, page -> service -------------------------------------------------------------------


class FiguresWish(Message):
    """Figures of all environments of a session."""

    session: int = Field(ge=0, le=2**32 - 1)
    max_hz: float = Field(default=MAX_HZ, gt=0.0, le=MAX_HZ)


class PoseWish(Message):
    """The pose and state of one environment."""

    session: int = Field(ge=0, le=2**32 - 1)
    env_id: int = Field(ge=0, le=2**32 - 1)


class Subscribe(Message):
    """What the page wants from now on, in place of what it wanted before."""

    type: Literal["subscribe"] = "subscribe"
    figures: FiguresWish | Annotated[list[FiguresWish], Field(max_length=MAX_FIGURES)] | None = None
    """Several while candidates are on trial, each on a session of its own."""
    pose: PoseWish | None = None


class Ack(Message):
    """The page has drawn, or dropped, this binary frame and all before it."""

    type: Literal["ack"] = "ack"
    seq: int = Field(ge=0, le=2**32 - 1)


ClientMessage = Annotated[Subscribe | Ack, Field(discriminator="type")]
