"""One example of every message of the protocol, for the golden bytes and the fuzz test."""

import msgspec
import numpy as np

from websim.wire import messages as m
from websim.wire.codec import Array, describe, encode

TASK = m.TaskInfo(
    id="Example-v0",
    description="An example.",
    obs_dim=3,
    action_low=(-1.0, -1.0),
    action_high=(1.0, 1.0),
    dt_s=0.05,
    max_episode_steps=1000,
    obs_names=("a", "b", "c"),
    action_names=("left", "right"),
    fields=(m.FieldInfo(name="x_velocity", columns=0, unit="m/s", description="forward"),),
    reward_components=("forward",),
    reward_source="def reward(state, action):\n    return state.x_velocity\n",
    fitness_unit="m/s",
    fitness_description="mean forward velocity",
    has_success=True,
    parameters={"ctrl_cost_weight": 0.1, "healthy_z_range": (0.2, 1.0), "links": 3, "on": True},
    content_sha256="ab" * 32,
)

OBS = np.arange(6, dtype=np.float32).reshape(2, 3)
STEP_ARRAYS = {
    "obs": OBS,
    "reward": np.array([1.5, -2.0]),
    "terminated": np.array([False, True]),
    "truncated": np.array([False, False]),
    "invalid": np.array([False, False]),
    "ended": np.array([1], np.int32),
    "final_obs": OBS[1:],
    "episode": np.array([[10.0, 5.0, 0.5, 1.0]]),
    "field:x_velocity": np.array([0.25, -0.25]),
}

EXAMPLES: list[tuple[m.Message, dict[str, Array]]] = [
    (
        m.WorkerHello(
            instance="00ff",
            pid=12,
            host="sim-1",
            nthread=2,
            http_url="http://h:1",
            held=(m.Held(session=1, shard=2, epoch=1, seq=4, t=3),),
            tasks=(m.TaskSummary("Ant-v5", "A four-legged robot"),),
        ),
        {},
    ),
    (m.WorkerHeartbeat(commands=3, env_steps=384, busy_s=0.5, shards=2, draining=True), {}),
    (m.ShardReady(session=1, shard=2, epoch=1, task=TASK), {}),
    (
        m.ShardFailed(session=1, shard=2, epoch=1, code="task_refused", message="no", remedy="yes"),
        {},
    ),
    (
        m.Rejected(
            session=1, shard=2, epoch=1, seq=4, t=3, code="bad_command", message="no", remedy="yes"
        ),
        {},
    ),
    (m.Stepped(session=1, shard=2, epoch=1, seq=4, t=3), STEP_ARRAYS),
    (m.WasReset(session=1, shard=2, epoch=1, seq=1, t=1), {"obs": OBS}),
    (m.Applied(session=1, shard=2, epoch=1, seq=5, t=4), {"obs": OBS[:1]}),
    (m.Snapshot(session=1, shard=2, epoch=1, seq=64, t=63), {"state": np.eye(2)}),
    (m.ShardState(session=1, shard=2, epoch=1, request=9), {"state": np.eye(2)}),
    (
        m.EnvState(
            session=1,
            shard=2,
            epoch=1,
            request=9,
            env_id=65,
            time_s=0.15,
            episode_return=3.5,
            episode_length=3,
        ),
        {"qpos": np.zeros(2), "qvel": np.ones(2), "field:x_velocity": np.array([0.5])},
    ),
    (
        m.Scene(session=1, shard=0, epoch=1, request=9),
        {"json": np.frombuffer(b'{"task":"Example-v0"}', np.uint8)},
    ),
    (
        m.Figures(session=1, shard=2, epoch=1, t=3, first_env_id=64, scale_m=0.0005),
        {
            "points": np.array([[[0, 1400], [-200, 10]], [[0, 1390], [150, -5]]], np.int16),
            "root_x": np.array([0.5, -0.25], np.float32),
            "episode_return": np.array([3.5, -1.0], np.float32),
            "episode_length": np.array([3, 12], np.int32),
            "outcome": np.array([0, 2], np.uint8),
        },
    ),
    (
        m.Pose(session=1, shard=2, epoch=1, t=3, env_id=65, time_s=0.15),
        {
            "geom_xpos": np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.7]], np.float32),
            "geom_xquat": np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]], np.float32),
            "contacts": np.array([[0.25, 0.0, 0.0, 9.5]], np.float32),
            "reward": np.array(0.25),
            "component:forward": np.array(0.25),
        },
    ),
    (m.WorkerGoodbye(), {}),
    (m.Welcome(worker_id=0, heartbeat_s=0.25), {}),
    (
        m.AssignShard(
            session=1,
            shard=2,
            epoch=2,
            task="Example-v0",
            seed=7,
            first_env_id=64,
            num_envs=32,
            obs_dtype="float32",
            snapshot_every=64,
            overrides={"ctrl_cost_weight": 0.2},
            seq=64,
            t=63,
        ),
        {"task:task.yaml": np.frombuffer(b"id: x", np.uint8), "snapshot:state": np.eye(2)},
    ),
    (m.KeepShard(session=1, shard=2, epoch=1, new_epoch=2), {}),
    (m.ReleaseShard(session=1, shard=2, epoch=1), {}),
    (m.TakeSnapshot(session=1, shard=2, epoch=1, release=True), {}),
    (m.Refused(code="out_of_order", message="no", remedy="yes", session=1, shard=2, t=9), {}),
    (
        m.Step(session=1, shard=2, t=3, fields=("x_velocity",), seq=4, epoch=1, replay=True),
        {"action": np.array([[0.5, -0.5], [1.0, 0.0]], np.float32)},
    ),
    (m.Reset(session=1, shard=2, t=1, seed=7, seq=1, epoch=1), {"mask": np.array([True, False])}),
    (
        m.SetState(session=1, shard=2, t=4, env_id=65, seq=5, epoch=1),
        {"qpos": np.zeros(2), "qvel": np.ones(2)},
    ),
    (m.ResetEnv(session=1, shard=2, env_id=65, t=5, seq=6, epoch=1), {}),
    (
        m.SetKnobs(
            session=1,
            shard=2,
            t=7,
            knobs={"gravity": (0.8, 1.2), "push": (0.0, 50.0)},
            seq=8,
            epoch=1,
        ),
        {},
    ),
    (m.RestoreShard(session=1, shard=2, t=6, seq=7, epoch=1), {"state": np.eye(2)}),
    (m.GetSnapshot(session=1, shard=2, request=9, epoch=1), {}),
    (m.GetState(session=1, shard=2, env_id=65, request=9, epoch=1), {}),
    (m.GetScene(session=1, shard=0, request=9, epoch=1), {}),
    (m.Look(session=1, shard=2, epoch=1, watch=m.Watch(figures=True, env_ids=(65,))), {}),
    (
        m.OpenSession(
            request=1,
            task="Example-v0",
            num_envs=96,
            seed=7,
            obs_dtype="float64",
            shard_envs=32,
            label="training",
            overrides={"healthy_z_range": (0.2, 1.0)},
            session=1,
            done=(3, 3, 2),
        ),
        {"task:task.yaml": np.frombuffer(b"id: x", np.uint8)},
    ),
    (m.CloseSession(session=1), {}),
    (m.ClientHeartbeat(session=1), {}),
    (
        m.SessionOpened(
            request=1, session=1, task=TASK, shards=(m.ShardSpan(0, 32), m.ShardSpan(32, 32))
        ),
        {},
    ),
    (m.SessionWaiting(request=1, session=1, reason="no sim worker is connected"), {}),
    (m.OrchestratorHeartbeat(workers=2), {}),
]


def frames_of(message: m.Message, arrays: dict[str, Array]) -> list[bytes]:
    """The frames of a message as they travel."""
    specs, frames = describe(arrays)
    described = msgspec.structs.replace(message, arrays=specs)
    return [bytes(memoryview(frame).cast("B")) for frame in encode(described, frames)]
