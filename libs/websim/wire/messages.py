"""Every message of the protocol, as data: docs/protocol.md is the specification.

Called by everything that sends or receives. A message is frozen; new fields get defaults; a field
is never re-typed or removed without a new protocol version. Arrays travel beside the header as raw
frames, described by `arrays` (see codec.py); the shapes are in the comment of each class, with
n = environments of the shard, k = episodes that ended in this step.
"""

from typing import Literal

import msgspec

PROTOCOL_VERSION = 1
"""Version of the wire protocol, apart from the package's."""

ObsDtype = Literal["float32", "float64"]
FIGURE_FIELD = "@figure"
"""Names the key points of an environment's figure among the fields of a step: (n, 1 + 2 points),
root_x in m, then right and up of each point as `Figures` has them. No program can read it."""

Value = bool | int | float | str | tuple[float, ...]
"""A task parameter's value as it travels."""


class ArraySpec(msgspec.Struct, frozen=True, array_like=True):
    """Describes the raw little-endian, C-ordered frame at the same position after the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Message(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="type"):
    """Base of all messages. `arrays` has one entry for each frame that follows the header."""

    arrays: tuple[ArraySpec, ...] = ()


# --- what a task is, once a worker has compiled it -------------------------------------------


class FieldInfo(msgspec.Struct, frozen=True):
    """A field that programs may read as `state.<name>`: (n,) if columns == 0, else (n, columns)."""

    name: str
    columns: int
    unit: str = ""
    description: str = ""


class KnobInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A physical parameter that each environment may draw anew for each of its episodes.

    Ranges lie within [low, high]; [hard_low, hard_high] is the range at difficulty 1, and
    `nominal` what the model itself has. All in `unit`.
    """

    name: str
    nominal: float
    low: float
    high: float
    hard_low: float
    hard_high: float
    unit: str = ""
    description: str = ""


class FigureInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an environment is drawn: key points, and what joins them; as in a task's scene."""

    plane: Literal["xz", "xy", "yz"]
    k: int
    """Points."""
    bones: tuple[tuple[int, int], ...]
    bone_radii_m: tuple[float, ...]
    scale_m: float
    """Metres per unit of the points."""
    view_m: tuple[float, float, float, float]
    """Left, bottom, right and top of a picture in which it can move."""
    ground_z_m: float | None
    stands_still: bool = False
    """Whether it stays where it is: the picture holds every pose of it, and hardly more."""


class TaskInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A compiled task: all that a client, a learner or a page needs to know about it."""

    id: str
    description: str
    obs_dim: int
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    dt_s: float
    max_episode_steps: int
    obs_names: tuple[str, ...] = ()
    action_names: tuple[str, ...] = ()
    fields: tuple[FieldInfo, ...] = ()
    reward_components: tuple[str, ...] = ()
    reward_source: str = ""
    fitness_unit: str = ""
    fitness_description: str = ""
    has_success: bool = False
    parameters: dict[str, Value] = {}
    content_sha256: str = ""
    knobs: tuple[KnobInfo, ...] = ()
    figure: FigureInfo | None = None
    """None: from a worker that does not know FIGURE_FIELD."""

    @property
    def action_dim(self) -> int:
        """Number of actions of one environment."""
        return len(self.action_low)


class TaskSummary(msgspec.Struct, frozen=True, array_like=True):
    """A task that a worker has by name."""

    name: str
    description: str


class Watch(msgspec.Struct, frozen=True, omit_defaults=True):
    """What somebody looks at: the figures of all of a shard's environments, the poses of some."""

    figures: bool = False
    env_ids: tuple[int, ...] = ()


class ShardSpan(msgspec.Struct, frozen=True, array_like=True):
    """The consecutive environments of one shard."""

    first_env_id: int
    num_envs: int


class Held(msgspec.Struct, frozen=True, array_like=True):
    """A shard that a worker holds: its last assignment and the last command it carried out."""

    session: int
    shard: int
    epoch: int
    seq: int
    t: int


# --- worker -> orchestrator ---------------------------------------------------------------------


class WorkerHello(Message, frozen=True, tag="worker_hello"):
    """A worker is there. Sent until a Welcome arrives; `instance` is new for each registration.

    `held` are the shards that it still has from an orchestrator that it lost; `tasks` those that
    can be opened by name. Workers of one fleet have one `package_version` and `mujoco_version`.
    """

    instance: str
    pid: int
    host: str
    nthread: int = 1
    http_url: str = ""
    package_version: str = ""
    held: tuple[Held, ...] = ()
    tasks: tuple[TaskSummary, ...] = ()
    mujoco_version: str = ""


class WorkerHeartbeat(Message, frozen=True, tag="worker_heartbeat"):
    """The worker's loop turned. `busy_s` and `env_steps` are totals since its start."""

    commands: int
    env_steps: int
    busy_s: float
    shards: int
    draining: bool = False


class ShardReady(Message, frozen=True, tag="shard_ready"):
    """A shard is built (and restored); `task` is the compiled task."""

    session: int
    shard: int
    epoch: int
    task: TaskInfo


class ShardFailed(Message, frozen=True, tag="shard_failed"):
    """A shard could not be built, restored or stepped; `message` and `remedy` are for a person."""

    session: int
    shard: int
    epoch: int
    code: str
    message: str
    remedy: str = ""


class Rejected(Message, frozen=True, tag="rejected"):
    """A command that cannot be carried out changed nothing; it counts as done."""

    session: int
    shard: int
    epoch: int
    seq: int
    t: int
    code: str
    message: str
    remedy: str = ""


class Stepped(Message, frozen=True, tag="stepped"):
    """Worker -> orchestrator -> client: answer to Step.

    Arrays: obs (n, obs_dim) obs_dtype, reward (n,) <f8, terminated (n,) |u1, truncated (n,) |u1,
    then, when not empty: invalid (n,) |u1, ended (k,) <i4, final_obs (k, obs_dim) obs_dtype,
    episode (k, 4) <f8 = return, length, fitness, success (NaN: the task defines none), and one
    `field:<name>` <f8 array of (n,) or (n, c) for each requested field. `skipped`: the step was
    not simulated (see Step); all its transitions are invalid and truncated.
    """

    session: int
    shard: int
    epoch: int
    seq: int
    t: int
    skipped: bool = False


class WasReset(Message, frozen=True, tag="was_reset"):
    """Worker -> orchestrator -> client: answer to Reset, RestoreShard. Arrays: obs (n, obs_dim)."""

    session: int
    shard: int
    epoch: int
    seq: int
    t: int


class Applied(Message, frozen=True, tag="applied"):
    """Worker -> orchestrator -> client: answer to SetState, ResetEnv and SetKnobs.

    Arrays: after SetState obs (1, obs_dim), after SetKnobs obs (n, obs_dim), which are as before.
    """

    session: int
    shard: int
    epoch: int
    seq: int
    t: int


class Snapshot(Message, frozen=True, tag="snapshot"):
    """The whole state of a shard after command `seq`. Arrays: as the worker names them."""

    session: int
    shard: int
    epoch: int
    seq: int
    t: int


class ShardState(Message, frozen=True, tag="shard_state"):
    """Worker -> orchestrator -> client: answer to GetSnapshot. Arrays: those of a Snapshot."""

    session: int
    shard: int
    epoch: int
    request: int


class EnvState(Message, frozen=True, tag="env_state"):
    """Worker -> orchestrator -> asker: one environment. Arrays: qpos, qvel, `field:<name>`."""

    session: int
    shard: int
    epoch: int
    request: int
    env_id: int
    time_s: float
    episode_return: float
    episode_length: int


class Scene(Message, frozen=True, tag="scene"):
    """Worker -> orchestrator -> asker: a task's geometry. Arrays: json |u1, a document in UTF-8."""

    session: int
    shard: int
    epoch: int
    request: int


class Figures(Message, frozen=True, tag="figures"):
    """Worker -> orchestrator -> subscribers: where the key points of a shard's figures are.

    Arrays: points <i2 (n, points, 2), right and up, in units of `scale_m`, right counted from
    root_x; root_x <f4 (n,) in m; episode_return <f4 (n,) and episode_length <i4 (n,) so far;
    outcome |u1 (n,), how the episode before ended (docs/protocol.md). `t`: the client's command
    after which it was so.
    """

    session: int
    shard: int
    epoch: int
    t: int
    first_env_id: int
    scale_m: float


class Pose(Message, frozen=True, tag="pose"):
    """Worker -> orchestrator -> subscribers: where one environment's geoms are.

    Arrays: geom_xpos <f4 (g, 3) in m; geom_xquat <f4 (g, 4), w first; contacts <f4 (c, 4): x, y, z
    in m and normal force in N; after a step, reward <f8 () of it and `component:<name>` <f8 ().
    """

    session: int
    shard: int
    epoch: int
    t: int
    env_id: int
    time_s: float


class WorkerGoodbye(Message, frozen=True, tag="worker_goodbye"):
    """The worker holds nothing any more and leaves."""


# --- orchestrator -> worker ---------------------------------------------------------------------


class Welcome(Message, frozen=True, tag="welcome"):
    """The worker is registered under `worker_id`; heartbeats are due every `heartbeat_s`."""

    worker_id: int
    heartbeat_s: float


class AssignShard(Message, frozen=True, tag="assign_shard"):
    """Build a shard. Arrays: `task:<file>` |u1 of a custom task, `snapshot:<name>` to restore.

    `seq` and `t` are the snapshot's. Commands that follow with replay=True are done in silence.
    """

    session: int
    shard: int
    epoch: int
    task: str
    seed: int
    first_env_id: int
    num_envs: int
    obs_dtype: ObsDtype
    snapshot_every: int
    overrides: dict[str, Value] = {}
    seq: int = 0
    t: int = 0


class KeepShard(Message, frozen=True, tag="keep_shard"):
    """A shard that the worker held at its hello goes on there, under `new_epoch`.

    Answered by ShardReady, Snapshot, and once more the answer to the client's last command.
    """

    session: int
    shard: int
    epoch: int
    new_epoch: int


class ReleaseShard(Message, frozen=True, tag="release_shard"):
    """Forget a shard."""

    session: int
    shard: int
    epoch: int


class TakeSnapshot(Message, frozen=True, tag="take_snapshot"):
    """Send a Snapshot now; `release`: and forget the shard, which moves elsewhere."""

    session: int
    shard: int
    epoch: int
    release: bool = False


class Refused(Message, frozen=True, tag="refused"):
    """Orchestrator -> anyone: what was asked is not done, why, and what to do."""

    code: str
    message: str
    remedy: str = ""
    request: int = 0
    session: int = 0
    shard: int = -1
    t: int = 0


# --- commands on a shard: client -> orchestrator -> worker ---------------------------------------
# The client numbers its commands of a shard by `t`; the orchestrator numbers what it forwards by
# `seq` and names the `epoch` of the assignment. Both start at 1.


class Step(Message, frozen=True, tag="step"):
    """Act in every environment of a shard. Arrays: action (n, action_dim) <f4.

    The orchestrator sets `skip` where the command has ended one worker after another: it is not
    simulated, and all episodes of the shard end and begin anew. It sets `watch` where somebody
    looks: Figures and Poses then follow the answer, which stays as it is.
    """

    session: int
    shard: int
    t: int
    fields: tuple[str, ...] = ()
    skip: bool = False
    seq: int = 0
    epoch: int = 0
    replay: bool = False
    watch: Watch | None = None


class Reset(Message, frozen=True, tag="reset"):
    """Reset a shard. Arrays: mask (n,) |u1, absent: all. `seed` re-keys the shard's randomness."""

    session: int
    shard: int
    t: int
    seed: int | None = None
    seq: int = 0
    epoch: int = 0
    replay: bool = False


class SetState(Message, frozen=True, tag="set_state"):
    """Put one environment somewhere. Arrays: qpos (nq,) <f8, qvel (nv,) <f8."""

    session: int
    shard: int
    t: int
    env_id: int
    seq: int = 0
    epoch: int = 0
    replay: bool = False


class ResetEnv(Message, frozen=True, tag="reset_env"):
    """Truncate one environment at the next Step and reset it there, for all to see."""

    session: int
    shard: int
    env_id: int
    t: int = 0
    seq: int = 0
    epoch: int = 0
    replay: bool = False


class SetKnobs(Message, frozen=True, tag="set_knobs"):
    """Draw these knobs of a shard's environments from [low, high] from each next episode on.

    Knobs that are not named keep their range. [nominal, nominal] sets one back.
    """

    session: int
    shard: int
    t: int
    knobs: dict[str, tuple[float, float]]
    seq: int = 0
    epoch: int = 0
    replay: bool = False


class RestoreShard(Message, frozen=True, tag="restore_shard"):
    """Continue from the state that a ShardState told. Arrays: its arrays."""

    session: int
    shard: int
    t: int
    seq: int = 0
    epoch: int = 0
    replay: bool = False


class GetSnapshot(Message, frozen=True, tag="get_snapshot"):
    """Ask for a shard's whole state. Changes nothing, like GetState."""

    session: int
    shard: int
    request: int
    epoch: int = 0


class GetState(Message, frozen=True, tag="get_state"):
    """Ask for one environment's state. Changes nothing, so it is neither numbered nor replayed."""

    session: int
    shard: int
    env_id: int
    request: int
    epoch: int = 0


class GetScene(Message, frozen=True, tag="get_scene"):
    """Orchestrator -> worker: ask for the geometry of a shard's task. Changes nothing."""

    session: int
    shard: int
    request: int
    epoch: int = 0


class Look(Message, frozen=True, tag="look"):
    """Orchestrator -> worker: show a shard that is not being stepped. Changes nothing."""

    session: int
    shard: int
    epoch: int
    watch: Watch


# --- client -> orchestrator ---------------------------------------------------------------------


class OpenSession(Message, frozen=True, tag="open_session"):
    """Ask for environments. Arrays: `task:<file>` |u1, the files of a custom task.

    `shard_envs` 0 takes the default, a function of num_envs alone. A client whose orchestrator was
    restarted asks for its environments back: `session` is their session, and `done` has, for each
    shard, the `t` of the last command whose answer it has.
    """

    request: int
    task: str
    num_envs: int
    seed: int
    obs_dtype: ObsDtype = "float32"
    shard_envs: int = 0
    label: str = ""
    overrides: dict[str, Value] = {}
    session: int = 0
    done: tuple[int, ...] = ()


class CloseSession(Message, frozen=True, tag="close_session"):
    """The client wants its environments no more."""

    session: int


class ClientHeartbeat(Message, frozen=True, tag="client_heartbeat"):
    """The client lives; sessions of silent clients are closed."""

    session: int = 0


# --- orchestrator -> client ---------------------------------------------------------------------


class SessionOpened(Message, frozen=True, tag="session_opened"):
    """All shards are ready."""

    request: int
    session: int
    task: TaskInfo
    shards: tuple[ShardSpan, ...]


class SessionWaiting(Message, frozen=True, tag="session_waiting"):
    """A session cannot go on yet; `reason` is for a person ("no sim worker is connected").

    It is empty when nothing holds the session up any more.
    """

    request: int
    session: int
    reason: str


class OrchestratorHeartbeat(Message, frozen=True, tag="orchestrator_heartbeat"):
    """The orchestrator lives. Sent to workers and clients in answer to theirs."""

    workers: int = 0


FromWorker = (
    WorkerHello
    | WorkerHeartbeat
    | ShardReady
    | ShardFailed
    | Rejected
    | Stepped
    | WasReset
    | Applied
    | Snapshot
    | ShardState
    | EnvState
    | Scene
    | Figures
    | Pose
    | WorkerGoodbye
)
ToWorker = (
    Welcome
    | AssignShard
    | KeepShard
    | ReleaseShard
    | TakeSnapshot
    | Step
    | Reset
    | SetState
    | ResetEnv
    | SetKnobs
    | RestoreShard
    | GetState
    | GetSnapshot
    | GetScene
    | Look
    | Refused
    | OrchestratorHeartbeat
)
FromClient = (
    OpenSession
    | CloseSession
    | ClientHeartbeat
    | Step
    | Reset
    | SetState
    | ResetEnv
    | SetKnobs
    | RestoreShard
    | GetState
    | GetSnapshot
)
ToClient = (
    SessionOpened
    | SessionWaiting
    | Stepped
    | WasReset
    | Applied
    | ShardState
    | EnvState
    | Refused
    | OrchestratorHeartbeat
)
Telemetry = Figures | Pose
AnyMessage = FromWorker | ToWorker | FromClient | ToClient
