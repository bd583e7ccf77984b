"""Some of a run's envs simulate another task: one policy learns from all, exactly as often."""

import numpy as np
import pytest
from staging import CENTRE, LAZY, STEPS, Killed, die, envs, kinds, rows, sends, task, unless_done

from websim.client import FleetTimeout, ShardResult
from websim.service.errors import UserError
from websim.wire.messages import FieldInfo
from websim_learner import run as run_module
from websim_learner.control import SetKnobs, SetReward, TryReward
from websim_learner.divided import DividedFleet, misfit, parts_of
from websim_learner.models import NumpyActor
from websim_learner.rollout import Rollout
from websim_learner.stage import first_stage, with_envs, with_other_task, with_task
from websim_learner.statistics import EpisodeStatistics


@pytest.fixture
def divided(make_client):
    """Two tasks: 24 envs in shards of 7, 7, 7 and 3, then 9 in shards of 7 and 2."""
    return DividedFleet([make_client(24, 1), make_client(9, 2, task="Heavy-v0")])


# --- sessions that look like one


def test_shards_and_envs_are_numbered_through(divided):
    assert [(span.first_env_id, span.num_envs) for span in divided.shards] == [
        (0, 7), (7, 7), (14, 7), (21, 3), (24, 7), (31, 2),
    ]  # fmt: skip
    assert divided.task.id == "Toy-v0"
    assert [part.task.id for part in parts_of(divided)] == ["Toy-v0", "Heavy-v0"]
    assert parts_of(divided.clients[0]) == (divided.clients[0],)


def test_every_shard_answers_once_under_its_number(divided):
    for shard in range(6):
        divided.send_reset(shard, seed=5)
    results = [divided.recv(1.0) for _ in range(6)]
    assert sorted(result.shard for result in results) == list(range(6))
    for result in results:
        assert len(result.obs) == divided.shards[result.shard].num_envs
    for shard in (5, 0):
        divided.send(shard, np.zeros((divided.shards[shard].num_envs, 1), np.float32), ("x",))
    assert {divided.recv(1.0).shard for _ in range(2)} == {0, 5}


def test_each_part_draws_numbers_of_its_own(divided):
    for shard in range(6):
        divided.send_reset(shard, seed=5)
    starts = {result.shard: result.obs for result in (divided.recv(1.0) for _ in range(6))}
    assert starts[0].shape == starts[4].shape
    assert not np.array_equal(starts[0], starts[4])


def test_states_and_snapshots_are_those_of_the_part(divided):
    for shard in range(6):
        divided.send_reset(shard, seed=5)
    starts = {result.shard: result.obs for result in (divided.recv(1.0) for _ in range(6))}
    state = divided.get_state(32)
    assert (state.env_id, np.float32(state.qpos[0])) == (32, starts[5][1, 0])
    assert np.float32(divided.get_state(23).qpos[0]) == starts[3][2, 0]
    kept = divided.snapshot(5)
    divided.send(5, np.ones((2, 1), np.float32))
    divided.recv(1.0)
    divided.send_restore(5, kept)
    assert np.array_equal(divided.recv(1.0).obs, starts[5])


def test_a_part_that_is_silent_is_waited_for_no_longer_than_asked(divided):
    divided.clients[1].silent = True
    divided.send_reset(4)
    with pytest.raises(FleetTimeout, match="no environment answered"):
        divided.recv(0.05)
    divided.clients[1].silent = False
    assert divided.recv(0.05).shard == 4


def test_the_reason_of_any_part_is_told(divided):
    assert divided.waiting == ""
    divided.clients[1].waiting = "no worker"
    assert divided.waiting == "no worker"


def test_knobs_reach_the_tasks_that_have_them(make_client):
    fleet = DividedFleet([make_client(7, 1), make_client(7, 2, task="Knobless-v0")])
    fleet.send_knobs(0, {"force": (0.5, 2.0)})
    fleet.send_knobs(1, {"force": (0.5, 2.0)})
    assert {fleet.recv(1.0).kind for _ in range(2)} == {"knobs"}
    assert fleet.clients[0]._rows[0].force_range.tolist() == [0.5, 2.0]
    assert fleet.clients[1]._rows[0].force_range.tolist() == [1.0, 1.0]


def test_a_task_that_a_policy_cannot_act_in_is_told_from_one_that_it_can(toy_task):
    import msgspec

    def other(**changes):
        return misfit(toy_task, msgspec.structs.replace(toy_task, **changes))

    more = (*toy_task.fields, FieldInfo("height", 0, "m"))
    assert other(id="Other-v0", dt_s=0.02, max_episode_steps=7, knobs=(), fields=more) is None
    assert other(obs_names=("x", "v", "w")) == "it is seen otherwise"
    assert other(obs_dim=4) == "it is seen otherwise"
    assert other(action_names=("push",)) == "its actions are others"
    assert other(action_high=(1.0,)) == "its actions have other bounds"
    assert other(fields=toy_task.fields[1:]) == "it lacks the field x"
    assert other(fields=(FieldInfo("x", 3, "m"), *toy_task.fields[1:])) == "it lacks the field x"


def test_two_tasks_of_one_name_are_refused(make_client):
    with pytest.raises(UserError, match="two of the tasks are called Toy-v0"):
        DividedFleet([make_client(7, 1), make_client(7, 2)])


# --- stages


def test_what_a_stage_says_of_other_tasks(make_config):
    config = make_config(next_tasks=("hill.yaml",))
    first = first_stage(config)
    some = with_other_task(first, config, "Heavy-v0", 8, 3)
    assert (some.others, some.own_envs, some.num_envs) == ((("Heavy-v0", 8),), 16, 24)
    assert (some.branch, some.n, some.first_update, some.ppo) == (0, 1, 3, first.ppo)
    both = with_other_task(some, config, "hill.yaml", 15, 4)
    assert both.others == (("Heavy-v0", 8), ("hill.yaml", 15))
    assert both.own_envs == 1
    assert with_other_task(both, config, "Heavy-v0", 0, 5).others == (("hill.yaml", 15),)
    assert with_envs(some, config, 100, 5).own_envs == 92
    assert with_task(some, config, "Pair-v0", 5, 10).others == ()
    with pytest.raises(UserError, match="would leave none to Toy-v0"):
        with_envs(some, config, 8, 5)


# --- statistics


def test_episodes_count_where_their_task_is(make_client):
    client = make_client(24, 3)
    rollout = Rollout(60, 24, 3, 1)
    own, other, everything = (EpisodeStatistics() for _ in range(3))
    rollout.begin(0, np.zeros((24, 3), np.float32), _still(), ())
    for shard, span in enumerate(client.shards):
        for t in range(60):
            client.send(shard, np.full((span.num_envs, 1), 2.0, np.float32))
            result: ShardResult = client.recv()
            rollout.store(t, span.first_env_id, result)
    own.add(rollout, 1, range(16))
    other.add(rollout, 1, range(16, 24))
    everything.add(rollout, 1, range(24))
    assert own.episodes + other.episodes == everything.episodes
    ends = rollout.ends()
    lengths = ends.episode_length[ends.env_id < 16]
    assert own.episodes == len(lengths) > 16
    assert own.means()["length_mean"] == pytest.approx(np.mean(lengths[-100:]))


def test_means_can_be_asked_for_while_episodes_end(monkeypatch):
    statistics = EpisodeStatistics()
    statistics._return.extend([1.0, 3.0])
    isnan = np.isnan

    def one_more_ends_meanwhile(value):
        statistics._return.append(8.0)
        return isnan(value)

    monkeypatch.setattr(np, "isnan", one_more_ends_meanwhile)
    assert statistics.means()["return_mean"] == 2.0


def _still():
    import torch

    from websim_learner.models import ActorCritic
    from websim_learner.normalizers import ObservationScale, RunningMoments

    model = ActorCritic(3, 1, (4,), 0.0, torch.Generator().manual_seed(0))
    return NumpyActor(model, ObservationScale.of(RunningMoments(3)), 7)


# --- runs


def divide_at(run, update=3, name="Heavy-v0", num_envs=8):
    run.at = {update: [sends(task(name, num_envs))]}
    return run


def test_the_policy_goes_on_and_learns_from_both(harness):
    run = divide_at(harness(total_steps=20 * STEPS))
    digests = []
    original = run.run._trainer._changes._enter

    def watched(*args, **options):
        digests.append(run.digest())
        kept = original(*args, **options)
        digests.append(run.digest())
        return kept

    run.run._trainer._changes._enter = watched
    seen = []
    run.at[18] = [lambda h: seen.append(h.run.status.read())]
    assert run.go() == "finished"
    assert run.answers[0].detail == "16 of Toy-v0, 8 of Heavy-v0"
    assert digests[0] == digests[1]
    sizes = [(c.task.id, sum(span.num_envs for span in c.shards)) for c in run.clients]
    assert sizes == [("Toy-v0", 24), ("Toy-v0", 16), ("Heavy-v0", 8), ("Toy-v0", 5)]
    assert [row["num_envs"] for row in run.metrics()] == [24] * 20
    assert {(row["branch"], row["task"]) for row in run.metrics()} == {(0, "Toy-v0")}
    assert [(each.task, each.num_envs) for each in seen[0].others] == [("Heavy-v0", 8)]
    assert seen[0].others[0].return_mean is not None
    assert seen[0].num_envs == 24
    assert kinds(run) == ["start", "set_task"]
    assert all(client.closed for client in run.clients)


def test_envs_are_given_back(harness):
    run = harness(total_steps=12 * STEPS)
    run.at = {3: [sends(task("Heavy-v0", 8))], 6: [sends(task("Heavy-v0", 0))]}
    run.go()
    assert [a.detail for a in run.answers] == ["16 of Toy-v0, 8 of Heavy-v0", "24 of Toy-v0"]
    assert run.run.status.read().others == []


def test_several_other_tasks_and_more_envs(harness):
    run = harness(total_steps=12 * STEPS)
    run.at = {
        3: [sends(task("Heavy-v0", 8)), sends(task("Knobless-v0", 5))],
        6: [sends(envs(48))],
        8: [sends(task("Heavy-v0", 3))],
    }
    run.go()
    trained = [row["num_envs"] for row in run.metrics()]
    assert trained[:7] == [24] * 6 + [48]
    assert [answer.detail for answer in run.answers] == [
        "16 of Toy-v0, 8 of Heavy-v0",
        "11 of Toy-v0, 8 of Heavy-v0, 5 of Knobless-v0",
        "48 environments",
        "40 of Toy-v0, 5 of Knobless-v0, 3 of Heavy-v0",
    ]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (task("Heavy-v0", 24), "24 of 24 environments cannot have another task. Choose 0 to 23"),
        (task("Heavy-v0", -1), "-1 of 24 environments cannot have another task"),
        (task("Toy-v0", 4), "Toy-v0 is the run's own task"),
        (task("hill.yaml", 4), "hill.yaml is a path"),
        (task("Pair-v0", 4), "Pair-v0 cannot be trained on beside Toy-v0: it is seen otherwise"),
        (task("Nonsense-v9", 4), "there is no task Nonsense-v9"),
    ],
)
def test_what_cannot_be_divided_is_refused_and_changes_nothing(harness, command, says):
    run, plain = harness(), harness()
    run.at = {3: [sends(command)]}
    assert run.go() == "finished"
    plain.go()
    assert says in str(run.answers[0])
    assert "\n" not in str(run.answers[0])
    assert kinds(run) == ["start"]
    assert run.digest() == plain.digest()
    assert all(client.closed for client in run.clients)


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlapping"])
def test_a_divided_run_that_is_killed_ends_in_the_same_weights(harness, tmp_path, overlap):
    def make(directory, kill=None, **client):
        run = harness(directory, total_steps=14 * STEPS, ppo={"overlap": overlap}, client=client)
        run.at = {
            2: [unless_done(SetKnobs(kind="set_knobs", knobs={"force": 0.5}))],
            3: [unless_done(task("Heavy-v0", 8))],
            5: [unless_done(SetReward(kind="set_reward", source=LAZY))],
            9: [unless_done(envs(40))],
        }
        if kill is not None:
            run.at.setdefault(kill, []).insert(0, die)
        return run

    alone = make(tmp_path / "alone")
    alone.go()
    for kill in (4, 11):
        with pytest.raises(Killed):
            make(tmp_path / "killed", kill, shuffle=kill).go()
    killed = make(tmp_path / "killed", shuffle=1)
    killed.go()
    assert killed.result()["weights_sha256"] == alone.result()["weights_sha256"]
    assert rows(killed) == rows(alone)
    assert killed.run.status.read().others == alone.run.status.read().others


def test_a_trial_is_held_on_the_runs_own_task(harness, monkeypatch):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400, 400))
    run = harness(total_steps=16 * STEPS, adapt="auto", eval_every_updates=4)
    trying = TryReward(kind="try_reward", source=CENTRE, name="centre")
    run.at = {4: [sends(task("Heavy-v0", 8))], 6: [sends(trying)]}
    assert run.go() == "finished"
    assert run.run.adaptation.rewards[-1].outcome in ("lost", "adopted")
    own, other = (
        [client for client in run.clients if client.task.id == name]
        for name in ("Toy-v0", "Heavy-v0")
    )
    # At first, for evaluation, and beside the other one; then the two groups of the trial.
    assert (len(own), len(other)) == (5, 1)
    assert run.run.status.read().others[0].num_envs == 8
