"""The `websim` command line: what can be typed, and what it says. The work is done elsewhere.

Nothing heavy is imported before a command needs it: `websim --help` answers at once.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from websim.local.cli_steer import STEERING
from websim.local.flags import (
    KEYS_HELP,
    Adapt,
    AdaptEverySteps,
    Algo,
    Device,
    Difficulty,
    Fleet,
    Goal,
    Keys,
    Knobs,
    NextTask,
    NumEnvs,
    Resume,
    Reward,
    RewardGen,
    RunDir,
    RunTask,
    Seed,
    Set,
    Target,
    Task,
    TotalSteps,
    Workers,
)
from websim.service.errors import UserError

app = typer.Typer(
    name="websim",
    help="Train robots in MuJoCo on a fleet of simulation workers.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PASS_ON: dict[str, Any] = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}
"""For commands whose arguments, --help included, another program reads."""


@app.command()
def train(
    task: RunTask = None,
    algo: Algo = None,
    num_envs: NumEnvs = None,
    workers: Workers = None,
    seed: Seed = None,
    total_steps: TotalSteps = None,
    run_dir: RunDir = None,
    fleet: Fleet = None,
    keys: Keys = None,
    resume: Resume = None,
    device: Device = None,
    reward: Reward = None,
    goal: Goal = None,
    adapt: Adapt = None,
    target: Target = None,
    adapt_every_steps: AdaptEverySteps = None,
    next_task: NextTask = None,
    difficulty: Difficulty = None,
    knobs: Knobs = None,
    reward_gen: RewardGen = None,
    setting: Set = None,
) -> int:
    """Train a policy, evaluate it, write result.json, and exit.

    Starts a private fleet on free ports and stops it at the end.
    """
    from websim.client.knobs import read_knobs
    from websim.local.drive import drive_train
    from websim.local.options import RunOptions

    options = RunOptions(
        task=task,
        algo=algo,
        num_envs=num_envs,
        seed=seed,
        total_steps=total_steps,
        run_dir=run_dir,
        resume=resume,
        device=device,
        reward=reward,
        goal=goal,
        adapt=adapt,
        target=target,
        adapt_every_steps=adapt_every_steps,
        next_tasks=next_task or (),
        difficulty=difficulty,
        knobs=read_knobs(knobs or ()),
        reward_gen=reward_gen,
        settings=_parse_settings(setting or []),
        workers=workers,
        fleet=fleet,
        keys=keys,
    )
    return drive_train(options)


@app.command()
def up(
    task: RunTask = None,
    algo: Algo = None,
    num_envs: NumEnvs = None,
    workers: Workers = None,
    seed: Seed = None,
    total_steps: TotalSteps = None,
    run_dir: RunDir = None,
    keys: Keys = None,
    resume: Resume = None,
    device: Device = None,
    reward: Reward = None,
    goal: Goal = None,
    adapt: Adapt = None,
    target: Target = None,
    adapt_every_steps: AdaptEverySteps = None,
    next_task: NextTask = None,
    difficulty: Difficulty = None,
    knobs: Knobs = None,
    reward_gen: RewardGen = None,
    setting: Set = None,
    free_ports: Annotated[
        bool, typer.Option("--free-ports", help="Take free ports, not the documented ones.")
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Do not open the page, on a desktop either.")
    ] = False,
) -> int:
    """Start everything and train until Ctrl-C or --total-steps; watch it in a browser.

    Uses the documented ports, so that notebooks and tools find the fleet; starts again what dies.
    Without --total-steps the fleet stays up when training is over.
    """
    from websim.client.knobs import read_knobs
    from websim.local.drive import drive_up
    from websim.local.options import RunOptions
    from websim.local.ports import DEFAULT_PORTS, FleetPorts

    options = RunOptions(
        task=task,
        algo=algo,
        num_envs=num_envs,
        seed=seed,
        total_steps=total_steps,
        run_dir=run_dir,
        resume=resume,
        device=device,
        reward=reward,
        goal=goal,
        adapt=adapt,
        target=target,
        adapt_every_steps=adapt_every_steps,
        next_tasks=next_task or (),
        difficulty=difficulty,
        knobs=read_knobs(knobs or ()),
        reward_gen=reward_gen,
        settings=_parse_settings(setting or []),
        workers=workers,
        keys=keys,
    )
    ports = FleetPorts() if free_ports else DEFAULT_PORTS
    return drive_up(options, ports, browser=not no_browser)


@app.command()
def verify(
    faults: Annotated[
        str,
        typer.Option(
            "--faults",
            metavar="KIND[=COUNT],...",
            help="What is done to the second run: kill-worker, freeze-worker, kill-learner, "
            "kill-orchestrator, scale.",
        ),
    ] = "kill-worker,freeze-worker,kill-learner,kill-orchestrator,scale",
    task: Task = "Hopper-v5",
    algo: Algo = None,
    seed: Seed = None,
    num_envs: Annotated[
        int, typer.Option("--num-envs", help="Environments simulated side by side.")
    ] = 256,
    total_steps: Annotated[
        int, typer.Option("--total-steps", help="Environment steps of each of the two runs.")
    ] = 200_000,
    workers: Workers = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            "--run-dir",
            show_default="runs/verify-<task>-s<seed>-<time>",
            help="Where both runs are kept, and verify.json with what was done.",
        ),
    ] = None,
    reward: Reward = None,
    setting: Set = None,
) -> int:
    """Check that faults change nothing: train twice, once undisturbed, once with faults.

    Prints what was done to the second run and when, and whether the weights of both are the same,
    bit for bit. Exits with 0 if they are and with 1 if they differ, telling the update at which
    the runs part.

    The faults fall due at places of the run that --seed chooses: workers, learner and
    orchestrator are ended by SIGKILL, a worker is frozen by SIGSTOP and woken seconds later,
    scale adds two workers and lets two leave. More of a kind: --faults kill-worker=20,scale.
    """
    from websim.local.nemesis import parse_faults
    from websim.local.options import RunOptions
    from websim.local.verify import VerifyOptions
    from websim.local.verify import verify as verify_runs

    options = RunOptions(
        task=task,
        algo=algo,
        num_envs=num_envs,
        seed=seed,
        total_steps=total_steps,
        run_dir=run_dir,
        reward=reward,
        settings=_parse_settings(setting or []),
        workers=workers,
    )
    return verify_runs(VerifyOptions(options, parse_faults(faults)))


@app.command("eval", context_settings=PASS_ON)
def evaluate(context: typer.Context) -> int:
    """Evaluate the policy of a run: `websim eval runs/<run>`."""
    from websim.local.handover import hand_over

    hand_over("websim_learner", "eval", *context.args)


@app.command(context_settings=PASS_ON)
def export(context: typer.Context) -> int:
    """Write the policy of a run as safetensors and ONNX: `websim export runs/<run>`."""
    from websim.local.handover import hand_over

    hand_over("websim_learner", "export", *context.args)


@app.command(context_settings=PASS_ON)
def record(context: typer.Context) -> int:
    """Render an episode of a run's policy as a film: `websim record runs/<run>`."""
    from websim.local.handover import hand_over

    hand_over("websim_learner", "record", *context.args)


@app.command(context_settings=PASS_ON)
def tasks(context: typer.Context) -> int:
    """List the tasks, or describe one with its fields and units: `websim tasks [NAME]`."""
    from websim.local.handover import hand_over

    hand_over("websim_sim_worker", "tasks", *context.args)


@app.command("check-task", context_settings=PASS_ON)
def check_task(context: typer.Context) -> int:
    """Check a task file and say what is wrong with it: `websim check-task task.yaml`."""
    from websim.local.handover import hand_over

    hand_over("websim_sim_worker", "check-task", *context.args)


@app.command("check-reward")
def check_reward(
    files: Annotated[list[Path], typer.Argument(help="Files that each hold one reward program.")],
    task: Task = "HalfCheetah-v5",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Judge reward programs: a check of the text, then a trial in a confined process.

    Exits with 1 if any is refused.
    """
    from websim.local.handover import check_rewards

    return check_rewards(files, task, as_json=as_json)


@app.command("keys", help=KEYS_HELP)
def make_keys(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the key set goes.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace the key set that is there.")
    ] = False,
    by_service: Annotated[
        bool,
        typer.Option("--by-service", help="Make DIR/SERVICE with the part of each: containers."),
    ] = False,
    if_missing: Annotated[
        bool,
        typer.Option("--if-missing", help="With --by-service: leave a whole set as it is."),
    ] = False,
) -> int:
    """Make the keys and tokens that services need beyond one machine's loopback."""
    from websim.local.keys import make_key_set, make_keys_by_service

    if if_missing and not by_service:
        raise UserError("--if-missing goes with --by-service", "Add it.")
    if by_service:
        print(make_keys_by_service(directory, force=force, if_missing=if_missing))
    else:
        print(make_key_set(directory, force=force))
    return 0


for steer in STEERING:
    app.command()(steer)


@app.command("replay-decisions", context_settings=PASS_ON)
def replay_decisions(context: typer.Context) -> int:
    """Make a run's decisions again from its log: `websim replay-decisions runs/<run>`."""
    from websim.local.handover import hand_over

    hand_over("websim_learner", "replay-decisions", *context.args)


@app.command(context_settings=PASS_ON)
def bench(context: typer.Context) -> int:
    """Measure the fleet and its peers on this machine (in a source checkout)."""
    from websim.local.handover import hand_over_to_bench

    hand_over_to_bench(context.args)


def run(argv: list[str]) -> int:
    """Run a command line and return its exit code.

    Raises:
        UserError: The command line is wrong, or what it asks for cannot be done.
    """
    try:
        code = app(argv or ["--help"], prog_name="websim", standalone_mode=False)
    except typer.TyperException as error:
        text = getattr(error, "format_message", error.__str__)()
        raise UserError(text, "--help lists what can be typed.") from None
    except typer.Abort:
        raise KeyboardInterrupt from None
    return int(code or 0)


def _parse_settings(pairs: list[str]) -> dict[str, object]:
    settings: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UserError(f"--set {pair} is not KEY=VALUE", "As in ppo.learning_rate=3e-4.")
        settings[key] = value
    return settings
