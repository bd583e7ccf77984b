from unittest.mock import ANY

import msgspec
import pytest
import torch

from websim.client import DEFAULT_NUM_ENVS
from websim.service.errors import UserError
from websim.service.settings import load_settings
from websim_learner.__main__ import run
from websim_learner.configure import is_over, new_config, resumed_config, started_config
from websim_learner.defaults import TASKS, PPOSettings, defaults_of
from websim_learner.randomness import Stream, derived_seed, generator
from websim_learner.run_dir import RunDir
from websim_learner.settings import TrainSettings, split_overrides, with_overrides


def configure(tmp_path, *argv):
    return new_config(load_settings(TrainSettings, ["--run-dir", str(tmp_path / "run"), *argv]))[0]


def test_what_is_not_said_is_the_tasks_default(tmp_path):
    config = configure(tmp_path)
    assert (config.task, config.algo, config.num_envs) == (
        "HalfCheetah-v5",
        "ppo",
        DEFAULT_NUM_ENVS,
    )
    assert config.total_steps == defaults_of("HalfCheetah-v5").total_steps
    assert config.ppo == defaults_of("HalfCheetah-v5").ppo
    assert config.seed == 0


@pytest.mark.parametrize(
    ("argv", "otherwise", "adapting"),
    [
        # 100 envs for 50 steps are 5,000 steps an update.
        ([], 100, 15),
        (["--adapt", "auto"], 15, None),
        (["--goal", "run backwards"], 15, None),
        # Forty times, but not within 50,000 steps and not beyond 200,000.
        (["--adapt", "auto", "--total-steps", "1000000"], 10, None),
        (["--adapt", "auto", "--total-steps", "6000000"], 30, None),
        (["--adapt", "auto", "--total-steps", "100000000"], 40, None),
        (["--eval-every-steps", "20000"], 4, None),
        (["--eval-every-steps", "0"], 0, None),
    ],
)
def test_a_run_evaluates_more_often_while_it_adapts_unless_told_how_often(
    tmp_path, argv, otherwise, adapting
):
    config = configure(tmp_path, "--num-envs", "100", "--set", "ppo.rollout_length=50", *argv)
    assert config.eval_every_updates == otherwise
    assert config.eval_every_updates_adapting == adapting


@pytest.mark.parametrize("task", ["HalfCheetah-v5", "Unheard-v0", *TASKS])
@pytest.mark.parametrize("num_envs", [1, 3, 16, 64, 256, 1000, 1024, 4096, 100_000])
def test_defaults_make_sense_for_any_number_of_envs(task, num_envs):
    ppo = defaults_of(task).ppo_for(num_envs)
    batch = num_envs * ppo.rollout_length
    assert ppo.rollout_length >= 2
    assert 1 <= ppo.minibatch_size <= batch
    at_reference = defaults_of(task).ppo
    parts = at_reference.rollout_length * DEFAULT_NUM_ENVS / at_reference.minibatch_size
    assert batch / ppo.minibatch_size == pytest.approx(parts, rel=0.2)
    assert batch >= 256


def test_few_hoppers_take_smaller_steps_than_many():
    few, more = (defaults_of("Hopper-v5").ppo_for(n) for n in (256, 257))
    assert (few.clip, few.target_kl, few.learning_rate) == (0.2, 0.05, 5e-4)
    assert (more.clip, more.target_kl, more.learning_rate) == (0.4, 0.15, 1e-3)
    assert (few.epochs, few.init_log_std) == (more.epochs, more.init_log_std)
    cheetah = defaults_of("HalfCheetah-v5")
    assert cheetah.ppo_for(64) == cheetah.ppo.scaled_to(64)


def test_more_envs_make_larger_batches_of_shorter_rollouts():
    scaled = [PPOSettings().scaled_to(n) for n in (1, 16, 64, 256, 1024, 4096)]
    assert scaled[-2] == PPOSettings()
    lengths = [ppo.rollout_length for ppo in scaled]
    assert lengths == sorted(lengths, reverse=True)
    sizes = [ppo.minibatch_size for ppo in scaled]
    assert sizes == sorted(sizes)


def test_settings_are_changed_by_name():
    changed = with_overrides(
        PPOSettings(),
        {"learning_rate": "3e-4", "epochs": "3", "hidden": "128,64", "overlap": "true"},
    )
    assert changed == PPOSettings(learning_rate=3e-4, epochs=3, hidden=(128, 64), overlap=True)


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ({"speed": "1"}, "ppo has no setting speed"),
        ({"epochs": "many"}, "ppo.epochs=many"),
        ({"epochs": "0"}, "epochs is below 1"),
        ({"gamma": "1.5"}, "gamma must be within"),
        ({"hidden": ""}, "ppo.hidden"),
        ({"rollout_length": "1"}, "rollout_length"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(override, reason):
    with pytest.raises(UserError, match=reason) as refusal:
        with_overrides(PPOSettings(), override)
    assert "\n" not in str(refusal.value)


def test_the_tasks_parameters_are_told_apart():
    pairs = ("ppo.epochs=3", "task.links=8", "task.noise=0.5", "task.on=true", "task.z=1,2")
    ppo, task = split_overrides(pairs)
    assert ppo == {"epochs": "3"}
    assert task == {"links": 8, "noise": 0.5, "on": True, "z": (1.0, 2.0)}


@pytest.mark.parametrize("pair", ["epochs=3", "ppo.epochs", "sac.tau=1", "=", "ppo.=1"])
def test_a_setting_of_nothing_is_refused(pair):
    with pytest.raises(UserError, match="names no setting"):
        split_overrides((pair,))


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["--algo", "dqn"], "no algorithm dqn"),
        (["--device", "tpu"], "--device tpu is not known"),
        (["--reward", "/nowhere/r.py"], "cannot read the reward program"),
        (["--num-envs", "0"], "--num-envs 0"),
        (["--total-steps", "-1"], "--total-steps"),
        (["--seed", "-1"], "--seed"),
        (["--spede", "1"], "unknown argument --spede"),
        (["--difficulty", "1.5"], "--difficulty 1.5: must be less than or equal to 1$"),
        (["--difficulty=-0.1"], "--difficulty -0.1: must be greater than or equal to 0$"),
        (["--difficulty", "nan"], "--difficulty nan: must be"),
        (["--difficulty", "hard"], "--difficulty hard: must be a valid number"),
        (["--knobs", "mass"], "mass is no range of a knob. Write NAME=LOW,HIGH or NAME=VALUE.$"),
        (["--knobs", "mass=1,2,3"], "mass=1,2,3 is no range of a knob"),
        (["--knobs", "mass=nan"], "mass=nan is no range of a knob"),
        (["--knobs", "mass=1", "--knobs", "mass=2"], "the knob mass is named twice"),
        (["--knobs", "mass=1", "--difficulty", "0"], "by name or by --difficulty, not both"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, argv, reason):
    with pytest.raises(UserError, match=reason) as refusal:
        configure(tmp_path, *argv)
    assert "\n" not in str(refusal.value)


def test_cuda_is_asked_for_where_there_is_none(tmp_path):
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="finds no CUDA device"):
            configure(tmp_path, "--device", "cuda")


def test_a_run_directory_is_needed_and_used_once(tmp_path, toy_task):
    with pytest.raises(UserError, match="--run-dir is required"):
        new_config(load_settings(TrainSettings, []))
    config = configure(tmp_path)
    run_dir = RunDir(tmp_path / "run")
    run_dir.create()
    run_dir.write_config(config, toy_task)
    with pytest.raises(UserError, match="already holds a run"):
        configure(tmp_path)


@pytest.mark.parametrize(
    "mine", ["result.json", "metrics.jsonl", "adaptations.jsonl", "checkpoints/best/weights"]
)
@pytest.mark.parametrize("again", [[], ["--resume-if-started"]], ids=["new", "started"])
def test_files_that_are_not_a_runs_are_not_overwritten(tmp_path, mine, again):
    (tmp_path / "run" / mine).parent.mkdir(parents=True)
    (tmp_path / "run" / mine).write_text("mine")
    settings = load_settings(TrainSettings, ["--run-dir", str(tmp_path / "run"), *again])

    with pytest.raises(UserError, match=r"holds no run, but a .*which one would overwrite"):
        (started_config if again else new_config)(settings)


@pytest.mark.parametrize("again", [[], ["--resume-if-started"]], ids=["new", "started"])
def test_what_a_learner_left_that_died_before_its_run_began_is_gone_on_with(tmp_path, again):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "logs").mkdir()
    (tmp_path / "run" / "logs" / "learner.jsonl").touch()
    settings = load_settings(TrainSettings, ["--run-dir", str(tmp_path / "run"), *again])

    assert (started_config if again else new_config)(settings)


def test_a_run_keeps_its_settings_for_life_but_may_be_longer(tmp_path, toy_task):
    config = configure(tmp_path, "--seed", "3", "--set", "ppo.epochs=2")
    run_dir = RunDir(tmp_path / "run")
    run_dir.create()
    run_dir.write_config(config, toy_task)

    def resume(*argv):
        return resumed_config(load_settings(TrainSettings, ["--resume", str(run_dir.path), *argv]))[
            0
        ]

    assert resume() == config
    with pytest.raises(UserError, match="--adapt-every-steps cannot change"):
        resume("--adapt-every-steps", "200000")
    with pytest.raises(UserError, match="--next-task cannot change"):
        resume("--next-task", "Hill-v0")
    for argv in (("--difficulty", "0"), ("--difficulty", "0.5"), ("--knobs", "mass=1.2")):
        with pytest.raises(UserError, match=f"^{argv[0]} cannot change when a run goes on"):
            resume(*argv)
    assert resume("--total-steps", "9000000").total_steps == 9_000_000
    for flag, value in (
        ("--seed", "4"),
        ("--num-envs", "8"),
        ("--set", "ppo.epochs=3"),
        ("--checkpoint-every-steps", "0"),
        ("--eval-every-steps", "0"),
        ("--eval-episodes", "3"),
    ):
        with pytest.raises(UserError, match=f"^{flag} cannot change when a run goes on"):
            resume(flag, value)
    same = ("--checkpoint-every-steps", "100000", "--eval-every-steps", "500000")
    assert resume(*same, "--eval-episodes", "20") == config
    with pytest.raises(UserError, match="two directories"):
        resume("--run-dir", str(tmp_path / "other"))
    with pytest.raises(UserError, match="not a run directory"):
        resumed_config(load_settings(TrainSettings, ["--resume", str(tmp_path / "other")]))


def test_the_same_command_line_starts_a_run_and_goes_on_with_it(tmp_path, toy_task):
    path = tmp_path / "run"
    argv = ["--run-dir", str(path), "--seed", "3", "--set", "task.z=1", "--resume-if-started"]

    def started(*more):
        return started_config(load_settings(TrainSettings, [*argv, *more]))[0]

    config, run_dir = started(), RunDir(path)
    assert not run_dir.started
    run_dir.create()
    run_dir.write_config(config, toy_task)
    assert run_dir.started
    assert started() == config
    with pytest.raises(UserError, match=r"another num_envs and another .*another --run-dir"):
        started("--num-envs", "8")
    with pytest.raises(UserError, match="a run with another adapt and another goal"):
        started("--goal", "run backwards")
    with pytest.raises(UserError, match="a run with another difficulty"):
        started("--difficulty", "0.5")
    with pytest.raises(UserError, match="a run with another knobs"):
        started("--knobs", "mass=1.2")
    with pytest.raises(UserError, match="--run-dir is required"):
        started_config(load_settings(TrainSettings, ["--resume-if-started"]))
    both = load_settings(TrainSettings, ["--resume", str(path), "--resume-if-started"])
    with pytest.raises(UserError, match="Leave out one of them"):
        resumed_config(both)


def test_a_run_that_began_with_one_rhythm_of_evaluations_keeps_it(tmp_path, toy_task):
    path = tmp_path / "run"
    argv = ["--run-dir", str(path), "--resume-if-started"]
    config, run_dir = started_config(load_settings(TrainSettings, argv))
    assert config.eval_every_updates_adapting is not None
    # As a version wrote it that knew one rhythm only.
    older = msgspec.structs.replace(
        config, eval_every_updates_adapting=None, adapts_with_goal=False
    )
    run_dir.create()
    run_dir.write_config(older, toy_task)
    assert started_config(load_settings(TrainSettings, argv))[0] == older


def test_a_run_that_is_over_goes_on_only_where_more_steps_are_asked_for(tmp_path, toy_task):
    path = tmp_path / "run"

    def started(*more):
        argv = ["--run-dir", str(path), "--resume-if-started", *more]
        return started_config(load_settings(TrainSettings, argv))

    config, run_dir = started("--total-steps", "5000")
    run_dir.create()
    run_dir.write_config(config, toy_task)
    assert not is_over(config, run_dir)
    (path / "result.json").write_text("{}")
    assert started() == (config, ANY)
    for steps, over in (("4000", True), ("5000", True), ("6000", False)):
        asked, run_dir = started("--total-steps", steps)
        assert asked.total_steps == int(steps)
        assert is_over(asked, run_dir) == over


def test_a_value_with_commas_is_one_value_on_the_command_line():
    argv = ["--set", "ppo.hidden=64,32", "--set", "task.range=1,2.5", "--set", "ppo.epochs=3"]
    ppo, task = split_overrides(load_settings(TrainSettings, argv).set)
    assert with_overrides(PPOSettings(), ppo) == PPOSettings(hidden=(64, 32), epochs=3)
    assert task == {"range": (1.0, 2.5)}
    with pytest.raises(UserError, match="--set 64 names no setting"):
        split_overrides(load_settings(TrainSettings, ["--set", "64"]).set)


def test_an_unknown_command_is_one_clear_line(capsys):
    with pytest.raises(UserError, match="there is no command fly"):
        run(["fly"])
    assert run([]) == 0
    assert "train" in capsys.readouterr().out


def test_streams_do_not_overlap_and_repeat():
    draws = {
        tuple(generator(seed, stream, counter).integers(2**62, size=2).tolist())
        for seed in (0, 1, 2**64 - 1)
        for stream in Stream
        for counter in (0, 1, 2**40)
    }
    assert len(draws) == 3 * len(Stream) * 3
    assert generator(1, Stream.WEIGHTS, 5).random() == generator(1, Stream.WEIGHTS, 5).random()
    assert derived_seed(1, Stream.TRAINING_SESSION) != derived_seed(1, Stream.EVALUATION_SESSION)


@pytest.mark.parametrize(
    ("argv", "follows"),
    [([], True), (["--adapt", "off"], False), (["--adapt", "approve"], False),
     (["--goal", "hop"], False)],
)  # fmt: skip
def test_a_goal_that_comes_later_turns_adapting_on_where_nobody_said_a_word(
    tmp_path, argv, follows
):
    assert configure(tmp_path, *argv).adapts_with_goal == follows


def test_a_run_that_adapts_may_do_so_by_the_clock(tmp_path):
    assert configure(tmp_path, "--adapt", "auto").adapt_every_steps == 0
    asked = ("--adapt-every-steps", "200000")
    assert configure(tmp_path, "--adapt", "approve", *asked).adapt_every_steps == 200_000
    with pytest.raises(UserError, match="Add --adapt auto"):
        configure(tmp_path, *asked)


def test_next_tasks_are_for_runs_that_adapt(tmp_path):
    config = configure(
        tmp_path, "--adapt", "auto", "--next-task", "Hill-v0", "--next-task", "robots/ice.yaml"
    )
    assert config.next_tasks == ("Hill-v0", "robots/ice.yaml")
    with pytest.raises(UserError, match="Add --adapt auto"):
        configure(tmp_path, "--next-task", "Hill-v0")
    for argv in (
        ("--task", "Hill-v0", "--next-task", "Hill-v0"),
        ("--next-task", "Hill-v0", "--next-task", "Hill-v0"),
        [word for n in range(4) for word in ("--next-task", f"Hill-v{n}")],
    ):
        with pytest.raises(UserError, match="Name up to 3 tasks, each once, other than --task"):
            configure(tmp_path, "--adapt", "auto", *argv)


def test_a_run_may_begin_with_turned_knobs(tmp_path):
    plain = configure(tmp_path)
    assert (plain.difficulty, plain.knobs) == (None, {})
    assert configure(tmp_path, "--difficulty", "0.5").difficulty == 0.5
    config = configure(tmp_path, "--knobs", "gravity=0.7,1.3", "--knobs=mass=1.2")
    assert config.knobs == {"gravity": (0.7, 1.3), "mass": (1.2, 1.2)}


def test_the_environment_may_say_so_as_a_json_list(tmp_path, monkeypatch):
    monkeypatch.setenv("WEBSIM_LEARNER_KNOBS", '["gravity=0.7,1.3", "mass=1.2"]')
    assert configure(tmp_path).knobs == {"gravity": (0.7, 1.3), "mass": (1.2, 1.2)}
    monkeypatch.delenv("WEBSIM_LEARNER_KNOBS")
    monkeypatch.setenv("WEBSIM_LEARNER_DIFFICULTY", "0.5")
    assert configure(tmp_path).difficulty == 0.5
