"""A run goes on with other envs or another task: live, journaled, the same in every life of it."""

import json
import shutil

import numpy as np
import pytest

from websim.service.errors import UserError
from websim_learner import run as run_module
from websim_learner.adaptation.author import AuthorFailed
from websim_learner.checkpoint import checkpoint_paths, kept_paths
from websim_learner.control import (
    AdoptReward,
    Ask,
    FitnessProgram,
    SetGoal,
    SetKnobs,
    SetNumEnvs,
    SetReward,
    SetTask,
    TakeCheckpoint,
    TryReward,
)
from websim_learner.defaults import PPOSettings, defaults_of
from websim_learner.policy import load_policy
from websim_learner.stage import MAX_ENVS, Stage, first_stage, with_envs, with_task

STEPS = 24 * 8

LAZY = "def reward(state, action):\n    return -np.sum(np.square(action), axis=1)\n"
FAST = "def reward(state, action):\n    return state.velocity[:, 0]\n"
RIGHT = "def reward(state, action):\n    return 2.0 + 4.0 * state.x\n"
CENTRE = "def reward(state, action):\n    return 2.0 - np.abs(state.x)\n"

TIMES = {
    "n", "time_unix_s", "wall_s", "steps_per_s", "physics_s", "inference_s", "update_s",
    "evaluation_s",
}  # fmt: skip
"""What may differ between rows of metrics.jsonl of two runs that are the same."""


class Killed(BaseException):
    """Stands for a kill: nothing in the code may catch it."""


def die(harness):
    raise Killed


def envs(num_envs):
    return SetNumEnvs(kind="set_num_envs", num_envs=num_envs)


def task(name):
    return SetTask(kind="set_task", task=name)


def sends(command):
    return lambda harness: harness.send(command)


def unless_done(command):
    """Send a command where an earlier life has not: a person does it once."""

    def send(harness):
        here = [e.kind for e in harness.run_dir.journal() if e.update == harness.branch.updates]
        if command.kind not in here:
            harness.send(command)

    return send


def rows(harness):
    return [{k: v for k, v in row.items() if k not in TIMES} for row in harness.metrics()]


def kinds(harness):
    return [entry.kind for entry in harness.run_dir.journal()]


# --- what a stage is


def test_settings_of_other_envs_are_those_of_a_run_that_starts_with_them(make_config):
    config = make_config(num_envs=64, ppo=vars(defaults_of("Toy-v0").ppo.scaled_to(64)))
    more = with_envs(first_stage(config), config, 1024, 7)
    assert more.ppo == PPOSettings()
    assert (more.n, more.first_update, more.branch) == (1, 7, 0)
    back = with_envs(more, config, 64, 9)
    assert back.ppo == config.ppo
    assert back.eval_every_updates == config.eval_every_updates


def test_evaluations_and_checkpoints_stay_as_far_apart_in_steps(make_config):
    config = make_config(eval_every_updates=40, checkpoint_every_updates=0)
    stage = with_envs(first_stage(config), config, 4 * 24, 0)
    assert stage.ppo.rollout_length == config.ppo.rollout_length // 2
    assert stage.eval_every_updates == 20
    assert stage.checkpoint_every_updates == 0


def test_what_was_chosen_by_hand_holds_for_every_task(make_config):
    ppo = {**vars(defaults_of("Toy-v0").ppo.scaled_to(24)), "learning_rate": 5e-4}
    config = make_config(ppo=ppo, task_overrides={"reset_noise_scale": 0.0})
    hopper = with_task(first_stage(config), config, "Hopper-v5", 3, 600)
    own = defaults_of("Hopper-v5").ppo.scaled_to(24)
    assert (hopper.ppo.epochs, hopper.ppo.clip) == (own.epochs, own.clip)
    assert hopper.ppo.learning_rate == 5e-4
    assert (hopper.branch, hopper.task_env_steps, hopper.task_overrides) == (1, 600, {})
    more = with_envs(hopper, config, 96, 5)
    assert (more.branch, more.task_env_steps, more.first_update) == (1, 600, 5)
    back = with_task(more, config, "Toy-v0", 6, 900)
    assert back.task_overrides == {"reset_noise_scale": 0.0}
    assert (back.branch, back.num_envs) == (2, 96)


def test_a_stage_comes_back_from_json(make_config):
    import msgspec

    config = make_config(task_overrides={"range": (0.0, 1.0), "on": True})
    stage = with_envs(first_stage(config), config, 7, 0)
    assert msgspec.convert(json.loads(json.dumps(stage.as_json())), Stage) == stage
    assert first_stage(config).applied_to(config) == config


# --- envs


def test_the_policy_goes_on_with_more_envs_and_with_fewer(harness):
    run = harness(total_steps=40 * STEPS)
    digests = {}

    def note(name):
        return lambda h: digests.setdefault(name, (h.digest(), h.branch.policy_state()))

    original = run.run._trainer._changes._enter

    def watched(*args, **options):
        note("before")(run)
        original(*args, **options)
        note("after")(run)

    run.run._trainer._changes._enter = watched
    run.at = {3: [sends(envs(96))], 6: [sends(envs(10))]}
    assert run.go() == "finished"
    assert digests["after"][0] == digests["before"][0]
    for part in ("optimizer", "normalizers"):
        before, after = (digests[name][1].parts[part] for name in ("before", "after"))
        assert all(np.array_equal(after[name], before[name]) for name in before)
    assert [answer.detail for answer in run.answers] == ["96 environments", "10 environments"]
    assert [answer.update for answer in run.answers] == [3, 6]
    trained = [row["num_envs"] for row in run.metrics()]
    assert trained[:8] == [24] * 3 + [96] * 3 + [10] * 2
    assert {row["branch"] for row in run.metrics()} == {0}
    steps = np.diff([0, *(row["env_steps"] for row in run.metrics())])
    assert steps[:7].tolist() == [24 * 8] * 3 + [96 * 4] * 3 + [10 * 12]
    assert run.result()["num_envs"] == 10
    assert all(client.closed for client in run.clients)
    assert kinds(run) == ["start", "set_num_envs", "set_num_envs"]
    episodes = [row["episodes"] for row in run.metrics()]
    assert episodes == sorted(episodes)


def test_as_many_envs_as_there_are_is_no_change(harness):
    run, plain = harness(), harness()
    run.at[3] = [sends(envs(24))]
    run.go()
    plain.go()
    assert run.answers[0].detail == "24 environments"
    assert kinds(run) == ["start"]
    assert run.digest() == plain.digest()


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (envs(0), "0 is no number of environments. Choose 1 to 65,536."),
        (envs(-3), "-3 is no number of environments"),
        (envs(MAX_ENVS + 1), "65537 is no number of environments"),
        (task("Nonsense-v9"), "there is no task Nonsense-v9"),
        (task("robots/task.yaml"), "is a path"),
        (task("/etc/passwd"), "is a path"),
        (task(""), "there is no task"),
    ],
)
def test_what_cannot_be_had_is_refused_in_a_line_and_changes_nothing(harness, command, says):
    run, plain = harness(), harness()
    run.at[3] = [sends(command)]
    assert run.go() == "finished"
    plain.go()
    assert isinstance(run.answers[0], UserError)
    assert says in str(run.answers[0])
    assert "\n" not in str(run.answers[0])
    assert kinds(run) == ["start"]
    assert run.digest() == plain.digest()


def test_a_fleet_that_does_not_start_the_new_envs_leaves_the_old_ones_in_training(harness):
    run, plain = harness(), harness()
    opened = run.make_client

    def lost(*args, **options):
        client = opened(*args, **options)
        client.lost = True
        return client

    run.at[3] = [lambda h: setattr(h, "make_client", lost), sends(envs(48))]
    run.at[4] = [lambda h: setattr(h, "make_client", opened)]
    assert run.go() == "finished"
    plain.go()
    assert "are lost" in str(run.answers[0])
    assert run.clients[1].closed
    assert run.digest() == plain.digest()


# --- task


def test_another_task_is_a_branch_of_its_own_with_a_new_policy(harness):
    run = harness(total_steps=12 * STEPS)
    run.at = {5: [sends(task("Pair-v0"))]}
    assert run.go() == "finished"
    assert run.answers[0].detail == "Pair-v0, a new policy"
    metrics = run.metrics()
    assert [(row["branch"], row["task"]) for row in metrics] == [(0, "Toy-v0")] * 5 + [
        (1, "Pair-v0")
    ] * 7
    assert [row["update"] for row in metrics] == list(range(1, 13))
    # Nothing of what the policy before returned is told of this one.
    assert metrics[5]["return_mean"] is None or metrics[5]["episodes"] > metrics[4]["episodes"]
    # The learning rate falls anew, from where the task began.
    rates = [row["learning_rate"] for row in metrics]
    assert rates[5] == rates[0]
    assert rates[11] == pytest.approx(rates[0] / 7)
    result = run.result()
    assert (result["task"], result["updates"]) == ("Pair-v0", 12)
    assert (result["env_steps"], result["task_env_steps"]) == (12 * STEPS, 7 * STEPS)
    assert run.branch.algorithm.model.actor[0].in_features == 4


def test_a_policy_that_sees_and_moves_the_same_things_goes_on(harness):
    run = harness()
    digests = []
    original = run.run._trainer._changes._enter

    def watched(*args, **options):
        digests.append(run.digest())
        kept = original(*args, **options)
        digests.append(run.digest())
        return kept

    run.run._trainer._changes._enter = watched
    run.at = {5: [sends(task("Heavy-v0"))]}
    run.go()
    assert run.answers[0].detail == "Heavy-v0, the policy goes on"
    assert digests[0] == digests[1]
    # Its rewards have a scale of their own: returns are measured afresh.
    assert run.branch.algorithm.return_scale.moments.count == 5 * STEPS
    assert run.branch.algorithm.obs_moments.count == 10 * STEPS


def test_the_reward_program_of_a_task_stays_with_it(harness):
    run = harness()
    run.at = {
        2: [sends(SetReward(kind="set_reward", source=LAZY))],
        5: [sends(task("Heavy-v0"))],
    }
    run.go()
    ids = [row["reward_id"] for row in run.metrics()]
    assert ids[4].startswith("p_")
    assert ids[5:] == ["task"] * 5


def test_the_reward_program_goes_on_with_other_envs(harness):
    run = harness()
    run.at = {2: [sends(SetReward(kind="set_reward", source=LAZY))], 5: [sends(envs(40))]}
    run.go()
    ids = [row["reward_id"] for row in run.metrics()]
    assert len(set(ids[2:])) == 1
    assert ids[2].startswith("p_")


def test_the_policy_of_the_task_that_a_run_leaves_is_kept(harness, tmp_path):
    run = harness(tmp_path / "run", total_steps=30 * STEPS)
    before = []
    run.at = {5: [lambda h: before.append(h.digest()), sends(task("Pair-v0"))]}
    run.go()
    [kept] = kept_paths(run.run_dir.checkpoints)
    assert kept.name == "kept-00000005"
    assert len(checkpoint_paths(run.run_dir.checkpoints)) == 3
    left, now = load_policy(run.run_dir.path, kept.name), load_policy(run.run_dir.path)
    assert (left.task.id, left.config.task, left.env_steps) == ("Toy-v0", "Toy-v0", 5 * STEPS)
    assert (now.task.id, now.config.task, now.env_steps) == ("Pair-v0", "Pair-v0", 30 * STEPS)
    weights = left.algorithm.arrays()["weights"]
    assert weights.keys() == now.algorithm.arrays()["weights"].keys()
    assert left.algorithm.actor(1).mean(np.zeros((1, 3), np.float32)).shape == (1, 1)
    assert now.algorithm.actor(1).mean(np.zeros((1, 4), np.float32)).shape == (1, 2)
    with pytest.raises(UserError, match="kept-00000005"):
        load_policy(run.run_dir.path, "update-00000001")


def test_config_json_keeps_saying_what_was_asked(harness, tmp_path):
    run = harness(tmp_path / "run")
    run.at = {5: [sends(task("Pair-v0"))], 6: [die]}
    with pytest.raises(Killed):
        run.go()
    again = harness(tmp_path / "run")
    again.go()
    config, info = again.run_dir.read_config()
    assert (config, info.id) == (again.config, "Toy-v0")


def test_the_status_tells_what_is_trained_on(harness):
    run, seen = harness(total_steps=30 * STEPS), []
    look = [lambda h: seen.append(h.run.status.read())]
    run.at = {4: look, 5: [sends(task("Pair-v0")), sends(envs(48))], 6: look, 20: look}
    run.go()
    assert [(s.task, s.num_envs) for s in seen] == [
        ("Toy-v0", 24),
        ("Pair-v0", 48),
        ("Pair-v0", 48),
    ]
    assert seen[0].real_time_factor >= 0.0
    assert seen[2].evaluation.env_steps > 5 * STEPS


def test_an_evaluation_of_another_task_is_its_own(harness):
    run = harness(total_steps=16 * STEPS)
    run.at = {5: [sends(task("Pair-v0"))]}
    run.go()
    evaluations = [c for c in run.clients if len(c.shards) == 3]
    assert [c.task.id for c in evaluations] == ["Toy-v0", "Pair-v0"]


# --- in every life the same

CHANGES = {
    2: [SetReward(kind="set_reward", source=LAZY)],
    3: [envs(48)],
    5: [task("Pair-v0")],
    7: [envs(10), task("Heavy-v0")],
    9: [task("Toy-v0"), envs(24)],
}


def changed(harness, directory, kill=None, **options):
    run = harness(directory, total_steps=14 * STEPS, **options)
    run.at = {update: [unless_done(c) for c in commands] for update, commands in CHANGES.items()}
    if kill is not None:
        run.at.setdefault(kill, []).insert(0, die)
    return run


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
def test_lives_that_die_around_changes_end_like_the_undisturbed_one(harness, tmp_path, overlap):
    options = {"ppo": {"overlap": overlap}}
    alone = changed(harness, tmp_path / "alone", **options)
    alone.go()
    for kill in (3, 4, 5, 6, 6, 8, 8, 10, 12):
        life = changed(harness, tmp_path / "killed", kill, **options)
        with pytest.raises(Killed):
            life.go()
    killed = changed(harness, tmp_path / "killed", client={"shuffle": 3}, **options)
    assert killed.go() == "finished"
    assert rows(killed) == rows(alone)
    assert killed.result()["weights_sha256"] == alone.result()["weights_sha256"]
    assert killed.result()["eval_return_mean"] == alone.result()["eval_return_mean"]
    done = [k for k in kinds(killed) if k != "resume"]
    assert sorted(done) == sorted(kinds(alone))


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
def test_configuration_seed_and_journal_are_enough(harness, tmp_path, overlap):
    options = {"ppo": {"overlap": overlap}}
    live = changed(harness, tmp_path / "live", **options)
    live.go()
    again = tmp_path / "again"
    again.mkdir()
    for name in ("config.json", "journal.jsonl"):
        shutil.copy(tmp_path / "live" / name, again / name)
    replayed = harness(again, total_steps=14 * STEPS, **options)
    assert replayed.go() == "finished"
    assert replayed.result()["weights_sha256"] == live.result()["weights_sha256"]
    assert rows(replayed) == rows(live)


@pytest.mark.parametrize("command", [envs(48), task("Pair-v0")], ids=["envs", "task"])
def test_a_checkpoint_at_the_update_of_a_change_is_taken_after_it(harness, tmp_path, command):
    """Whatever was due at that update was done before: the next life does it no second time."""
    options = {"adapt": "auto", "eval_every_updates": 2, "total_steps": 12 * STEPS}
    at = {4: [sends(command), sends(TakeCheckpoint(kind="checkpoint"))]}
    alone = harness(tmp_path / "alone", **options)
    alone.at = at
    alone.go()
    first = harness(tmp_path / "killed", **options)
    first.at = at | {5: [die]}
    with pytest.raises(Killed):
        first.go()
    again = harness(tmp_path / "killed", **options)
    assert again.branch.updates == 4
    again.go()
    assert again.result()["weights_sha256"] == alone.result()["weights_sha256"]
    assert again.run.adaptation.points == alone.run.adaptation.points


def test_envs_that_are_lost_after_a_change_come_back_as_they_were(harness, tmp_path):
    options = {"total_steps": 14 * STEPS}
    alone = harness(tmp_path / "alone", **options)
    alone.at = {4: [sends(envs(48))]}
    alone.go()
    run = harness(tmp_path / "lost", **options)
    lose = [lambda h: setattr(h.clients[-1], "lost", True)]
    run.at = {4: [unless_done(envs(48))], 5: [lambda h: lose and lose.pop()(h)]}
    assert run.go() == "finished"
    assert run.result()["weights_sha256"] == alone.result()["weights_sha256"]
    assert rows(run) == rows(alone)


# --- beside the adaptation


def test_knobs_stay_turned_in_other_envs_and_go_with_the_task(harness, tmp_path):
    def make(directory, kill=None):
        run = harness(directory, total_steps=12 * STEPS)
        run.at = {
            2: [unless_done(SetKnobs(kind="set_knobs", knobs={"force": 0.5}))],
            4: [unless_done(envs(48))],
            7: [unless_done(task("Heavy-v0"))],
        }
        if kill is not None:
            run.at.setdefault(kill, []).insert(0, die)
        return run

    alone = make(tmp_path / "alone")
    forces = []
    look = [lambda h: forces.append({x for rows in h.clients[-1]._rows for x in rows.force})]
    alone.at |= {5: look, 8: look}
    alone.go()
    assert forces == [{0.5}, {1.0}]
    state = alone.run.adaptation
    assert (state.ranges, state.difficulty) == ({}, 0.0)
    for kill in (5, 6, 8):
        with pytest.raises(Killed):
            make(tmp_path / "killed", kill).go()
    killed = make(tmp_path / "killed")
    killed.go()
    assert killed.result()["weights_sha256"] == alone.result()["weights_sha256"]


@pytest.fixture
def adapting(harness, monkeypatch):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400, 400))

    def make(directory=None, **overrides):
        defaults = {"adapt": "auto", "total_steps": 60 * STEPS, "eval_every_updates": 4}
        return harness(directory, **{**defaults, **overrides})

    return make


TRY = TryReward(kind="try_reward", source=CENTRE, name="centre")


def try_unless_done(harness):
    if "candidates" not in kinds(harness):
        harness.send(TRY)


@pytest.mark.parametrize("command", [envs(48), task("Heavy-v0")], ids=["envs", "task"])
def test_a_change_during_a_trial_is_refused_in_a_line(adapting, command):
    run = adapting(total_steps=40 * STEPS)
    run.at = {6: [sends(SetReward(kind="set_reward", source=FAST)), sends(TRY)]}
    original, calls, during = run.run._trainer.during_trial, [], []

    def send_in_the_middle():
        calls.append(1)
        if len(calls) == 5:
            run.send(command)
        during.append((run.branch.num_envs, run.branch.client.task.id))
        original()

    run.run._trainer.during_trial = send_in_the_middle
    assert run.go() == "finished"
    assert len(calls) > 5
    assert set(during) == {(24, "Toy-v0")}
    assert isinstance(run.answers[-1], UserError)
    assert str(run.answers[-1]).startswith("a trial is under way (trial, round 1 of 2")
    assert command.kind not in kinds(run)


def test_a_trial_after_a_change_is_held_on_groups_of_the_present_envs(adapting):
    run = adapting(total_steps=40 * STEPS)
    run.at = {4: [sends(envs(96))], 5: [sends(task("Heavy-v0"))], 6: [sends(TRY)]}
    original, groups = run.run._trainer.during_trial, set()

    def watched():
        original()
        groups.add((run.clients[-1].shards[-1].first_env_id, run.clients[-1].task.id))

    run.run._trainer.during_trial = watched
    assert run.go() == "finished"
    assert "decision" in {row["kind"] for row in run.run.adaptation_view.rows(0, 1000)}
    # The evaluation session has five envs in shards of two, a group 96 in shards of seven.
    assert groups == {(4, "Heavy-v0"), (91, "Heavy-v0")}


def test_another_task_has_another_goal_and_old_results_stay_with_theirs(adapting):
    program = "def fitness(state, action):\n    return state.x\n"
    fitness = FitnessProgram(program=program, accumulate="last", unit="m")
    run = adapting(total_steps=24 * STEPS)
    run.at = {
        2: [sends(SetGoal(kind="set_goal", description="right", fitness=fitness, target=1.0))],
        6: [sends(AdoptReward(kind="adopt_reward", reward=RIGHT, force=True))],
        9: [sends(task("Pair-v0"))],
    }
    run.go()
    state = run.run.adaptation
    assert (state.goal.n, state.goal.kind, state.goal.target) == (2, "task", None)
    assert state.goal.fitness_description == "the own fitness of Pair-v0"
    assert all(point.update > 9 for point in state.points)
    assert (state.baseline, state.waiting, state.proposal, state.undo) == (None, None, None, [])
    assert run.run._adapter.policies.undo == []
    outcomes = {entry.id: (entry.outcome, entry.goal) for entry in state.rewards}
    assert outcomes["task"][0] == "in_force"
    [right] = [each for name, each in outcomes.items() if name != "task"]
    assert right == ("adopted", 1)
    # What is kept to judge rewards by is of this task alone.
    assert {tuple(kept.fields) for kept in run.run._adapter.bank.trajectories} == {("x",)}
    log = (run.run_dir.path / "adaptations.jsonl").read_text().splitlines()
    assert [json.loads(row)["kind"] for row in log].count("goal") == 2


class Author:
    """A reward-gen that answers when it is told to."""

    banner = ""

    def __init__(self):
        self.asked, self.outcome, self.busy = [], None, False

    def ask(self, path, body):
        assert not self.busy
        self.asked.append(body)
        self.busy = True

    def poll(self):
        outcome, self.outcome = self.outcome, None
        self.busy = self.busy and outcome is None
        return outcome

    def close(self):
        pass


def test_an_answer_for_the_task_before_comes_too_late(adapting):
    run = adapting(total_steps=20 * STEPS)
    author = run.run._adapter.questions._author = Author()

    def answer(_harness):
        author.outcome = AuthorFailed("refused", "for the task before")

    run.at = {
        2: [sends(Ask(kind="ask"))],
        5: [sends(task("Heavy-v0"))],
        6: [sends(Ask(kind="ask"))],
        8: [answer],
        12: [answer],
    }
    assert run.go() == "finished"
    # The second question is asked when the answer to the first has come, and gets its own.
    assert [body["task"]["id"] for body in author.asked] == ["Toy-v0", "Heavy-v0"]
    told = [r.message for r in run.run.stream.after(0, 10**6) if getattr(r, "event", "") == "ended"]
    assert told == ["nothing is changed: for the task before"]
    answers = [row for row in run.run.adaptation_view.rows(0, 1000) if row["kind"] == "answer"]
    assert [row["update"] for row in answers] == [12]


def test_an_adapting_run_killed_around_changes_decides_the_same(adapting, tmp_path):
    def make(directory, kill=None):
        run = adapting(directory, total_steps=40 * STEPS)
        run.at = {
            3: [unless_done(envs(48))],
            6: [try_unless_done],
            8: [unless_done(task("Heavy-v0"))],
        }
        if kill is not None:
            run.at.setdefault(kill, []).insert(0, die)
        return run

    alone = make(tmp_path / "alone")
    alone.go()
    for kill in (4, 7, 9):
        with pytest.raises(Killed):
            make(tmp_path / "killed", kill).go()
    again = make(tmp_path / "killed")
    again.go()
    assert again.digest() == alone.digest()
    assert again.result()["env_steps"] == alone.result()["env_steps"]
