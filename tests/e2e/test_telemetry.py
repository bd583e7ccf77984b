"""Looking at a real fleet through its telemetry socket, as pages do."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import zmq

from websim.client import make_vec
from websim.local.fleet import LocalFleet
from websim.local.keys import make_key_set
from websim.wire.codec import Envelope
from websim.wire.curve import load_peer_keys
from websim.wire.messages import Figures, Pose
from websim.wire.telemetry import QUEUE_MESSAGES, Subscriber, figures_topic, pose_topic

DEADLINE_S = 30.0
"""For what takes a tenth of a second or two on a machine that has time."""
N = 512
"""Environments: two shards."""


@pytest.fixture
def context() -> Iterator["zmq.Context"]:
    with zmq.Context() as context:
        yield context


@pytest.fixture
def look(context) -> Iterator[Callable[..., Subscriber]]:
    """Subscribe to topics of a fleet."""
    made = []

    def make(fleet: LocalFleet, *topics: bytes, keys=None) -> Subscriber:
        made.append(Subscriber(context, fleet.telemetry_address, keys))
        for topic in topics:
            made[-1].subscribe(topic)
        return made[-1]

    yield make
    for subscriber in made:
        subscriber.close()


def session_of(fleet: LocalFleet) -> int:
    with urllib.request.urlopen(f"{fleet.http_url}/v1/sessions", timeout=10) as response:
        return max(view["session"] for view in json.loads(response.read()))


def reading(fleet: LocalFleet, name: str) -> float:
    with urllib.request.urlopen(f"{fleet.http_url}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def until(condition: Callable[[], bool], what: str) -> None:
    give_up_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up_s, what
        time.sleep(0.01)


def wait_for(subscriber: Subscriber, count: int = 1) -> dict[bytes, Envelope]:
    """Take until so many topics have been seen; return the last message of each."""
    seen: dict[bytes, Envelope] = {}
    until(lambda: len(seen | (seen.update(subscriber.take()) or {})) >= count, "nothing is shown")
    return seen


def zeros(env) -> np.ndarray:
    return np.zeros(env.action_space.shape, np.float32)


def test_figures_of_every_environment_come_while_it_is_stepped(fleet, make_env, look):
    env = make_env(num_envs=N)
    env.reset(seed=0)
    session = session_of(fleet)
    watcher = look(fleet, figures_topic(session))
    seen: dict[int, Figures] = {}
    last: dict[int, dict] = {}
    for _ in range(400):
        env.step(zeros(env))
        for topic, envelope in watcher.take().items():
            assert topic == figures_topic(session, envelope.message.shard)
            seen[envelope.message.shard] = envelope.message
            last[envelope.message.shard] = envelope.arrays()
        if len(seen) == 4 and all(message.t > 3 for message in seen.values()):
            break
    with urllib.request.urlopen(f"{fleet.http_url}/v1/sessions/{session}/scene") as response:
        scene = json.loads(response.read())
    assert sorted(message.first_env_id for message in seen.values()) == [0, 128, 256, 384]
    for shard, arrays in last.items():
        assert arrays["points"].shape == (128, scene["k"], 2)
        assert seen[shard].scale_m == scene["scale_m"]
        # A HalfCheetah stands or falls: within a metre and a half of the ground and of its root.
        assert np.abs(arrays["points"] * scene["scale_m"]).max() < 1.5
        assert (arrays["episode_length"] == seen[shard].t - 1).all()
    assert watcher.broken == 0


def test_an_environment_at_rest_is_shown_to_a_newcomer_and_moves_with_its_state(
    fleet, make_env, look
):
    env = make_env(num_envs=N)
    env.reset(seed=0)
    topic = pose_topic(session_of(fleet), 200)
    watcher = look(fleet, topic)
    [(_, before)] = wait_for(watcher).items()
    assert isinstance(before.message, Pose)
    assert before.message.env_id == 200
    qpos = np.zeros(9)
    qpos[:2] = 5.0, 1.0
    env.set_state(200, qpos, np.zeros(9))

    def moved() -> bool:
        taken = watcher.take().get(topic)
        return taken is not None and abs(taken.array("geom_xpos")[1, 0] - 5.0) < 0.01

    until(moved, "the pose does not follow the environment")


def test_a_pose_has_the_reward_of_its_step(fleet, make_env, look):
    env = make_env(num_envs=N)
    env.reset(seed=0)
    watcher = look(fleet, pose_topic(session_of(fleet), 200))
    wait_for(watcher)
    rewards: dict[int, float] = {}
    action = env.action_space.sample()

    def explained() -> bool:
        _, reward, *_ = env.step(action)
        rewards[len(rewards) + 2] = float(reward[200])
        for envelope in watcher.take().values():
            if (told := envelope.array("reward")) is not None:
                parts = {
                    k: float(v) for k, v in envelope.arrays().items() if k[:10] == "component:"
                }
                assert float(told) == pytest.approx(rewards[envelope.message.t])
                assert sum(parts.values()) == pytest.approx(float(told))
                assert set(parts) == {"component:forward", "component:ctrl_cost"}
                return True
        return False

    until(explained, "no step is explained")


def test_being_looked_at_changes_no_bit(fleet, make_env, look):
    def run(watched: bool) -> list[np.ndarray]:
        env = make_env("Hopper-v5", num_envs=96)
        env.reset(seed=7)
        if watched:
            session = session_of(fleet)
            topics = [figures_topic(session), pose_topic(session, 3), pose_topic(session, 80)]
            wait_for(look(fleet, *topics), 5)
        rng, results = np.random.default_rng(0), []
        for _ in range(150):
            action = rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)
            results += list(env.step(action)[:4])
        env.close()
        return results

    shown = reading(fleet, "websim_orchestrator_published_messages_total")
    for one, other in zip(run(watched=True), run(watched=False), strict=True):
        assert np.array_equal(one, other)
    assert reading(fleet, "websim_orchestrator_published_messages_total") > shown + 5


def test_nothing_is_shown_once_nobody_looks(fleet, make_env, look):
    env = make_env(num_envs=N)
    env.reset(seed=0)
    session = session_of(fleet)
    watcher, other = look(fleet, figures_topic(session)), look(fleet, figures_topic(session))
    wait_for(watcher, 4)
    wait_for(other, 4)
    other.close()
    watcher.take()
    wait_for(watcher)  # the one who stays goes on being shown
    watcher.unsubscribe(figures_topic(session))
    until(lambda: reading(fleet, "websim_orchestrator_watched_topics") == 0, "it is still watched")
    env.step(zeros(env))
    before = reading(fleet, "websim_orchestrator_published_messages_total")
    for _ in range(20):
        env.step(zeros(env))
    time.sleep(1.2)  # longer than what is at rest would wait
    assert reading(fleet, "websim_orchestrator_published_messages_total") == before


def test_who_vanishes_is_looked_for_no_longer(fleet, make_env, context):
    make_env(num_envs=64).reset(seed=0)
    watcher = Subscriber(context, fleet.telemetry_address)
    watcher.subscribe(figures_topic(session_of(fleet)))
    wait_for(watcher)
    watcher.close()
    until(lambda: reading(fleet, "websim_orchestrator_watched_topics") == 0, "it is still watched")


def test_who_does_not_read_holds_up_nobody(fleet, make_env, look):
    env = make_env("InvertedPendulum-v5", num_envs=256, shard_envs=8)
    env.reset(seed=0)
    topic = figures_topic(session_of(fleet))
    readers, silent = ([look(fleet, topic) for _ in range(8)] for _ in range(2))
    for reader in readers:
        wait_for(reader, 32)
    begun = reading(fleet, "websim_orchestrator_published_messages_total")
    newest = 0

    def fill() -> bool:
        nonlocal newest
        env.step(zeros(env))
        newest = max([newest, *(each.message.t for each in readers[0].take().values())])
        published = reading(fleet, "websim_orchestrator_published_messages_total") - begun
        return published > 10 * QUEUE_MESSAGES

    until(fill, "it is not shown any more")
    env.step(zeros(env))
    for reader in readers:
        until(
            lambda reader=reader: any(e.message.t > newest for e in reader.take().values()),
            "who reads is held up by who does not",
        )
    assert len(silent[0].take()) <= 32


def test_with_keys_only_who_is_admitted_sees_anything(tmp_path, context, look):
    ours, others = tmp_path / "ours", tmp_path / "others"
    make_key_set(ours)
    make_key_set(others)
    with LocalFleet(1, keys=ours) as fleet:
        env = make_vec("Hopper-v5", 32, seed=0, fleet=fleet.client_address, keys=ours)
        env.reset(seed=0)
        with urllib.request.urlopen(f"{fleet.http_url}/v1/sessions", timeout=10) as response:
            [view] = json.loads(response.read())
        topic = figures_topic(view["session"])
        strangers = [look(fleet, topic), look(fleet, topic, keys=load_peer_keys(others, "client"))]
        until(
            lambda: reading(fleet, 'websim_orchestrator_refused_peers_total{reason="') >= 2,
            "strangers are not refused",
        )
        admitted = look(fleet, topic, keys=load_peer_keys(ours, "client"))
        wait_for(admitted)
        for stranger in strangers:
            assert stranger.take() == {}
        env.close()
