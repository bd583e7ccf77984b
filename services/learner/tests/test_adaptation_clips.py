"""What contenders look like: filmed in evaluations, kept when a trial ends, served to pages."""

import msgspec
import numpy as np
import pytest
from fastapi.testclient import TestClient
from staging import CENTRE, STEPS, Killed, die, sends
from toy_fleet import TOY, ToyClient

from websim.service.http import make_app
from websim.wire.messages import FIGURE_FIELD
from websim_learner import run as run_module
from websim_learner.adaptation.film import Clip, Film
from websim_learner.adaptation.shelf import Clips, Shelf
from websim_learner.algorithms.ppo import PPO
from websim_learner.api import add_adaptation_routes
from websim_learner.control import TryReward
from websim_learner.defaults import PPOSettings
from websim_learner.evaluation import evaluate

TRY = sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))
UNKNOWN = msgspec.structs.replace(TOY, figure=None)


def actor(tile):
    return PPO(PPOSettings(hidden=(8,)), 3, 1, 7, 0).actor(tile)


def film(dt_s, num_envs=2):
    return Film(msgspec.structs.replace(TOY, dt_s=dt_s), TOY.figure, num_envs)


def roots(clip):
    return np.frombuffer(clip.root_x, "<f4")


def points(clip):
    return np.frombuffer(clip.points, "<i2").reshape(-1, 2, 2)


def clip_of(value):
    """A clip of one frame of a figure of two points."""
    data = np.full(4, value, "<i2").tobytes()
    root = np.full(1, value, "<f4").tobytes()
    return Clip(episode="median of 1", episode_s=9.0, frame_s=0.1, root_x=root, points=data)


# --- filming


def test_the_clip_is_the_median_episode_of_the_evaluation_it_is_filmed_in():
    seen = evaluate(ToyClient(9, shuffle=1), actor, 1, filmed=True, trajectories=3)
    median = seen.trajectories[2]
    assert (median.label, seen.clip.episode) == ("median of 9", "median of 9")
    assert np.array_equal(roots(seen.clip), median.fields["x"].astype(np.float32))
    lean = np.rint(100 * median.fields["velocity"][:, 0])
    assert points(seen.clip)[:, 0].tolist() == [[0, 0]] * len(lean)
    assert np.array_equal(points(seen.clip)[:, 1, 0], lean)
    assert seen.clip.frame_s == pytest.approx(0.1)
    assert seen.clip.episode_s == pytest.approx(0.1 * len(lean))


def test_an_evaluation_that_is_filmed_has_the_bits_of_one_that_is_not():
    plain, filmed = (evaluate(ToyClient(9), actor, 1, filmed=each) for each in (False, True))
    assert plain.clip is None
    for name in ("episode_return", "episode_length", "episode_fitness", "episode_reward"):
        assert np.array_equal(getattr(plain, name), getattr(filmed, name)), name


def test_a_fleet_that_knows_no_figures_is_not_asked_for_them():
    client, asked = ToyClient(9), set()
    client.task, send = UNKNOWN, client.send
    client.send = lambda shard, action, fields=(): (asked.update(fields), send(shard, action))
    assert evaluate(client, actor, 1, filmed=True).clip is None
    assert asked == set()


@pytest.mark.parametrize(
    ("dt_s", "stride", "frames"), [(0.05, 1, 120), (0.008, 4, 188), (0.001, 33, 182), (1.0, 1, 6)]
)
def test_about_thirty_frames_a_second_are_asked_for_and_six_seconds(dt_s, stride, frames):
    steps = [step for step in range(7000) if film(dt_s).fields(step) == (FIGURE_FIELD,)]
    assert steps == [stride * frame for frame in range(frames)]


def test_a_clip_ends_with_its_episode_and_begins_no_other():
    made, figures = film(0.05), np.array([[1.5, 1, 2, 3, 4], [2.5, 5, 6, 7, 8]])
    for step in range(3):
        made.take(slice(0, 2), step, figures, np.array([True, step == 0]))
    made.take(slice(0, 2), 3, None, np.array([True, False]))
    assert roots(made.clip(0, "", 3)).tolist() == [1.5] * 3
    clip = made.clip(1, "", 1)
    assert (roots(clip).tolist(), points(clip).tolist()) == ([2.5], [[[5, 6], [7, 8]]])
    assert (clip.episode_s, clip.frame_s) == (0.05, 0.05)


# --- keeping


@pytest.fixture
def warnings():
    return []


@pytest.fixture
def shelf(tmp_path, warnings):
    return Shelf(tmp_path / "clips", warnings.append)


def kept(shelf, number):
    return msgspec.json.decode(shelf.read(number), type=Clips)


def test_what_is_kept_is_read_again_and_what_is_not_is_no_clip(shelf):
    shelf.keep(3, "Toy-v0", TOY.figure, {"control": clip_of(1), "centre": clip_of(2)})
    assert kept(shelf, 3) == Clips(
        task="Toy-v0", figure=TOY.figure, clips={"control": clip_of(1), "centre": clip_of(2)}
    )
    assert list(kept(shelf, 3).clips) == ["control", "centre"]
    assert kept(shelf, 2) == Clips()


def test_nothing_is_written_where_nothing_was_filmed(shelf, tmp_path):
    shelf.keep(1, "Toy-v0", TOY.figure, {})
    shelf.keep(1, "Toy-v0", None, {"control": clip_of(1)})
    assert list(tmp_path.iterdir()) == []


def test_the_last_eight_trials_are_kept_and_no_trial_that_a_life_went_back_behind(shelf, tmp_path):
    for number in (*range(1, 12), 9):
        shelf.keep(number, "Toy-v0", TOY.figure, {"control": clip_of(number)})
    names = sorted(path.name for path in (tmp_path / "clips").iterdir())
    assert names == [f"adaptation-{number}.json" for number in range(4, 10)]


def test_a_full_disk_costs_the_clips_and_a_warning(shelf, warnings, tmp_path):
    (tmp_path / "clips").write_text("no directory")
    shelf.keep(1, "Toy-v0", TOY.figure, {"control": clip_of(1)})
    assert len(warnings) == 1
    assert warnings[0].startswith("the clips of trial 1 could not be kept: ")
    assert kept(shelf, 1) == Clips()


# --- in a run


@pytest.fixture
def make(harness, monkeypatch):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400, 400))

    def build(directory=None, **overrides):
        own = {"adapt": "approve", "total_steps": 16 * STEPS, "client": {"shard_envs": 12}}
        h = harness(directory, **{**own, **overrides})
        h.at = {4: [TRY]}
        return h

    return build


def served(h):
    """What a page is told of the run's first trial."""
    app = make_app("learner", "0")
    add_adaptation_routes(app, h.run.adaptation_view)
    http = TestClient(app, base_url="http://127.0.0.1")
    assert http.get("/openapi.json").json()["components"]["schemas"]["Clip"]["required"]
    answer = http.get("/v1/adaptations/1/clips")
    assert answer.status_code == http.get("/v1/adaptations/2/clips").status_code == 200
    assert http.get("/v1/adaptations/2/clips").json()["clips"] == {}
    return answer.json()


def test_a_trial_leaves_a_clip_of_each_contender_for_the_page(make):
    h = make()
    assert h.go() == "finished"
    told = served(h)
    assert list(told["clips"]) == ["control", "centre"]
    assert told["task"] == "Toy-v0"
    assert told["figure"]["bones"] == [[0, 1]]
    clips = msgspec.convert(told["clips"], dict[str, Clip])
    assert roots(clips["control"]).tolist() != roots(clips["centre"]).tolist()


def test_a_run_that_is_filmed_ends_with_the_weights_and_the_log_of_one_that_is_not(
    make, monkeypatch
):
    filmed = make()
    filmed.go()
    monkeypatch.setitem(ToyClient.__init__.__globals__["TASKS"], TOY.id, UNKNOWN)
    plain = make()
    plain.go()
    assert served(plain)["clips"] == {}
    assert filmed.digest() == plain.digest()
    logs = [(h.run_dir.path / "adaptations.jsonl").read_bytes() for h in (filmed, plain)]
    assert logs[0] == logs[1]


def test_a_life_that_holds_the_trial_again_leaves_the_same_clips(make, tmp_path):
    whole = make()
    whole.go()
    first = make(tmp_path / "cut")
    first.run._adapter._trials._shelf.keep = lambda *_: die(first)
    with pytest.raises(Killed):
        first.go()
    second = make(tmp_path / "cut")
    second.at = {}
    second.go()
    assert served(second) == served(whole)
