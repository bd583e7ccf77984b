"""A run goes on with other envs or another task: live, journaled, the same in every life of it."""

import json

import numpy as np
import pytest
from staging import LAZY, STEPS, Killed, die, envs, kinds, sends, task

from websim.service.errors import UserError
from websim_learner.checkpoint import checkpoint_paths, kept_paths
from websim_learner.control import SetReward
from websim_learner.defaults import PPOSettings, defaults_of
from websim_learner.policy import load_policy
from websim_learner.stage import MAX_ENVS, Stage, first_stage, with_envs, with_task

# --- what a stage is


def test_settings_of_other_envs_are_those_of_a_run_that_starts_with_them(make_config):
    config = make_config(num_envs=64, ppo=vars(defaults_of("Toy-v0").ppo_for(64)))
    more = with_envs(first_stage(config), config, 1024, 7)
    assert more.ppo == PPOSettings()
    assert (more.n, more.first_update, more.branch) == (1, 7, 0)
    back = with_envs(more, config, 64, 9)
    assert back.ppo == config.ppo
    assert back.eval_every_updates == config.eval_every_updates


def test_evaluations_and_checkpoints_stay_as_far_apart_in_steps(make_config):
    config = make_config(
        eval_every_updates=40, eval_every_updates_adapting=4, checkpoint_every_updates=0
    )
    stage = with_envs(first_stage(config), config, 4 * 24, 0)
    assert stage.ppo.rollout_length == config.ppo.rollout_length // 2
    assert stage.eval_every_updates == stage.eval_every(adapting=False) == 20
    assert stage.eval_every_updates_adapting == stage.eval_every(adapting=True) == 2
    assert stage.checkpoint_every_updates == 0


def test_what_was_chosen_by_hand_holds_for_every_task(make_config):
    ppo = {**vars(defaults_of("Toy-v0").ppo_for(24)), "learning_rate": 5e-4}
    config = make_config(ppo=ppo, task_overrides={"reset_noise_scale": 0.0})
    hopper = with_task(first_stage(config), config, "Hopper-v5", 3, 600)
    own = defaults_of("Hopper-v5").ppo_for(24)
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
    # The scale of returns follows its rewards, and forgets nothing.
    assert run.branch.algorithm.return_scale.moments.count == 10 * STEPS
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
    assert left.checkpoint == kept.name
    assert (left.task.id, left.config.task, left.env_steps) == ("Toy-v0", "Toy-v0", 5 * STEPS)
    assert (now.task.id, now.config.task, now.env_steps) == ("Pair-v0", "Pair-v0", 30 * STEPS)
    weights = left.algorithm.arrays()["weights"]
    assert weights.keys() == now.algorithm.arrays()["weights"].keys()
    assert left.algorithm.actor(1).mean(np.zeros((1, 3), np.float32)).shape == (1, 1)
    assert now.algorithm.actor(1).mean(np.zeros((1, 4), np.float32)).shape == (1, 2)
    with pytest.raises(UserError, match="kept-00000005"):
        load_policy(run.run_dir.path, "update-00000001")


def test_a_task_that_is_left_at_once_replaces_nothing_that_is_kept(harness, tmp_path):
    run = harness(tmp_path / "run", total_steps=10 * STEPS)
    run.at = {5: [sends(task("Pair-v0")), sends(task("Heavy-v0"))]}
    run.go()
    assert [entry.kind for entry in run.run_dir.journal()][-2:] == ["set_task", "set_task"]
    [kept] = kept_paths(run.run_dir.checkpoints)
    assert load_policy(run.run_dir.path, kept.name).task.id == "Toy-v0"


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
